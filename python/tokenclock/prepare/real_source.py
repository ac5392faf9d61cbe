"""Rows of recorded data on this machine: JSON by our own reader, all else by the `datasets` package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenclock.errors import UsageError
from tokenclock.plan import HfDataset
from tokenclock.prepare.plan import RealData
from tokenclock.workload.datasets.hugging_face import load_table
from tokenclock.workload.datasets.reading import read_objects

__all__ = ["read_rows"]

_FLAGS = {"--dataset-path": "--dataset-name", "--hf-split": "--dataset-split", "--dataset-name hf": "this data set"}


def read_rows(source: RealData) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each row with where it stands (`FILE:LINE` or `PATH: row N`). Raises UsageError where it cannot be read."""
    try:
        if Path(source.path).suffix.lower() in (".json", ".jsonl") and not Path(source.path).is_dir():
            for line, row in read_objects(source.path, "real-dataset"):
                yield f"{source.path}:{line}", row
            return
        table = load_table(HfDataset(source.path, subset=source.subset, split=source.split))
    except UsageError as error:
        raise _in_our_words(error) from error
    for number, row in enumerate(table):
        yield f"{source.path}: row {number}", row


def _in_our_words(error: UsageError) -> UsageError:
    """The readers name the flags of `serving`."""
    text = str(error)
    for theirs, ours in reversed(_FLAGS.items()):
        text = text.replace(theirs, ours)
    return UsageError(text)
