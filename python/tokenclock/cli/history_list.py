"""`tokenclock history list`: runs, the newest first."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tokenclock.cli.arguments import metric_list, whole_number
from tokenclock.cli.history_filters import add_filter_flags, filter_of
from tokenclock.cli.history_place import add_place_flag, open_history
from tokenclock.cli.history_series import known_metrics
from tokenclock.cli.standard_streams import show
from tokenclock.errors import UsageError
from tokenclock.standard_error import say_on_stderr

if TYPE_CHECKING:
    from tokenclock.store.record import MetricValue, RunRow

__all__ = ["add_flags", "facts_of", "run"]

_METRICS = ("ttft.mean", "tpot.mean", "latency.mean", "output_throughput")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    add_place_flag(parser)
    add_filter_flags(parser)
    out = parser.add_argument_group("what is shown")
    out.add_argument(
        "--limit", type=whole_number, default=20, metavar="N", help="so many of the newest; 0: all (default: 20)"
    )
    out.add_argument(
        "--metrics",
        type=metric_list,
        default=_METRICS,
        metavar="LIST",
        help=f"numbers beside each run (default: {','.join(_METRICS)}, as far as there are any)",
    )
    out.add_argument("--json", action="store_true", help="one JSON object a line, with every number in its base unit")


def run(arguments: argparse.Namespace) -> int:
    """Print the runs; 0, also where there are none."""
    if arguments.limit < 0:
        raise UsageError(f"--limit must be 0 or more, got {arguments.limit}")
    from tokenclock.store.filter import Filter

    where = filter_of(arguments)
    with open_history(arguments.history) as database:
        if arguments.metrics != _METRICS:
            known_metrics(arguments, database, Filter())
        runs = database.runs(where, limit=arguments.limit or None)
        numbers = database.metrics_of([row.id for row in runs])
    if not runs:
        say_on_stderr("tokenclock history: no run is as asked for")
        return 0
    if arguments.json:
        lines = (json.dumps(facts_of(row, numbers.get(row.id, {})), ensure_ascii=True) for row in runs)
        return show("tokenclock history", "\n".join(lines))
    return show("tokenclock history", _table(runs, numbers, arguments.metrics))


def facts_of(row: RunRow, numbers: Mapping[str, MetricValue]) -> dict[str, Any]:
    """A run as JSON has it."""
    from tokenclock.store.record import RunRow

    facts = {name: getattr(row, name) for name in RunRow.__dataclass_fields__}
    facts["created"] = row.created.isoformat()
    facts["tags"] = dict(row.tags)
    if row.request_rate == float("inf"):
        facts["request_rate"] = "inf"
    found = {name: {"value": of.value, "low": of.low, "high": of.high, "unit": of.unit} for name, of in numbers.items()}
    return {"id": facts.pop("id"), **facts, "metrics": found}


def _table(runs: Sequence[RunRow], numbers: Mapping[int, Mapping[str, MetricValue]], names: Sequence[str]) -> str:
    from tokenclock.store.words import load_words, shown_number, shown_unit, table

    heads = ["id", "created (UTC)", "model", "label", "test", "load", "gpu", "state"]
    n_facts = len(heads)
    rows = [
        [
            str(run.id), f"{run.created:%Y-%m-%d %H:%M}", run.model, run.label, run.test, load_words(run), run.gpu,
            run.state,
        ]
        for run in runs
    ]  # fmt: skip
    for name in names:
        found = [numbers.get(run.id, {}).get(name) for run in runs]
        unit = next((of.unit for of in found if of is not None), "")
        heads.append(f"{name} ({shown_unit(unit)})" if unit else name)
        for row, of in zip(rows, found, strict=True):
            row.append("" if of is None else shown_number(of.value, of.unit))
    return table(heads, rows, right=[0, *range(n_facts, len(heads))])
