"""The result files of a session: CSV, YAML and JSON rows, added as cases end, safe with several writers."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import json
import os
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from tokenclock.atomic_file import atomic_write
from tokenclock.errors import UsageError
from tokenclock.perftest.rows import COLUMNS

__all__ = ["FORMATS", "STEM", "RowFiles", "append_csv"]

FORMATS = ("csv", "yaml", "json")
STEM = "perf_script_test_results"
_RESULT_COLUMNS = COLUMNS[COLUMNS.index("perf_case_name") :]
_DESCRIPTION_COLUMNS = COLUMNS[: COLUMNS.index("perf_case_name")]

Row = Mapping[str, Any]


class RowFiles:
    """Files of the formats asked for, in a directory; those of earlier sessions are added to.

    Args:
        directory: which is there.
        formats: of `FORMATS`; none: nothing is written.

    Raises:
        UsageError: a file that is there holds something else.
    """

    def __init__(self, directory: Path, formats: Sequence[str]) -> None:
        self._paths = {name: directory / f"{STEM}.{name}" for name in FORMATS if name in formats}
        self._yaml_keys: set[str] = set()
        if "csv" in self._paths:
            _check_csv(self._paths["csv"])
        if "json" in self._paths:
            _read_json(self._paths["json"])
        if "yaml" in self._paths:
            self._yaml_keys = _read_yaml_keys(self._paths["yaml"])

    def add(self, rows: Sequence[Row], gpu_samples: Sequence[Row] = ()) -> None:
        """Add the rows of a case to every file. Raises OSError where one cannot be written."""
        if "csv" in self._paths:
            append_csv(self._paths["csv"], COLUMNS, rows)
        if "yaml" in self._paths:
            self._add_yaml(self._paths["yaml"], rows, gpu_samples)
        if "json" in self._paths:
            path = self._paths["json"]
            with _locked(path.with_suffix(".json.lock")):
                everything = [*_read_json(path), *map(dict, rows)]
                with atomic_write(path) as file:
                    file.write((json.dumps(everything, indent=1, allow_nan=False) + "\n").encode())

    def _add_yaml(self, path: Path, rows: Sequence[Row], gpu_samples: Sequence[Row]) -> None:
        import yaml

        for row in rows:
            entry = {
                "monitor_data": {"cpu": [], "os": [], "gpu": [dict(sample) for sample in gpu_samples]},
                "test_description": {name: row[name] for name in _DESCRIPTION_COLUMNS},
                "test_result": {name: row[name] for name in _RESULT_COLUMNS},
            }
            body = textwrap.indent(yaml.safe_dump(entry, sort_keys=False, width=4096), "  ")
            text = f"{json.dumps(self._free_key(str(row['perf_case_name'])))}:\n{body}"
            with open(path, "a+b") as file, _locked_file(file):
                _end_last_line(file)
                file.write(text.encode())

    def _free_key(self, name: str) -> str:
        """The name, numbered where an earlier run of the case has it: a mapping has each key once."""
        key, number = name, 1
        while key in self._yaml_keys:
            number += 1
            key = f"{name} ({number})"
        self._yaml_keys.add(key)
        return key


def append_csv(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Add rows to a CSV file in one write, with the header where it is new. Raises OSError."""
    with open(path, "a+b") as file, _locked_file(file):
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if file.seek(0, os.SEEK_END) == 0:
            writer.writerow(columns)
        else:
            _end_last_line(file)
        writer.writerows(["" if row.get(name) is None else row[name] for name in columns] for row in rows)
        file.write(text.getvalue().encode())


def _end_last_line(file: IO[bytes]) -> None:
    """A writer that was killed may have left a line without its end."""
    if file.seek(0, os.SEEK_END) > 0:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")


@contextlib.contextmanager
def _locked_file(file: IO[bytes]) -> Iterator[None]:
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
        file.flush()
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with open(path, "ab") as file, _locked_file(file):
        yield


def _check_csv(path: Path) -> None:
    try:
        with open(path, encoding="utf-8", newline="") as file:
            head = next(csv.reader(file), None)
    except FileNotFoundError:
        return
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"cannot add rows to {path}: {error}; give another --output-dir") from error
    if head is not None and tuple(head) != COLUMNS:
        raise UsageError(f"{path} has other columns than a performance test's; give another --output-dir")


def _read_json(path: Path) -> list[Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot add rows to {path}: {error}; give another --output-dir") from error
    if not isinstance(found, list):
        raise UsageError(f"{path} is no list of rows; give another --output-dir")
    return found


def _read_yaml_keys(path: Path) -> set[str]:
    try:
        import yaml
    except ImportError:
        raise UsageError("--perf-log-formats=yaml needs PyYAML: pip install 'tokenclock[perftest]'") from None
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        return set()
    except (OSError, ValueError, yaml.YAMLError) as error:
        line = " ".join(str(error).split())
        raise UsageError(f"cannot add rows to {path}: {line}; give another --output-dir") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path} is no mapping of tests; give another --output-dir")
    return set(map(str, found))
