"""`tokenclock calibrate`: how wrong tokenclock itself is on this machine, and up to which rate that stays small."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tokenclock.cli.arguments import CommandParser
from tokenclock.errors import TokenclockError
from tokenclock.standard_error import say_on_stderr

if TYPE_CHECKING:
    from tokenclock.calibration_store import Calibration

__all__ = ["build_parser", "main"]


def build_parser() -> CommandParser:
    """The command's three flags."""
    parser = CommandParser(
        prog="tokenclock calibrate",
        description="Starts a paced server, which logs each of its sends, on another core of this machine, measures\n"
        "it at rising numbers of streams and rates as `tokenclock serving` would, and prints how far every metric is\n"
        "from the truth and what an event costs. The ceiling is the highest rate at which no error reaches 100 us.\n"
        "It is kept in the cache ($TOKENCLOCK_CACHE, else $XDG_CACHE_HOME/tokenclock, else ~/.cache/tokenclock):\n"
        "every later result of `serving` says how close to it the run was. It takes about a minute; stop other work\n"
        "meanwhile.",
    )
    parser.add_argument("--quick", action="store_true", help="three short points, about ten seconds; not kept")
    parser.add_argument(
        "--result-dir",
        default="results/calibration",
        metavar="DIR",
        help="where calibration.json and calibration.png go; created (default: results/calibration)",
    )
    parser.add_argument("--no-keep", action="store_true", help="leave the cache as it is")
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; 0 when all points were measured."""
    arguments = build_parser().read(argv)
    from tokenclock.calibration import calibrate
    from tokenclock.calibration_store import kept_path
    from tokenclock.report import calibration_table

    print(calibration_table.header(), flush=True)
    calibration = calibrate(
        quick=arguments.quick, on_point=lambda point: print(calibration_table.row_of(point), flush=True)
    )
    print(calibration_table.render(calibration), end="", flush=True)
    folder = Path(arguments.result_dir)
    _save(calibration, folder / "calibration.json")
    _draw(calibration, folder / "calibration.png")
    if not arguments.quick and not arguments.no_keep:
        _save(calibration, kept_path(calibration.machine))
    return 0


def _save(calibration: Calibration, path: Path) -> None:
    try:
        calibration.save(path)
    except OSError as error:
        raise TokenclockError(f"cannot write {path}: {error.strerror or error}; name another --result-dir") from error
    _say(f"written to {path}")


def _draw(calibration: Calibration, path: Path) -> None:
    from tokenclock.report import calibration_chart

    try:
        calibration_chart.write(calibration, path)
    except ImportError:
        _say("no picture without matplotlib: pip install 'tokenclock[report]'")
    except OSError as error:
        raise TokenclockError(f"cannot write {path}: {error.strerror or error}") from error
    else:
        _say(f"written to {path}")


def _say(text: str) -> None:
    say_on_stderr(f"tokenclock calibrate: {text}")
