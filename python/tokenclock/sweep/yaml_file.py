"""A YAML file with the place of every key and value, so that a wrong one can be pointed at."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenclock.errors import MeasurementError, UsageError
from tokenclock.plan_checks import shown

__all__ = ["YamlFile", "expand", "read_yaml"]

Path_ = tuple[Any, ...]
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


@dataclass(frozen=True)
class YamlFile:
    """What a file holds.

    Args:
        name: as it was given.
        data: the mapping at its top.
        places: path of keys and indices -> (line, column) of the key, or of the item; both from 1.
    """

    name: str
    data: dict[str, Any]
    places: Mapping[Path_, tuple[int, int]] = field(default_factory=dict)

    def at(self, path: Path_) -> str:
        """`FILE:LINE:COLUMN` of a path, or of what it lies in; of the file's top where that is all."""
        for n in range(len(path), 0, -1):
            if path[:n] in self.places:
                line, column = self.places[path[:n]]
                return f"{self.name}:{line}:{column}"
        return f"{self.name}:1:1"

    def error(self, path: Path_, text: str) -> UsageError:
        """The error that points at a path."""
        return UsageError(f"{self.at(path)}: {text}")


def read_yaml(path: str | os.PathLike[str]) -> YamlFile:
    """Read a file whose top is a mapping.

    Raises:
        UsageError: it cannot be read, is no YAML, has a key twice, or its top is something else.
        MeasurementError: PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError:
        raise MeasurementError("sweep needs PyYAML and pydantic: pip install 'tokenclock[sweep]'") from None
    name = str(path)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UsageError(f"a sweep must be a readable YAML file, got {name} ({reason})") from None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        places: dict[Path_, tuple[int, int]] = {}
        if node is not None:
            _note_places(node, (), places, name)
        data = loader.construct_document(node) if node is not None else None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark is not None else name
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise UsageError(f"{place}: not YAML: {problem}") from None
    except RecursionError:
        raise UsageError(f"{name}:1:1: not a sweep: nested too deeply, or a part contains itself") from None
    if not isinstance(data, dict):
        raise UsageError(f"{name}:1:1: expected a mapping with servers, benchmark and matrix, got {shown(data)}")
    return YamlFile(name, data, places)


def expand(text: str, environment: Mapping[str, str]) -> str:
    """`${NAME}` and `${NAME:-default}` from the environment. Raises UsageError for a name that is not set."""

    def value(found: re.Match[str]) -> str:
        name, default = found[1], found[2]
        if name in environment:
            return environment[name]
        if default is None:
            raise UsageError(f"${{{name}}} is not set; export it, or write ${{{name}:-DEFAULT}}")
        return str(default)

    return _VARIABLE.sub(value, text)


def _note_places(node: Any, path: Path_, places: dict[Path_, tuple[int, int]], name: str) -> None:
    import yaml

    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            inner = (*path, _key(key))
            if key.tag != "tag:yaml.org,2002:merge" and inner in seen:
                raise UsageError(f"{name}:{key.start_mark.line + 1}:{key.start_mark.column + 1}: "
                                 f"{shown(key.value)} is there twice; keep one")  # fmt: skip
            seen.add(inner)
            places[inner] = (key.start_mark.line + 1, key.start_mark.column + 1)
            _note_places(value, inner, places, name)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            inner = (*path, index)
            places[inner] = (value.start_mark.line + 1, value.start_mark.column + 1)
            _note_places(value, inner, places, name)


def _key(node: Any) -> Any:
    return node.value if isinstance(node.value, str) else repr(node.value)
