"""`tokenclock baseline diff`: the sanity check of two CSV files of results, and a patch of the base."""

from __future__ import annotations

import argparse
import json
import os

from tokenclock.cli.arguments import CommandParser
from tokenclock.cli.standard_streams import show
from tokenclock.cli.written import write_output
from tokenclock.errors import GateMissed, UsageError
from tokenclock.standard_error import say_on_stderr

__all__ = ["DESCRIPTION", "HELP", "add_flags", "run"]

HELP = "where a CSV file of results differs from another, and a patch of it"
DESCRIPTION = (
    "Compares the rows of two CSV files of performance tests by perf_case_name, and writes a patch of the base\n"
    "that updates what is out of tolerance, adds what is new and drops what is missing.\n"
    "Exit code 3: something got worse, or was not measured."
)
PATCH_NAME = "perf_patch.patch"


def add_flags(parser: CommandParser) -> None:
    """The action's flags."""
    parser.add_argument("target", metavar="TARGET.csv", help="what was measured, such as perf_script_test_results.csv")
    parser.add_argument("base", metavar="BASE.csv", help="what it is held against, such as base_perf.csv")
    parser.add_argument(
        "--thresholds",
        choices=("own", "file"),
        default="own",
        help="own: tokenclock's for each metric type (of a TPOT 5 %% and 0.1 ms), if known; file: those of the "
        "base's columns, in the unit of the value (the flow's are 10 %% and 50 ms of any latency) (default: own)",
    )
    parser.add_argument(
        "--strict", action="store_true", help="end with 3 for any difference: better, new and missing ones too"
    )
    parser.add_argument("--patch", metavar="FILE", help=f"the patch (default: {PATCH_NAME} beside TARGET.csv)")
    parser.add_argument("--json", metavar="FILE", help="the differences with exact numbers")


def run(arguments: argparse.Namespace) -> int:
    """Compare, print, write; 0, or GateMissed."""
    from tokenclock.baselines import csv_diff_text
    from tokenclock.baselines.csv_diff import NOT_MEASURED, WORSE, differences
    from tokenclock.baselines.csv_patch import how_to_apply, patch_of
    from tokenclock.baselines.csv_rows import read_csv

    patch_path = arguments.patch or os.path.join(os.path.dirname(arguments.target), PATCH_NAME)
    _check_places(arguments, patch_path)
    target, base = read_csv(arguments.target), read_csv(arguments.base)
    if base.repeated is not None:
        raise UsageError(
            f"{base.path}, line {base.repeated.first}: has {base.repeated.name[:200]} a second time; keep one of them"
        )
    own = arguments.thresholds == "own"
    found = differences(target, base, own=own)
    patch = patch_of(base, found)
    code = show("tokenclock baseline diff", csv_diff_text.render(found, target, base, own=own))
    if patch or os.path.exists(patch_path):
        write_output("baseline diff", patch_path, lambda: _write(patch_path, patch))
    if patch:
        say_on_stderr(f"tokenclock baseline diff: to accept: {how_to_apply(base.path, patch_path)}")
    if arguments.json is not None:
        text = json.dumps(csv_diff_text.as_json(found, target, base, own=own), indent=2) + "\n"
        write_output("baseline diff", arguments.json, lambda: _write(arguments.json, text))
    failing = [one for one in found if arguments.strict or one.kind in (WORSE, NOT_MEASURED)]
    if failing:
        kinds = dict.fromkeys(one.kind for one in failing)
        raise GateMissed(f"{len(failing)} of {len(base.rows)} rows of {base.path}: {', '.join(kinds)}")
    return code


def _check_places(arguments: argparse.Namespace, patch_path: str) -> None:
    from tokenclock.cli.written import check_places

    check_places({"patch": patch_path, "json": arguments.json})
    inputs = [os.path.abspath(path) for path in (arguments.target, arguments.base)]
    outputs = [os.path.abspath(path) for path in (patch_path, arguments.json) if path is not None]
    if set(inputs) & set(outputs) or len(set(outputs)) < len(outputs):
        raise UsageError("TARGET.csv, BASE.csv, --patch and --json must be different files")


def _write(path: str, text: str) -> None:
    from tokenclock.atomic_file import atomic_write

    with atomic_write(path) as file:
        file.write(text.encode())
