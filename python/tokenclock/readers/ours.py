"""Our own results, with the raw columns that lie beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tokenclock.errors import UsageError
from tokenclock.records import Records
from tokenclock.report import columns_file
from tokenclock.result import Result

__all__ = ["OwnResult", "is_ours", "read"]


@dataclass(frozen=True)
class OwnResult:
    """A Result, the file it came from, and where its columns are; ``columns`` is None where there are none."""

    path: Path
    result: Result
    columns: Path | None

    def records(self) -> Records | None:
        """The raw columns, read now; None where none were saved.

        Raises:
            UsageError: the file beside the result is no columns file.
        """
        return None if self.columns is None else columns_file.read(self.columns)


def is_ours(data: object) -> bool:
    """Whether a JSON value is a native result, or embeds one."""
    if not isinstance(data, dict):
        return False
    return isinstance(data.get("tokenclock"), dict) or {"schema_version", "kind", "quality"} <= set(data)


def read(path: Path) -> list[OwnResult]:
    """Every result of a file.

    Raises:
        UsageError: a newer schema, or no result; names the file.
    """
    try:
        results = Result.load_all(path)
    except UsageError as error:
        text = str(error)
        raise UsageError(text if str(path) in text else f"{path}: {text}") from error
    columns = columns_file.columns_path(path)
    beside = columns if len(results) == 1 and columns.is_file() else None
    return [OwnResult(path, result, beside) for result in results]
