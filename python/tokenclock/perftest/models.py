"""`--perf-models`: from the model names of labels to checkpoints, engines and tiny models."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path

from tokenclock.errors import UsageError
from tokenclock.perftest.case import Case, ServerCase
from tokenclock.perftest.text_file import read_yaml

__all__ = ["TINY_MODELS", "AnyModel", "hold_models", "read_models"]

TINY_MODELS = {"tiny_llama": "tiny:llama", "tiny_bert": "tiny:bert", "tiny_t5": "tiny:t5"}
"""Known without a file; one may give these names other places."""


class AnyModel(dict[str, str]):
    """Models of a dry run: one whose place is not known is written as ``MODELS/<name>``."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return f"MODELS/{name}"


def read_models(path: Path) -> dict[str, str]:
    """Name -> directory or ``tiny:...``, of a YAML or JSON file; relative directories are beside that file.

    Raises:
        UsageError: the file cannot be read, maps no names to texts, or a directory is not there.
    """
    data = read_yaml(path, "--perf-models")
    if not isinstance(data, Mapping):
        raise UsageError(f"--perf-models {path} must map model names to directories, got {type(data).__name__}")
    found = {}
    for name, place in data.items():
        if not isinstance(name, str) or not isinstance(place, str) or not place:
            raise UsageError(f"--perf-models {path} must map model names to directories, got {name!r}: {place!r}")
        if place.startswith("tiny:"):
            if place not in TINY_MODELS.values():
                close = difflib.get_close_matches(place, TINY_MODELS.values(), n=1)
                hint = f"; near: {close[0]}" if close else ""
                known = ", ".join(TINY_MODELS.values())
                raise UsageError(
                    f"--perf-models {path}: {name} must be a directory or one of {known}, got {place}{hint}"
                )
        else:
            place = str(path.resolve().parent / Path(place).expanduser())
        found[name] = place
    return found


def hold_models(cases: Iterable[Case], models: Mapping[str, str]) -> None:
    """Check that each label's model is known and there.

    Raises:
        UsageError: it is not; lists near matches.
    """
    for case in cases:
        if isinstance(case.label, ServerCase):
            continue
        name = case.label.model
        if name not in models:
            close = difflib.get_close_matches(name, models, n=3, cutoff=0.5)
            hint = f"near: {', '.join(close)}" if close else f"it knows {', '.join(sorted(models)) or 'none'}"
            raise UsageError(
                f"no model {name}, of {case.name}: give --perf-models FILE with a line NAME: DIRECTORY; {hint}"
            )
        if not models[name].startswith("tiny:") and not Path(models[name]).exists():
            raise UsageError(f"--perf-models maps {name} to {models[name]}, which does not exist; correct the file")
