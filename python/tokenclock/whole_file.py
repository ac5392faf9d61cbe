"""Reads small files whole: text, JSON, YAML; what is wrong with one is told as `FILE:LINE: ...` in one line."""

from __future__ import annotations

import json
import os
from typing import Any

from tokenclock.errors import UsageError
from tokenclock.plan_checks import json_problem, shown

__all__ = ["read_json", "read_text", "read_yaml"]


def read_text(path: str | os.PathLike[str], *, what: str, most_bytes: int) -> str:
    """The UTF-8 text of a file of at most `most_bytes`, which a mistaken name must not fill the memory with.

    what: says in messages which file it is, such as ``--sampler_options``.
    Raises UsageError where it is missing, no file, too large, or not UTF-8, the last with its line.
    """
    try:
        with open(path, "rb") as file:
            is_small = os.fstat(file.fileno()).st_size <= most_bytes
            data = file.read(most_bytes + 1 if is_small else 0)  # a pipe tells no size
    except OSError as error:
        raise UsageError(f"cannot read {what} {path}: {error.strerror or error}") from error
    if not is_small or len(data) > most_bytes:
        raise UsageError(f"{path}:1: expected {what} of at most {most_bytes >> 20} MiB, got a larger file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}:{line}: expected {what} of UTF-8 text, got other bytes ({error.reason})") from error


def read_json(path: str | os.PathLike[str], *, what: str, most_bytes: int) -> Any:
    """The one JSON value of a file. Raises UsageError as `read_text` does, and with its line for what is no JSON."""
    text = read_text(path, what=what, most_bytes=most_bytes)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = f"{path}:{error.lineno}"
        raise UsageError(f"{where}: expected {what} of JSON, got {error.msg} at column {error.colno}") from error
    except (ValueError, RecursionError) as error:  # too many digits, or nested too deeply
        raise UsageError(f"{path}:1: expected {what} of JSON that can be read, got {json_problem(error)}") from error


def read_yaml(path: str | os.PathLike[str], *, what: str, most_bytes: int) -> tuple[dict[str, Any], dict[str, int]]:
    """The mapping of names that a YAML (or JSON) file holds, and the line of each; an empty file is an empty mapping.

    Raises:
        ImportError: PyYAML is not installed.
        UsageError: as `read_text`, and with its line for what is no YAML, no mapping of names, or names one twice.
    """
    import yaml

    text = read_text(path, what=what, most_bytes=most_bytes)
    try:
        root, content = yaml.compose(text, yaml.SafeLoader), yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else text.count("\n", 0, getattr(error, "position", 0)) + 1
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "what cannot be read"
        raise UsageError(f"{path}:{line}: expected {what} of YAML, got: {problem}") from error
    except (ValueError, RecursionError) as error:  # a date that is none, too many digits, nested too deeply
        raise UsageError(f"{path}:1: expected {what} of YAML that can be read, got: {json_problem(error)}") from error
    if content is None:
        return {}, {}
    first = root.start_mark.line + 1
    if not isinstance(content, dict):
        raise UsageError(f"{path}:{first}: {what} must hold option names with values, got {shown(content)}")
    lines: dict[str, int] = {}
    for key, _ in root.value:
        line = key.start_mark.line + 1
        if key.tag == "tag:yaml.org,2002:merge":
            continue
        if key.tag != "tag:yaml.org,2002:str":
            raise UsageError(f"{path}:{line}: {what} must hold option names with values, got the name {key.value}")
        if lines.setdefault(key.value, line) != line:
            raise UsageError(f"{path}:{line}: {key.value} must be named once, got it on line {lines[key.value]} too")
    return content, {name: lines.get(name, first) for name in content}
