"""An output that is one of the inputs would destroy what was measured: refused before anything is done."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tokenclock.errors import UsageError

__all__ = ["refuse_own_inputs"]


def refuse_own_inputs(outputs: Mapping[str, str | os.PathLike[str] | None], inputs: Iterable[str]) -> None:
    """Refuse outputs that are inputs, by whatever name or link, the files beside a result included.

    Args:
        outputs: name of the flag, without dashes -> file; None: not asked for.
        inputs: files and directories that are read; a file in a directory counts where it holds a result or columns.

    Raises:
        UsageError: an output is one of them.
    """
    there = {name: path for name, path in outputs.items() if path is not None and os.path.isfile(path)}
    if not there:
        return
    for given in inputs:
        for path in _files_of(given):
            for name, output in there.items():
                if os.path.samefile(output, path) and (not os.path.isdir(given) or _is_read(path)):
                    raise UsageError(
                        f"--{name} must not be a file that is read, got {os.fspath(output)} ({path}): "
                        "what was measured would be lost; give another"
                    )


def _files_of(given: str) -> Iterator[Path]:
    """Every file that is there and may be read for it."""
    from tokenclock.readers.server_metrics import metrics_path
    from tokenclock.report.columns_file import columns_path

    if os.path.isdir(given):
        for folder, _, names in os.walk(given):
            yield from (path for name in names if (path := Path(folder, name)).is_file())
        return
    result = Path(given)
    yield from (path for path in (result, columns_path(result), metrics_path(result)) if path and path.is_file())


def _is_read(path: Path) -> bool:
    """Whether a file of a directory is a result, or lies beside one; pages and tables of an earlier time are not."""
    from tokenclock.readers.read import read_file

    if path.name.endswith((".npz", ".metrics.jsonl")):
        return True
    if path.suffix not in (".json", ".jsonl", ".csv", ".log", ".txt"):
        return False
    try:
        return bool(read_file(path))
    except UsageError:
        return False
