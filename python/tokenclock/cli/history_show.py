"""`tokenclock history show`: one run with all its numbers."""

from __future__ import annotations

import argparse
import json
import os
from typing import TYPE_CHECKING

from tokenclock.cli.history_list import facts_of
from tokenclock.cli.history_place import add_place_flag, open_history
from tokenclock.cli.standard_streams import show
from tokenclock.cli.written import write_output
from tokenclock.errors import UsageError

if TYPE_CHECKING:
    from tokenclock.store.record import RunRecord

__all__ = ["add_flags", "run"]


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument("run", metavar="ID", help="of `tokenclock history list`, or the beginning of the run's hash")
    add_place_flag(parser)
    parser.add_argument("--json", action="store_true", help="everything but the stored result, as JSON")
    parser.add_argument("--result", metavar="FILE", help="write the stored result of tokenclock; - for stdout")
    parser.add_argument("--html", metavar="FILE", help="write the run's own page (needs plotly)")


def run(arguments: argparse.Namespace) -> int:
    """Print the run, or write what was asked for; 0, or 2 where there is no such run."""
    for name in ("result", "html"):
        path = getattr(arguments, name)
        if path is not None and path != "-" and not os.path.isdir(os.path.dirname(path) or "."):
            raise UsageError(f"--{name} {path}: there is no directory {os.path.dirname(path)}; make it first")
    with open_history(arguments.history) as database:
        found = database.run(arguments.run)
    if arguments.result is not None or arguments.html is not None:
        return _write(found, arguments)
    if arguments.json:
        return show("tokenclock history", json.dumps(facts_of(found, found.metrics), indent=1))
    return show("tokenclock history", _text(found))


def _text(found: RunRecord) -> str:
    from tokenclock.store.filter import COLUMNS, text_of
    from tokenclock.store.words import shown_number, shown_unit, table

    facts = {name: text_of(getattr(found, name)) for name in COLUMNS}
    rows = [
        ("id", str(found.id)), ("hash", found.hash), ("created (UTC)", f"{found.created:%Y-%m-%d %H:%M:%S}"),
        *facts.items(), *((f"tag {name}", value) for name, value in found.tags.items()), ("source", found.source),
        ("result", "not stored" if found.content is None else "stored: --result FILE, --html FILE"),
    ]  # fmt: skip
    lines = [f"{name:<14} {value}" for name, value in rows if value]
    numbers = [
        (
            name, shown_number(of.value, of.unit),
            "" if of.low is None or of.high is None
            else f"{shown_number(of.low, of.unit)} to {shown_number(of.high, of.unit)}",
            shown_unit(of.unit),
        )
        for name, of in found.metrics.items()
    ]  # fmt: skip
    if not numbers:
        return "\n".join([*lines, "", "no numbers"])
    return "\n".join([*lines, "", table(["metric", "value", "95 % interval", "unit"], numbers, right=[1])])


def _write(found: RunRecord, arguments: argparse.Namespace) -> int:
    import zlib

    from tokenclock.atomic_file import atomic_write

    if found.content is None:
        raise UsageError(f"run {found.id} is of {found.tool or 'no file'}: only results of tokenclock are stored")
    raw = zlib.decompress(found.content)
    if arguments.html is not None:
        write_output("history", arguments.html, lambda: _page(found, json.loads(raw), arguments.html))
    if arguments.result is None:
        return 0
    text = json.dumps(json.loads(raw), indent=1)
    if arguments.result == "-":
        return show("tokenclock history", text)

    def write() -> None:
        with atomic_write(arguments.result) as file:
            file.write(text.encode("ascii") + b"\n")

    write_output("history", arguments.result, write)
    return 0


def _page(found: RunRecord, content: object, path: str) -> None:
    from tokenclock.report import run_page
    from tokenclock.report.run_page import ShownRun
    from tokenclock.result import Result

    assert isinstance(content, dict)
    run_page.write([ShownRun(f"run {found.id}", Result.from_dict(content), None, None)], path)
