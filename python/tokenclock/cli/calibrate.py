"""`tokenclock calibrate`: how wrong tokenclock itself is on this machine, and up to which rate that stays small."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tokenclock.cli.arguments import CommandParser
from tokenclock.cli.standard_streams import show
from tokenclock.standard_error import say_on_stderr

if TYPE_CHECKING:
    from tokenclock.calibration_store import Calibration

__all__ = ["build_parser", "main"]

_CACHE_STAYS = "the calibration kept for later runs stays as it was"
_REMEDY = "stop other work, wait a minute, and calibrate again"


def build_parser() -> CommandParser:
    """The command's three flags."""
    parser = CommandParser(
        prog="tokenclock calibrate",
        description="Starts a paced server, which logs each of its sends, on another core of this machine, measures\n"
        "it at rising numbers of streams and rates as `tokenclock serving` would, and prints how far every metric is\n"
        "from the truth and what an event costs. The ceiling is the highest rate at which no error reaches 100 us.\n"
        "It is kept in the cache ($TOKENCLOCK_CACHE, else $XDG_CACHE_HOME/tokenclock, else ~/.cache/tokenclock):\n"
        "every later result of `serving` says how close to it the run was. It takes about a minute; stop other work\n"
        "meanwhile: what a busy machine says (load average before above half of the cores, steal above 2 %, or errors\n"
        "past the limit at a lower load than one without) is written, not kept.",
        epilog="exit codes: 0 measured; 1 nothing measured, or a file or stdout fails; 2 a flag is wrong; 130 Ctrl-C",
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
    """Run the command.

    Returns:
        0 when all points were measured; 1 when a file or standard output could not be written; 130 after Ctrl-C; 141
        where the reader of standard output has gone. The files are written whatever becomes of standard output.
    """
    arguments = build_parser().read(argv)
    from tokenclock.output_place import usable_directory

    folder = Path(arguments.result_dir)
    usable_directory(folder, "--result-dir")
    from tokenclock.calibration import calibrate
    from tokenclock.report import calibration_table

    shown = [_show(calibration_table.header())]
    try:
        calibration = calibrate(
            quick=arguments.quick, on_point=lambda point: shown.append(_show(calibration_table.row_of(point)))
        )
    except KeyboardInterrupt:
        _say("interrupted before the first load was measured: nothing is written")
        return 130
    written = [_save(calibration, folder / "calibration.json"), _draw(calibration, folder / "calibration.png")]
    if calibration.interrupted:
        _say(f"interrupted: of the loads, those above ({len(calibration.points)}) were measured; {_CACHE_STAYS}")
    elif calibration.disturbed is not None:
        _say(f"the machine was disturbed: {calibration.disturbed}; {_CACHE_STAYS}: {_REMEDY}")
    elif not arguments.quick and not arguments.no_keep:
        written.append(_keep(calibration))
    shown.append(_show(calibration_table.render(calibration).removesuffix("\n")))
    if calibration.interrupted:
        return 130
    return max(shown) if all(written) else 1


def _show(text: str) -> int:
    """Print at once; where stdout does not take it that is said once, and the measurement goes on for its files."""
    return show("tokenclock calibrate", text)


def _keep(calibration: Calibration) -> bool:
    from tokenclock.calibration_store import kept_path

    return _save(calibration, kept_path(calibration.machine), "name another place by TOKENCLOCK_CACHE")


def _save(calibration: Calibration, path: Path, remedy: str = "name another --result-dir") -> bool:
    try:
        calibration.save(path)
    except OSError as error:
        _say(f"cannot write {path}: {error.strerror or error}; {remedy}")
        return False
    _say(f"written to {path}")
    return True


def _draw(calibration: Calibration, path: Path) -> bool:
    from tokenclock.report import calibration_chart

    try:
        calibration_chart.write(calibration, path)
    except ImportError:
        _say("no picture without matplotlib: pip install 'tokenclock[report]'")
    except OSError as error:
        _say(f"cannot write {path}: {error.strerror or error}; name another --result-dir")
        return False
    else:
        _say(f"written to {path}")
    return True


def _say(text: str) -> None:
    say_on_stderr(f"tokenclock calibrate: {text}")
