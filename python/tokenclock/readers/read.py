"""Finds out what a file is and reads it; a directory is walked."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from tokenclock.errors import UsageError
from tokenclock.readers import (
    benchmark_lines,
    benchmark_serving,
    genai_perf,
    ours,
    trtllm_bench_log,
    trtllm_bench_report,
)
from tokenclock.readers.foreign import ForeignResult, refused_numbers
from tokenclock.readers.ours import OwnResult
from tokenclock.standard_error import say_on_stderr

__all__ = ["FORMATS", "AnyResult", "read_directory", "read_file"]

AnyResult: TypeAlias = OwnResult | ForeignResult

FORMATS = (
    "a result of tokenclock, a JSON of benchmark_serving, vllm bench serve, SGLang, genai-perf, AIPerf or trtllm-bench "
    "(--report_json), a CSV of genai-perf or benchmark.py, or a log of trtllm-bench or with [BENCHMARK] lines"
)
_SUFFIXES = (".json", ".jsonl", ".csv", ".log", ".txt")
_LARGEST_LOG_BYTES = 64 << 20
_LARGEST_JSON_BYTES = 1 << 30


def read_file(path: str | os.PathLike[str]) -> list[AnyResult]:
    """Every result of a file; never an empty list.

    Raises:
        UsageError: it cannot be read, is cut short, or is none of the formats.
    """
    found = _results(Path(path))
    if not found:
        raise UsageError(f"{path} holds no result: expected {FORMATS}")
    return found


def read_directory(directory: str | os.PathLike[str], *, unread: list[str] | None = None) -> list[AnyResult]:
    """Every result in a directory and below it, in order of path; files that are no results are passed over.

    Of an export in two forms (``x.json`` and ``x.csv``) the JSON is taken. A case that two files tell alike (a log and
    the CSV of the same run) is taken once.

    Args:
        directory: walked.
        unread: where given, files that cannot be read are said here, a line each, and the others are read.

    Raises:
        UsageError: the directory cannot be read, or a JSON in it is cut short or of a newer schema.
    """
    found: list[AnyResult] = []
    for path in _files(Path(directory)):
        if path.suffix == ".csv" and path.with_suffix(".json").exists():
            continue
        try:
            results = _results(path)
        except UsageError as error:
            if unread is None:
                raise
            unread.append(str(error))
            continue
        found += [result for result in results if not any(_told_alike(result, other) for other in found)]
    return found


def _told_alike(one: AnyResult, other: AnyResult) -> bool:
    if not isinstance(one, ForeignResult) or not isinstance(other, ForeignResult) or one.path == other.path:
        return False
    return (one.model, one.values) == (other.model, other.values)


def _files(directory: Path) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: (entry.is_dir(), entry.name))
    except OSError as error:
        raise UsageError(f"cannot read {directory}: {error.strerror or error}") from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        elif entry.name.endswith(_SUFFIXES) and entry.is_file():
            yield Path(entry.path)


def _results(path: Path) -> list[AnyResult]:
    """Of a file; numbers in it that are none are said on stderr, once a file."""
    with refused_numbers() as told:
        found = _read(path)
    refused = list(dict.fromkeys(told))
    if refused and found:
        more = f" and {len(refused) - 3} more" if len(refused) > 3 else ""
        say_on_stderr(f"tokenclock: {path}: left out as no measurement: {', '.join(refused[:3])}{more}")
    return found


def _read(path: Path) -> list[AnyResult]:
    if path.suffix in (".json", ".jsonl"):
        return _of_json(path)
    try:
        if path.stat().st_size > _LARGEST_LOG_BYTES:
            return []
        with path.open(encoding="utf-8", errors="replace") as file:
            first = file.readline()
            file.seek(0)
            if genai_perf.is_csv(first):
                return [genai_perf.result_of_csv(file, path)]
            if benchmark_lines.is_csv(first.rstrip("\n")):
                return list(benchmark_lines.results_of_csv(file, path))
            found: list[AnyResult] = list(benchmark_lines.results_of_log(file, path))
            if found:
                return found
            file.seek(0)
            return _of_bench_log(file, path)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error


def _of_bench_log(lines: Iterable[str], path: Path) -> list[AnyResult]:
    """The report in a log of trtllm-bench, whose keys are those of its ``--report_json``."""
    log = trtllm_bench_log.read_log(lines)
    return [trtllm_bench_report.result_of(log.sections, path)] if log.is_report else []


def _of_json(path: Path) -> list[AnyResult]:
    values = _json_values(path)
    if any(ours.is_ours(value) for value in values):
        return list(ours.read(path))
    return [
        reader.result_of(value, path)
        for value in values
        if isinstance(value, dict)
        for reader in (benchmark_serving, trtllm_bench_report, genai_perf)
        if reader.recognises(value)
    ]


def _json_values(path: Path) -> list[Any]:
    """The one value of a JSON file, or of each of its lines."""
    try:
        if path.stat().st_size > _LARGEST_JSON_BYTES:
            return []
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        bad_line = error.object.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}:{bad_line} is no JSON: not UTF-8 at byte {error.start}") from error
    try:
        return [json.loads(text)]
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise UsageError(f"{path}:{error.lineno} is no whole JSON ({error.msg}): was its writer killed?") from error
    except (ValueError, RecursionError) as error:  # too many digits, or nested too deeply
        raise UsageError(f"{path}:1 is no JSON that can be read: {error}") from error
    values = []
    for line_number, line in enumerate(text.splitlines(), start=1):
        try:
            values += [json.loads(line)] if line.strip() else []
        except json.JSONDecodeError as error:
            raise UsageError(f"{path}:{line_number} is no whole JSON ({error.msg}): was its writer killed?") from error
    return values
