"""Whether the run had a steady part, stayed steady in it, and whether the server fell silent."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tokenclock import units
from tokenclock.metrics import latency
from tokenclock.metrics.blocks import time_blocks
from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.silence import longest_silence
from tokenclock.metrics.steadiness import changes
from tokenclock.metrics.steady_state import steady_window
from tokenclock.quality_checks.figure import Figure, Value
from tokenclock.records import Records

__all__ = ["steadiness_figures"]

_SILENT_NS = 500 * units.NS_PER_MS  # shorter ones are not judged
_TITLES = {"ttft": "TTFT", "tpot": "TPOT", "e2el": "E2EL"}


def steadiness_figures(records: Records, facts: RunFacts) -> Iterator[Figure]:
    """A steady window, drift within it, and the longest silence while requests were under way."""
    if not records.ok.any():
        return
    window = steady_window(records, facts)
    if facts.loop != "burst" and facts.ramp_up is None:
        # one request at a time is always full; so few that no window fits is what "ramp-only" means
        yield Figure("steady", int(not window.length_ns), {"why": window.reason, "length_ns": window.length_ns})
    if window.length_ns:
        yield _drift(records, facts, window.t_start_ns or 0, window.t_end_ns or 0)
    silence = longest_silence(records) if facts.streaming else None
    ttft = latency.ttft_ns(records)
    if silence is not None and np.isfinite(ttft).any():
        usual = float(np.nanmedian(ttft))
        judged = silence.length_ns / usual if silence.length_ns > _SILENT_NS and usual > 0 else 0.0
        yield Figure("silence", judged, {"longest_ns": silence.length_ns, "t_start_ns": silence.t_start_ns})


def _drift(records: Records, facts: RunFacts, t_start_ns: int, t_end_ns: int) -> Figure:
    """The largest significant change of a latency within the window; 0: there is none, None: too short to tell."""
    ok = records.ok
    blocks = time_blocks(t_start_ns, t_end_ns, latency.median_e2el_ns(records))
    t_sent = records.columns["t_sent_ns"][ok]
    columns = {"ttft": latency.ttft_ns, "tpot": latency.tpot_ns} if facts.streaming else {"e2el": latency.e2el_ns}
    found = [(tag, change) for tag, of in columns.items() for change in changes(of(records)[ok], t_sent, blocks)]
    beyond = [(abs(change.share), tag, change) for tag, change in found if change.is_significant]
    if not beyond:
        return Figure("drift", 0.0 if found else None, {"n_blocks": blocks.n})
    size, tag, change = max(beyond, key=lambda entry: entry[0])
    details: dict[str, Value] = {
        "metric": _TITLES[tag],
        "kind": change.kind,
        "change": change.share,
        "n_blocks": blocks.n,
    }
    return Figure("drift", size, details)
