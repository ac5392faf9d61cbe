"""`tokenclock process-export-files`: merge what several client machines measured at the same time."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tokenclock.cli.arguments import CommandParser
from tokenclock.cli.standard_streams import draws_boxes, show
from tokenclock.errors import MeasurementError, UsageError
from tokenclock.profile_words import in_profile_words
from tokenclock.standard_error import say_on_stderr

if TYPE_CHECKING:
    from tokenclock.merge_exports import Export

__all__ = ["build_parser", "main"]

_DESCRIPTION = """\
Reads the directories of several runs of `tokenclock profile`, one below another in the input directory, puts their
requests on one axis of time, and writes one result. Runs that did not load the server at the same time are refused.
Directories of genai-perf itself are read too, by the raw profile in them.
Rates are totals over the time from the first send to the last token of all runs, not sums of the runs' own rates.
"""
_LEAST_SHARE = 0.9  # of common time; below, rates are those of fewer clients for a part of it


def build_parser() -> CommandParser:
    """The command's parser."""
    parser = CommandParser(
        prog="tokenclock process-export-files",
        usage="tokenclock process-export-files [-d DIR] [--artifact-dir DIR] [--profile-export-file NAME]",
        description=_DESCRIPTION,
    )
    add = parser.add_argument
    add(
        "-d",
        "--input-directory",
        default="aggregated",
        metavar="DIR",
        help="one sub-directory per run (default: aggregated)",
    )
    add("--artifact-dir", default="artifacts", metavar="DIR", help="where the files go (default: artifacts)")
    add(
        "--profile-export-file",
        default="profile_export.json",
        metavar="NAME",
        help="the files are named after it: NAME_genai_perf.json and .csv (default: profile_export.json)",
    )
    add(
        "--tokenizer",
        metavar="DIR",
        help="counts the tokens of answers in genai-perf's own exports, where the server told none (default: missing)",
    )
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; returns its exit code. Raises TokenclockError for runs that cannot be merged."""
    args = build_parser().read(argv)
    from tokenclock.cli.profile import statistics_name

    name = statistics_name(args.profile_export_file)
    folder = Path(args.artifact_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--artifact-dir {folder} cannot be made: {error.strerror or error}; give another") from error
    from tokenclock.foreign_exports import MARK
    from tokenclock.merge_exports import merge_exports, read_exports
    from tokenclock.report import (
        columns_file,
        genai_perf_csv,
        genai_perf_json,
        genai_perf_table,
        genai_perf_telemetry,
        quality_block,
    )

    exports = read_exports(Path(args.input_directory), _counter(args.tokenizer))
    _say_of_foreign([export for export in exports if export.result.plan["asked"].get("tool") == MARK])
    result, records, overlap = merge_exports(exports)
    if overlap.share < _LEAST_SHARE:
        say_on_stderr(
            f"tokenclock process-export-files: all runs were under way for {overlap.share:.0%} of the time: rates "
            "are those of fewer clients for the rest of it"
        )
    known = [sha256 for sha256 in result.workload["merged_sha256"] if sha256 is not None]
    if len(set(known)) < len(known):
        say_on_stderr(
            "tokenclock process-export-files: runs sent the same prompts, which a prefix cache answers faster; give "
            "each client a --random-seed of its own"
        )
    path = folder / name
    try:
        genai_perf_json.write(result, path)
        genai_perf_csv.write(result, path.with_suffix(".csv"))
        columns_file.write(records, columns_file.columns_path(path))
    except OSError as error:
        where = os.fspath(path)
        raise MeasurementError(f"cannot write beside {where}: {error.strerror or error}; free space there") from error
    say_on_stderr(f"tokenclock process-export-files: {len(result.ranks['of']) if result.ranks else 0} runs in {path}")
    table = genai_perf_table.render(result, ascii_only=not draws_boxes())
    telemetry = result.faces["profile"]["telemetry"]
    gpus = [] if telemetry is None else [genai_perf_telemetry.render(telemetry, ascii_only=not draws_boxes())]
    return show("tokenclock process-export-files", table, *gpus, in_profile_words(quality_block.render(result)))


def _counter(tokenizer: str | None) -> Callable[[str], int] | None:
    if tokenizer is None:
        return None
    from tokenclock.workload.tokenizer import read_tokenizer

    reader = read_tokenizer(tokenizer)
    return lambda text: int(reader.counts([text], special=False)[0])


def _say_of_foreign(exports: Sequence[Export]) -> None:
    if not exports:
        return
    n_unknown = sum(int((export.records.ok & (export.records.columns["osl"] < 0)).sum()) for export in exports)
    counts = (
        f"; {n_unknown} of their answers have no token count, and what needs it is missing (--tokenizer DIR counts)"
        if n_unknown
        else ""
    )
    say_on_stderr(
        f"tokenclock process-export-files: {len(exports)} runs are genai-perf's own: failed requests are not in its "
        f"files, and events that came together have one instant{counts}"
    )
