"""The history as one HTML page, in a file that needs no network or from `history serve`. Needs plotly."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from tokenclock.atomic_file import atomic_write
from tokenclock.report import page
from tokenclock.store.dashboard_data import NEWEST_RUNS, DashboardData
from tokenclock.store.dashboard_words import in_reading_order
from tokenclock.store.filter import Filter
from tokenclock.store.regressions import DEFAULT_BY

if TYPE_CHECKING:
    from tokenclock.store.database import Database

__all__ = ["MOST_TRENDS", "dashboard_page", "described", "write_dashboard"]

MOST_TRENDS = 16
"""Metrics of a file that have their whole past in it; of others it holds the newest runs."""

_STYLES = ("page.css", "dashboard.css")
_SCRIPTS = ("dashboard_data.js", "dashboard_trend.js", "dashboard.js")


def write_dashboard(
    database: Database,
    path: str | os.PathLike[str],
    where: Filter | None = None,
    *,
    by: Sequence[str] = DEFAULT_BY,
    metrics: Sequence[str] = (),
    newest: int = NEWEST_RUNS,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Write the page, whole or not at all.

    Args:
        database: the history.
        path: the file.
        where: which runs are shown; None: all.
        by: columns that divide runs into series.
        metrics: whose whole past is shown; when empty, the first `MOST_TRENDS` in reading order.
        newest: runs that are told one by one, 1 or more; of older ones there are means over stretches of time.
        say: told what is being read.

    Raises:
        ImportError: no plotly.
        OSError: it cannot be written.
    """
    data = DashboardData(database, where or Filter(), by=by, newest=newest)
    words = described(data, metrics)
    loaded = {}
    for place, one in enumerate(words, start=1):
        told = f"reading {one['name']} ({place} of {len(words)})"
        say(told)
        loaded[one["name"]] = data.metric(one, trend=one["trend"], say=functools.partial(_further, say, told))
    with atomic_write(path) as file:
        file.writelines(dashboard_page(data, words, loaded, served=False))


def _further(say: Callable[[str], None], told: str, far: str) -> None:
    say(f"{told}: {far}")


def described(data: DashboardData, metrics: Sequence[str], *, most: int = MOST_TRENDS) -> list[dict[str, Any]]:
    """Every metric's words in reading order, those asked for first, and whether its whole past is shown."""
    order = list(dict.fromkeys([*metrics, *in_reading_order(data.metric_names)]))
    with_trend = len(metrics) or most
    return [{**data.words(name), "trend": place < with_trend} for place, name in enumerate(order)]


def dashboard_page(
    data: DashboardData,
    words: Sequence[dict[str, Any]],
    loaded: dict[str, Any],
    *,
    served: bool,
    stamp: str = "",
) -> list[bytes]:
    """The page in pieces.

    Args:
        data: the runs.
        words: of `described`.
        loaded: metric -> `DashboardData.metric`.
        served, stamp: the page asks its server for the metrics that are not loaded, and for single runs.

    Raises:
        ImportError: no plotly.
    """
    told = {"base": data.base(), "metrics": list(words), "loaded": loaded, "served": served, "stamp": stamp}
    return page.document(
        "tokenclock history", _body(data, served), told, styles=_STYLES, scripts=_SCRIPTS, asks_server=served
    )


def _body(data: DashboardData, served: bool) -> str:
    if data.runs:
        first, last = data.runs[-1].created, data.runs[0].created
        span = f"{first:%Y-%m-%d} to {last:%Y-%m-%d}"
        older = f", and {data.count - len(data.runs):,} older ones as means" if data.count > len(data.runs) else ""
        about = f"{len(data.runs):,} runs of {span}{older}"
    else:
        about = "The history holds no such run yet: tokenclock history add RESULT puts one in"
    hint = "" if served else " This file needs no network; tokenclock history serve shows each run's own page too."
    return f"""<h1>tokenclock history</h1>
<p class="soft">{escape(about)}.{hint}</p>
<noscript><p class="verdict invalid">The page draws with JavaScript, which is switched off here.</p></noscript>
<form class="filters" id="filters" aria-label="What is shown" onsubmit="return false"></form>
<p class="soft" id="status" role="status" aria-live="polite"></p>
<h2>Trend</h2>
<figure class="wide"><h3 id="trend-title"></h3>
<div class="legend" id="trend-legend" role="group" aria-label="Series: each alone"></div>
<div class="plot" id="trend" role="img" aria-labelledby="trend-title" aria-describedby="trend-note"></div>
<figcaption id="trend-note"></figcaption></figure>
<h2>Changes</h2>
<div id="changes"></div>
<h2>Runs</h2>
<div id="runs"></div>
<h2>Two runs side by side</h2>
<div id="pair"></div>
<dialog id="run" aria-labelledby="run-title"></dialog>"""
