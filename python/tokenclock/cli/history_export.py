"""`tokenclock history export`: runs and their numbers for other programs."""

from __future__ import annotations

import argparse
import os
import sys

from tokenclock.cli.history_filters import add_filter_flags, filter_of
from tokenclock.cli.history_place import add_place_flag, open_history
from tokenclock.cli.standard_streams import give_up, show
from tokenclock.errors import TokenclockError, UsageError
from tokenclock.standard_error import say_on_stderr

__all__ = ["add_flags", "run"]

_SUFFIXES = {".csv": "csv", ".parquet": "parquet", ".arrow": "arrow", ".feather": "arrow"}


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument(
        "file", metavar="FILE", help="a row a run, a column a metric, in base units; - for CSV to stdout"
    )
    add_place_flag(parser)
    add_filter_flags(parser)
    out = parser.add_argument_group("what is written")
    out.add_argument(
        "--format",
        choices=("csv", "parquet", "arrow"),
        help="parquet and arrow need pyarrow (default: by the file's ending: .csv, .parquet, .arrow, .feather)",
    )
    out.add_argument("--intervals", action="store_true", help="also the 95 %% bounds, in columns .low and .high")


def run(arguments: argparse.Namespace) -> int:
    """Write the file; 0."""
    form = _format(arguments)
    where = filter_of(arguments)
    with open_history(arguments.history) as database:
        from tokenclock.store import export

        if arguments.file == "-":
            try:
                export.write_csv(database, sys.stdout.buffer, where, intervals=arguments.intervals)
            except OSError as error:
                return give_up("tokenclock history", error)
            return show("tokenclock history")
        try:
            n = export.write(database, arguments.file, form, where, intervals=arguments.intervals)
        except ImportError as error:
            raise TokenclockError(f"{form} needs {error.name}; pip install 'tokenclock[arrow]'") from error
        except OSError as error:
            raise TokenclockError(f"cannot write {arguments.file}: {error.strerror or error}") from error
    say_on_stderr(f"tokenclock history: {n} runs written to {arguments.file}")
    return 0


def _format(arguments: argparse.Namespace) -> str:
    path, given = arguments.file, arguments.format
    if path == "-":
        if given not in (None, "csv"):
            raise UsageError(f"--format {given} needs a file, got -: only csv goes to stdout")
        return "csv"
    if not os.path.isdir(os.path.dirname(path) or "."):
        raise UsageError(f"{path}: there is no directory {os.path.dirname(path)}; make it first")
    form = given or _SUFFIXES.get(os.path.splitext(path)[1].lower())
    if form is None:
        raise UsageError(f"{path} must end in {', '.join(_SUFFIXES)}, or give --format csv, parquet or arrow")
    return str(form)
