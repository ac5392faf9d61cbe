"""`tokenclock history regressions`: where a metric changed for good."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tokenclock.cli.arguments import number, whole_number
from tokenclock.cli.history_filters import add_filter_flags, filter_of
from tokenclock.cli.history_place import add_place_flag, open_history
from tokenclock.cli.history_series import add_by_flag, add_metrics_flag, by_of, known_metrics, progress
from tokenclock.cli.standard_streams import show
from tokenclock.cli.written import write_output
from tokenclock.errors import GateMissed, UsageError
from tokenclock.standard_error import say_on_stderr

if TYPE_CHECKING:
    from tokenclock.store.regressions import Found

__all__ = ["add_flags", "run"]

_DESCRIPTION = """\
Looks in every series of runs for places where the level of a metric changed and stayed changed: E-divisive change-point
detection with permutation tests. A single bad run is no change, and a change shows once at least five runs have come
after it; `baseline` judges a single fresh run. With --since only changes from then on are told; what came before is
still what they are compared with."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.description = _DESCRIPTION
    add_place_flag(parser)
    add_by_flag(parser)
    add_metrics_flag(parser, "only these (default: every metric)")
    parser.add_argument(
        "--min-change",
        type=number,
        default=2.0,
        metavar="PERCENT",
        help="a smaller change of level is never told (default: 2)",
    )
    parser.add_argument(
        "--significance",
        type=number,
        default=0.01,
        metavar="P",
        help="chance of finding a change in a series of noise, from 0.01 to 1 (default: 0.01)",
    )
    parser.add_argument("--improvements", action="store_true", help="tell changes for the better too")
    add_filter_flags(parser)
    out = parser.add_argument_group("what is written")
    out.add_argument("--limit", type=whole_number, default=40, metavar="N", help="lines at most; 0: all (default: 40)")
    out.add_argument(
        "--json", metavar="FILE", help="every change told, with exact numbers; - for stdout, without the table"
    )
    out.add_argument(
        "--fail-on-regression",
        action="store_true",
        help="end with 3 where a regression is told that was not undone since",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print what changed, the newest first; 0.

    Raises:
        GateMissed: a regression, with `--fail-on-regression`.
    """
    _check(arguments)
    from dataclasses import replace

    by, where = by_of(arguments), filter_of(arguments)
    counts: list[int] = []
    with open_history(arguments.history) as database:
        from tokenclock.store.regressions import regressions

        whole = replace(where, since=None)
        metrics = known_metrics(arguments, database, whole)
        with progress() as say:
            found = regressions(
                database,
                whole,
                by,
                metrics,
                since=where.since,
                significance=arguments.significance,
                minimum_change=arguments.min_change / 100,
                looked_at=counts.append,
                say=say,
            )
        runs = database.count(where)
    if not runs:
        say_on_stderr("tokenclock history: no run is as asked for")
    elif sum(counts) >= 1 / arguments.significance:
        chance = round(sum(counts) * arguments.significance)
        say_on_stderr(
            f"tokenclock history: {sum(counts)} series were looked at; of noise alone up to about {chance} of them "
            "would show a change"
        )
    told = [one for one in found if arguments.improvements or one.verdict == "regression"]
    if arguments.json == "-":
        import json

        code = show("tokenclock history", json.dumps(_plain(told), indent=2))
    else:
        code = show("tokenclock history", _text(told, arguments.limit, len(found) - len(told)))
        if arguments.json is not None:
            from tokenclock.report import json_file

            write_output("history", arguments.json, lambda: json_file.write_plain(_plain(told), arguments.json))
    lasting = [one for one in told if one.verdict == "regression" and one.current]
    if lasting and arguments.fail_on_regression:
        names = ", ".join(dict.fromkeys(one.metric for one in lasting))
        n = len({(one.metric, tuple(one.key.items())) for one in lasting})
        changes = "" if n == len(lasting) else f", in {len(lasting)} steps"
        raise GateMissed(f"--fail-on-regression: {n} series got worse and stayed so{changes} ({names})")
    return code


def _check(arguments: argparse.Namespace) -> None:
    if not 0 <= arguments.min_change <= 1000:
        raise UsageError(f"--min-change must be a percentage from 0 to 1000, got {arguments.min_change:g}")
    if not 0.01 <= arguments.significance <= 1:
        raise UsageError(f"--significance must be from 0.01 to 1, got {arguments.significance:g}")
    if arguments.limit < 0:
        raise UsageError(f"--limit must be 0 or more, got {arguments.limit}")
    path = arguments.json
    if path not in (None, "-") and not os.path.isdir(os.path.dirname(path) or "."):
        raise UsageError(f"--json {path}: there is no directory {os.path.dirname(path)}; make it first")


def _plain(found: Sequence[Found]) -> dict[str, object]:
    return {"changes": [one.to_dict() for one in found]}


def _text(found: Sequence[Found], limit: int, improvements: int) -> str:
    from tokenclock.store.words import table

    rest = f"{improvements} changes for the better: --improvements tells them" if improvements else ""
    if not found:
        return "\n".join(["no series got worse", *([rest] if rest else [])])
    shown = found[: limit or None]
    rows = [
        [
            one.verdict, one.metric, one.series_name(), f"{one.created:%Y-%m-%d %H:%M}", str(one.run_id),
            one.words.shown(one.change.before), one.words.shown(one.change.after), f"{one.change.ratio - 1:+.1%}",
            f"{one.change.p:g}", f"{one.n_after}{'' if one.current else ', undone since'}",
        ]
        for one in shown
    ]  # fmt: skip
    heads = ["what", "metric", "series", "since (UTC)", "run", "before", "after", "change", "p", "runs since"]
    lines = [table(heads, rows, right=[4, 5, 6, 7])]
    if len(shown) < len(found):
        lines.append(f"{len(found) - len(shown)} more: --limit 0 shows all")
    return "\n".join([*lines, *([rest] if rest else [])])
