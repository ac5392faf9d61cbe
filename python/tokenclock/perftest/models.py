"""Names of models in labels -> where they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenclock.errors import UsageError
from tokenclock.perftest.case import Case, ServerCase
from tokenclock.perftest.entries import near_matches

__all__ = ["TINY_MODELS", "check_models", "read_models"]

TINY_MODELS = {"tiny_llama": "tiny:llama", "tiny_bert": "tiny:bert", "tiny_t5": "tiny:t5"}


def read_models(path: Path | None) -> dict[str, str]:
    """The file of ``--perf-models``: YAML or JSON, a name and a directory a line; the tiny models are always known.

    Raises:
        UsageError: it cannot be read, or is of another form; a directory is not there.
    """
    if path is None:
        return dict(TINY_MODELS)
    from tokenclock.sweep.yaml_file import read_yaml

    file = read_yaml(path)
    models = dict(TINY_MODELS)
    for name, place in file.data.items():
        if not isinstance(name, str) or "-" in name or not isinstance(place, str):
            raise file.error((name,), f"expected NAME: DIRECTORY, with no hyphen in NAME, got {name!r}: {place!r}")
        models[name] = place if place.startswith("tiny:") else str(_directory(file, path, name, place))
    return models


def _directory(file: Any, path: Path, name: str, place: str) -> Path:
    found = (path.parent / Path(place).expanduser()).resolve()
    if not found.is_dir():
        raise file.error(
            (name,), f"{name} must lie in a directory, or be tiny:llama, tiny:bert or tiny:t5; got {place}"
        )
    return found


def check_models(cases: Sequence[Case], models: Mapping[str, str], where: str) -> None:
    """Raise UsageError for the first case whose model has no place, with the names that are nearly it."""
    for case in cases:
        if isinstance(case.label, ServerCase) or case.label.runtime == "disagg_server":
            continue
        name = case.label.model
        if name not in models:
            near = near_matches(name, sorted(models))
            raise UsageError(f"no model {name}, of {case.name}: {where}{near}")
