"""A session as one HTML page: verdict, the gate's decisions with their intervals, all numbers. Needs plotly."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from tokenclock.perftest.outcome import FAILED, INVALID, Outcome
from tokenclock.perftest.report_entry import (
    IF_MEANT,
    VERDICTS,
    Decided,
    Entry,
    Session,
    change,
    compared_value,
    counts,
    headline,
    shown_state,
    shown_value,
    trend,
    visible,
    worst_verdict,
)
from tokenclock.report import page
from tokenclock.report.page import Plot, term

__all__ = ["write", "write_run_page"]

_CLASS = {"regression": "worse", "improvement": "better", FAILED: "worse", INVALID: "worse"}
_COLOURS = {"regression": "#d55e00", "improvement": "#009e73", "too noisy": "#cc79a7", "no baseline": "#999999"}
_OTHER_COLOUR = "#0072b2"
_MOST_DRAWN = 20
_ROW_PX, _FRAME_PX = 24, 110  # of a metric in the picture, and of what is around them


def write(session: Session, path: str | os.PathLike[str]) -> None:
    """Write the page, whole or not at all.

    Raises:
        ImportError: no plotly.
        OSError: it cannot be written.
    """
    plots = _plots(session)
    parts = ["<h1>Performance tests</h1>", _verdict(session), _cards(session)]
    if plots:
        parts.append('<div class="figures">' + "".join(page.figure(plot) for plot in plots) + "</div>")
    parts += ["<h2>Cases</h2>", _cases(session)]
    for number, entry in enumerate(session.entries, start=1):
        if entry.outcome.rows:
            parts.append(f"<h2>#{number} {escape(entry.outcome.case.canonical)}</h2>")
            if entry.decisions:
                parts += ["<h3>Against the baseline</h3>", _decisions(entry)]
            if entry.accept:
                parts.append(f"<p>{escape(IF_MEANT.capitalize())}: <code>{escape(entry.accept)}</code></p>")
            parts += ["<h3>Numbers</h3>", _numbers(entry)]
    page.write(path, "Performance tests", "\n".join(parts), plots)


def write_run_page(outcome: Outcome, path: Path) -> bool:
    """Write the page of a case's own results; False where none can be read.

    Raises:
        ImportError: no plotly.
        OSError: it cannot be written.
    """
    from tokenclock.errors import UsageError
    from tokenclock.metrics.series import run_series
    from tokenclock.readers.ours import OwnResult
    from tokenclock.readers.read import read_file
    from tokenclock.report import run_page

    runs = []
    for place in outcome.results:
        try:
            found = [result for result in read_file(place) if isinstance(result, OwnResult)]
            for own in found:
                records = own.records() if own.result.kind == "serving" else None
                name = str(place.relative_to(outcome.folder) if place.is_relative_to(outcome.folder) else place)
                series = None if records is None else run_series(records)
                runs.append(run_page.ShownRun(name, own.result, series, records))
        except UsageError:
            continue
    if runs:
        run_page.write(runs, path)
    return bool(runs)


def _verdict(session: Session) -> str:
    found = counts(session)
    bad = bool({"regression", FAILED} & found.keys())
    kind = " invalid" if bad else " warn" if {INVALID, "too noisy"} & found.keys() else ""
    reasons = [
        f"{entry.outcome.case.canonical}: {entry.outcome.reason}" for entry in session.entries if entry.outcome.reason
    ]
    reasons += [
        f"{entry.outcome.case.canonical}: {decision.metric} {decision.verdict}: {decision.reason}"
        for entry in session.entries
        for decision in entry.decisions
        if decision.verdict == "regression"
    ]
    lines = "".join(f"<li>{escape(line)}</li>" for line in reasons)
    return (
        f'<div class="verdict{kind}"><strong>{escape(headline(session))}</strong>'
        f"{f'<ul>{lines}</ul>' if lines else ''}</div>"
    )


def _cards(session: Session) -> str:
    seconds = (session.ended - session.started).total_seconds()
    facts = [
        ("host", session.host),
        ("started (UTC)", f"{session.started:%Y-%m-%d %H:%M:%S}"),
        ("took", f"{seconds:.0f} s"),
        *([("prefix", session.prefix)] if session.prefix else []),
    ]
    cards = "".join(
        f'<div class="card">{escape(name)}<b style="font-size:1rem;overflow-wrap:anywhere">{escape(value)}</b></div>'
        for name, value in facts
    )
    return f'<div class="cards">{cards}</div>'


def _cases(session: Session) -> str:
    rows = []
    for number, entry in enumerate(session.entries, start=1):
        outcome = entry.outcome
        name = f"#{number} {escape(outcome.case.canonical)}"
        rows.append(
            [
                name if entry.page is None else f'<a href="{escape(entry.page, quote=True)}">{name}</a>',
                _marked(outcome.state),
                _marked(worst_verdict(entry)),
                str(len(outcome.repeats)),
            ]
        )
    return page.table(["case", "state", "gate", "repeats"], rows, words=(1, 2), label="Cases")


def _decisions(entry: Entry) -> str:
    rows = [
        [
            escape(decision.metric),
            f"{_marked(decision.verdict)}<div class=long>{escape(decision.reason)}</div>",
            compared_value(entry, decision, decision.value),
            compared_value(entry, decision, decision.baseline),
            escape(change(decision)).replace(" [", "<br>["),
            trend(decision),
            visible(decision),
            str(decision.n_history),
        ]
        for decision in entry.decisions
    ]
    head = [
        *("metric", "verdict, and why", "value", "baseline"),
        term("change", "value against baseline, with the prediction interval of the change"),
        term("trend", "the last sessions in order of time, low to high, this one at the end"),
        term("visible from", "the smallest change for the worse that would have been called with the power asked for"),
        term("runs", "earlier valid runs of the same key that the baseline was made from"),
    ]
    return page.table(head, rows, words=(1, 5), label=f"{entry.outcome.case.canonical} against the baseline")


def _numbers(entry: Entry) -> str:
    outcome = entry.outcome
    several = len({row.network for row in outcome.rows}) > 1
    rows = [
        [
            *([escape(row.network)] if several else []),
            escape(row.metric_type),
            escape(shown_value(row)) if row.value is not None else term("n/a", row.reason),
            _marked(row.state) + escape(shown_state(row).removeprefix(row.state)),
            f"{row.started:%H:%M:%S}",
        ]
        for row in outcome.rows
    ]
    head = [*(["network"] if several else []), "metric", "median of the repeats", "state", "started (UTC)"]
    words = (1, 2, 3) if several else (1, 2)
    return page.table(head, rows, words=words, label=f"Numbers of {outcome.case.canonical}")


def _marked(text: str) -> str:
    return f'<span class="{_CLASS[text]}">{escape(text)}</span>' if text in _CLASS else escape(text)


def _plots(session: Session) -> list[Plot]:
    """One figure: the change of each metric against its baseline, of many the ones that ask for something first."""
    every = [
        (number, decision)
        for number, entry in enumerate(session.entries, start=1)
        for decision in entry.decisions
        if decision.ratio is not None
    ]
    if not every:
        return []
    order = [*VERDICTS, ""]
    decided = sorted(every, key=lambda pair: order.index(pair[1].verdict if pair[1].verdict in VERDICTS else ""))
    decided = decided[:_MOST_DRAWN]
    height_px = _FRAME_PX + _ROW_PX * len({(number, decision.metric) for number, decision in decided})
    verdicts = list(dict.fromkeys(decision.verdict for _, decision in decided))
    traces = [_trace(verdict, [pair for pair in decided if pair[1].verdict == verdict]) for verdict in verdicts]
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": "change against the baseline (%)"}, "zeroline": True, "range": _range(decided)},
        "yaxis": {"type": "category", "automargin": True, "autorange": "reversed", "dtick": 1},
    }
    caption = (
        "# is the case below. Bars are prediction intervals of the change; one that leaves the picture is wider. Lower "
        "is better for times and memory, higher for rates."
    )
    if len(decided) < len(every):
        caption += f" {len(decided)} of {len(every)} metrics, regressions first; the tables below have all."
    return [
        Plot(
            "against-baseline",
            "Metrics against their baseline",
            caption,
            traces,
            layout,
            wide=True,
            height_px=height_px,
        )
    ]


def _range(decided: Sequence[tuple[int, Decided]]) -> list[float]:
    """Of the axis: every change, and the intervals of all that is not too noisy, whose bars would dwarf the rest."""
    ends = [0.0]
    for _, decision in decided:
        bounds = (decision.ratio, *(() if decision.verdict == "too noisy" else (decision.low, decision.high)))
        ends += [(bound - 1) * 100 for bound in bounds if bound is not None and math.isfinite(bound)]
    margin = max(2.0, 0.08 * (max(ends) - min(ends)))
    return [min(ends) - margin, max(ends) + margin]


def _trace(verdict: str, pairs: Sequence[tuple[int, Decided]]) -> dict[str, Any]:
    colour = _COLOURS.get(verdict, _OTHER_COLOUR)
    x, above, below, names = [], [], [], []
    for number, decision in pairs:
        assert decision.ratio is not None
        at = (decision.ratio - 1) * 100
        x.append(at)
        above.append(0.0 if decision.high is None else max(0.0, (decision.high - 1) * 100 - at))
        below.append(0.0 if decision.low is None else max(0.0, at - (decision.low - 1) * 100))
        names.append(f"#{number} {decision.metric}")
    return {
        "type": "scatter",
        "mode": "markers",
        "name": verdict,
        "mark": colour,
        "x": x,
        "y": names,
        "marker": {"color": colour, "size": 9},
        "error_x": {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "color": colour},
    }
