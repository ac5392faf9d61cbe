"""`tokenclock analyze`, and `profile --sweep-*`: one run of `profile` for each point of a sweep, each point once."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tokenclock.cli.analyze_points import Sweep, add_sweep_flags, points_of
from tokenclock.cli.arguments import CommandParser
from tokenclock.cli.perf_analyzer_flags import split_pass_through
from tokenclock.cli.point_process import run_point
from tokenclock.cli.profile_flags import build_parser as build_profile_parser
from tokenclock.cli.standard_streams import show
from tokenclock.standard_error import say_on_stderr

__all__ = ["build_parser", "main"]

_DESCRIPTION = """\
Runs `tokenclock profile` once for each value of a sweep and gathers the points in one table and one CSV. A point that
the checkpoint holds already, measured with the same flags, is not measured again.
"""


def build_parser() -> CommandParser:
    """The flags of `profile`, and those of the sweep."""
    parser = build_profile_parser("tokenclock analyze")
    parser.usage = "tokenclock analyze -m NAME --endpoint-type TYPE [--sweep-type T] [--sweep-range A:B[:STEP]] [FLAGS]"
    parser.description, parser.epilog = _DESCRIPTION, None
    add_sweep_flags(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the sweep; returns the worst exit code of its points. Raises UsageError for wrong flags, before any point."""
    if {"-h", "--help"} & set(argv):
        build_parser().read(argv)
    own, passed = split_pass_through(argv)
    sweep = points_of(own)
    from tokenclock.cli.profile import plan_from_argv

    plans = [plan_from_argv([*flags, *(["--", *passed] if passed else [])], os.environ) for flags in sweep.arguments()]
    from tokenclock.profile_checkpoint import Checkpoint

    checkpoint, codes, done = Checkpoint(Path(sweep.checkpoint_dir)), list[int](), list[tuple[str, Path]]()
    for value, flags, plan in zip(sweep.values, sweep.arguments(), plans, strict=True):
        output = Path(str(plan.output.result_dir)) / str(plan.output.result_filename)
        key = plan.to_dict()
        if checkpoint.has(key, output):
            say_on_stderr(
                f"tokenclock analyze: {sweep.kind} {value} is in {checkpoint.path}: not measured again; remove that "
                "file to measure all points anew"
            )
        else:
            say_on_stderr(f"tokenclock analyze: {sweep.kind} {value}")
            words = [sys.executable, "-m", "tokenclock", "profile", *flags, *(["--", *passed] if passed else [])]
            codes.append(run_point(words))
            if codes[-1] in (2, 130):
                break
            if codes[-1] == 1:
                continue
            checkpoint.add(key, output)
        done.append((str(value), output))
    _report(sweep, done)
    return _exit_code(codes, measured=bool(done))


def _exit_code(codes: Sequence[int], *, measured: bool) -> int:
    for code in (130, 2):
        if code in codes:
            return code
    if not measured:
        return 1
    return max((code for code in codes if code in (1, 3)), default=0, key=lambda code: code == 3)


def _report(sweep: Sweep, done: Sequence[tuple[str, Path]]) -> None:
    from tokenclock.report import genai_perf_analysis
    from tokenclock.result import Result

    path = Path(sweep.artifact_dir) / "analyze_export_genai_perf.csv"
    if not done:
        _take_away_older(path)
        return
    points = [(value, Result.load(path)) for value, path in done]
    text = genai_perf_analysis.content(points)
    try:
        genai_perf_analysis.write(text, path)
        say_on_stderr(f"tokenclock analyze: summary in {path}")
    except OSError as error:
        say_on_stderr(f"tokenclock analyze: cannot write {path}: {error.strerror or error}")
    show("tokenclock analyze", genai_perf_analysis.render(points))


def _take_away_older(path: Path) -> None:
    """The table of an earlier sweep is none of this one, which measured nothing."""
    try:
        path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        say_on_stderr(f"tokenclock analyze: {path} is of an earlier sweep: {error.strerror or error}")
    else:
        say_on_stderr(f"tokenclock analyze: no point was measured: {path} of an earlier sweep was removed")
