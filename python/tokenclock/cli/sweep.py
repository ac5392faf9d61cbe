"""`tokenclock sweep`: servers, a benchmark and a matrix in one YAML file; starts, waits, runs, stops, resumes."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tokenclock.cli.arguments import CommandParser
from tokenclock.errors import UsageError

if TYPE_CHECKING:
    from tokenclock.sweep.plan import Commands

__all__ = ["build_parser", "main"]

_DESCRIPTION = """\
Runs every point of a matrix against every server that the YAML file names: starts a server, waits until it is healthy,
runs all its points, each as a command of its own, stops it with everything it started, goes on with the next one.
What is done stays done: after a crash or Ctrl-C the same command with --resume goes on.
"""
_EPILOG = """\
The file's keys are in docs/sweep.md; examples/ has files for trtllm-serve and for llama.cpp on this machine.

results:
  RESULT_DIR/SERVER/concurrency_16.json ... with .log and .columns.npz beside each, RESULT_DIR/SERVER/server.log,
  RESULT_DIR/index.json, RESULT_DIR/environment.json

exit codes:
  0 every point was measured; 1 none was; 2 the file or a flag is wrong, nothing was started; 3 some points failed,
  missed a gate or did not run in time, or compare's --fail-if was met; 130 stopped by Ctrl-C (what is done is kept)

examples:
  see what would run, and for how long:
    tokenclock sweep examples/compare_backends.yaml --dry-run
  run it, and go on where it was interrupted:
    tokenclock sweep examples/compare_backends.yaml
    tokenclock sweep examples/compare_backends.yaml --resume
"""


def build_parser() -> CommandParser:
    """The command's flags."""
    parser = CommandParser(
        prog="tokenclock sweep", usage="tokenclock sweep FILE.yaml [FLAGS]", description=_DESCRIPTION, epilog=_EPILOG
    )
    parser.add_argument("file", metavar="FILE.yaml", help="servers, benchmark and matrix")
    add = parser.add_argument
    add("--dry-run", action="store_true", help="check everything, print the plan and its minutes, start nothing")
    add("--resume", action="store_true", help="leave out the points that an earlier sweep into result_dir has done")
    add("--overwrite", action="store_true", help="begin anew where result_dir holds a sweep already")
    add("--continue-on-error", action="store_true", help="go on after a server or a point has failed")
    add("--result-dir", metavar="DIR", help="instead of the file's result_dir")
    add("--yes", action="store_true", help="run more than 10000 points without being asked")
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; returns its exit code. Raises TokenclockError for what ends it early."""
    args = build_parser().read(argv)
    if args.resume and args.overwrite:
        raise UsageError("--resume goes on with an earlier sweep and --overwrite drops it: give one of the two")
    from tokenclock.sweep.whole import dry_run, run_sweep

    options: dict[str, Any] = {"yes": args.yes, "result_dir": args.result_dir}
    if args.dry_run:
        from tokenclock.cli.standard_streams import show

        show("tokenclock sweep", dry_run(args.file, os.environ, _commands(), resume=args.resume, **options))
        return 0
    return run_sweep(
        args.file, os.environ, _commands(), resume=args.resume, overwrite=args.overwrite,
        continue_on_error=args.continue_on_error, **options,
    )  # fmt: skip


def _commands() -> Commands:
    """What the other commands say of themselves; the sweep itself knows none of them."""
    from tokenclock.sweep.plan import Commands

    return Commands(flags_of=_flags_of, check=_check)


def _module(command: str) -> Any:
    name = f"tokenclock.cli.{command.replace('-', '_')}"
    return importlib.import_module(name) if importlib.util.find_spec(name) is not None else None


def _flags_of(command: str) -> list[str] | None:
    module = _module(command)
    return None if module is None else [flag for flag in module.build_parser().flags() if flag.startswith("--")]


def _check(argv: Sequence[str]) -> None:
    """Let the command read its words as it would when it runs; it starts nothing."""
    module = _module(argv[0])
    if module is None:
        return
    words = list(argv[1:])
    if argv[0] == "throughput":  # it shares its plan with latency, and asks which of the two it is
        module.plan_from_argv(argv[0], words, os.environ)
    else:
        module.plan_from_argv(words, os.environ)
