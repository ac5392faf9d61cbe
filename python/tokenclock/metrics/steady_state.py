"""The part of a run in which the load was what was asked for, and the numbers of that part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock import units
from tokenclock.metrics import latency
from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.in_flight import InFlight, in_flight
from tokenclock.metrics.summary import Distribution, distribution
from tokenclock.records import Records

__all__ = ["SteadyState", "Window", "steady_state", "steady_window", "to_fill"]

Array = npt.NDArray[Any]

RULES = {
    "closed": "from when as many requests ended as there are slots (and all were filled) to the last sending",
    "open": "from when the requests under way first reached their median to the last sending",
}
_FULL_SHARE = 0.9  # of the slots are filled, in the mean over the window
_LIFETIMES = 2  # a window is at least so many median E2EL long


@dataclass(frozen=True)
class Window:
    """Two instants of the run, ns; or none, and why.

    Args:
        rule: how the window was chosen, in words; it looks at the load alone, never at a metric that is reported.
        t_start_ns, t_end_ns: the window, None when there is none.
        reason: why there is none, else empty.
    """

    rule: str
    t_start_ns: int | None = None
    t_end_ns: int | None = None
    reason: str = ""

    @property
    def length_ns(self) -> int:
        """0 when there is no window."""
        return 0 if self.t_start_ns is None or self.t_end_ns is None else self.t_end_ns - self.t_start_ns

    def holds(self, t_ns: Array) -> Array:
        """bool (n,): instants inside, its start left out (there the load was not yet what it is inside)."""
        if self.t_start_ns is None or self.t_end_ns is None:
            return np.zeros(len(t_ns), dtype=bool)
        return np.asarray((t_ns > self.t_start_ns) & (t_ns <= self.t_end_ns))


def steady_window(records: Records, facts: RunFacts) -> Window:
    """The window of full concurrency of a closed loop, or after the warm-up of an open loop.

    How it is chosen is in ``RULES``. E2EL serves as the scale of time only: what is shorter than twice its median holds
    hardly a request from begin to end, and is no window.
    """
    if facts.ramp_up is not None:
        return Window("none", reason="the rate was changed over the whole run")
    if facts.loop == "burst":
        return Window("none", reason="all requests were sent at once")
    rule = RULES[facts.loop]
    sent = np.sort(records.columns["t_sent_ns"][records.present("t_sent_ns")])
    lifetime = latency.median_e2el_ns(records)
    if len(sent) < 2 or lifetime is None:
        return Window(rule, reason="too few requests were answered")
    found, end = in_flight(records), int(sent[-1])
    slots = facts.max_concurrency if facts.loop == "closed" else None
    start, reason = _closed_start(records, facts, found, slots) if slots else _open_start(found, sent)
    if start is None:
        return Window(rule, reason=reason)
    if not end - start >= _LIFETIMES * lifetime:
        spare = "raise --num-prompts" if slots is None else to_fill(slots, records, facts)
        length = f"{units.ns_to_s(max(0, end - start)):.2f} s"
        needed = f"{units.ns_to_s(_LIFETIMES * lifetime):.2f} s"
        return Window(rule, reason=f"the load held for {length}, needs two median E2EL, {needed}: {spare}")
    if slots and (mean := found.mean(start, end) or 0.0) < _FULL_SHARE * slots:
        return Window(rule, reason=f"only {mean:.1f} of {slots} slots were filled in the mean: see slot idle")
    return Window(rule, start, end)


def to_fill(slots: int, records: Records, facts: RunFacts) -> str:
    """What to do about a closed loop that ended before it had been full for long."""
    sent = records.columns["t_sent_ns"][records.present("t_sent_ns")]
    if facts.slots_open_ns and (not len(sent) or int(sent.max()) < facts.slots_open_ns):
        ramp = f"{units.ns_to_s(facts.slots_open_ns):g}"
        return f"the requests ran out within --ramp-up-seconds {ramp}: shorten it, or raise --num-prompts"
    if records.client.get("interrupted"):
        return "let it run to its end"
    enough = max(5 * slots, 2 * facts.num_prompts if facts.num_prompts >= 5 * slots else 0)
    return f"raise --num-prompts to {enough} or more"


def _closed_start(records: Records, facts: RunFacts, found: InFlight, slots: int) -> tuple[int | None, str]:
    full = found.first_at(slots)
    done = np.sort(records.columns["t_done_ns"][records.present("t_sent_ns") & records.present("t_done_ns")])
    if full is None or len(done) < slots:
        most = int(found.n.max())
        return None, f"{most} of {slots} slots were ever filled: {to_fill(slots, records, facts)}"
    return max(full, int(done[slots - 1])), ""


def _open_start(found: InFlight, sent: Array) -> tuple[int | None, str]:
    usual = found.median(int(sent[0]), int(sent[-1]))
    return (None, "all requests were sent at once") if usual is None else (found.first_at(usual), "")


@dataclass(frozen=True)
class SteadyState:
    """The numbers of the window, beside those of the whole run.

    Args:
        window: where it lies.
        rows: int64, the ok requests sent inside; latencies per request are theirs, to their end.
        concurrency: mean requests under way inside.
        request_throughput, output_throughput: requests that ended well, tokens that arrived, per second of the window.
        distributions: tag -> distribution; ``itl`` of the gaps that ended inside.
    """

    window: Window
    rows: Array
    concurrency: float | None = None
    request_throughput: float | None = None
    output_throughput: float | None = None
    distributions: Mapping[str, Distribution] = field(default_factory=dict)


def steady_state(records: Records, facts: RunFacts) -> SteadyState:
    """Find the window and summarise it."""
    window = steady_window(records, facts)
    rows = np.flatnonzero(records.ok & window.holds(records.columns["t_sent_ns"]))
    if window.t_start_ns is None or window.t_end_ns is None:
        return SteadyState(window, rows)
    columns = {"ttft": latency.ttft_ns, "tpot": latency.tpot_ns, "e2el": latency.e2el_ns}
    if facts.loop == "open":
        columns |= {"response_ttft": latency.response_ttft_ns, "response_e2el": latency.response_e2el_ns}
    asked = facts.metric_percentiles
    found = {tag: distribution(tag, of(records)[rows], asked) for tag, of in columns.items()}
    gaps, _, t_gap_ns = latency.timed_itl_ns(records)
    found["itl"] = distribution("itl", gaps[window.holds(t_gap_ns)], asked)
    ended = records.ok & window.holds(records.columns["t_last_token_ns"])
    return SteadyState(
        window,
        rows,
        in_flight(records).mean(window.t_start_ns, window.t_end_ns),
        units.per_s(int(ended.sum()), window.length_ns),
        _token_rate(records, window, ended),
        found,
    )


def _token_rate(records: Records, window: Window, ended: Array) -> float | None:
    """Tokens of events inside the window per second; without streaming, the tokens of answers that ended inside."""
    if records.n_events == 0:
        return units.per_s(int(np.maximum(records.columns["osl"][ended], 0).sum()), window.length_ns)
    counted = np.repeat(records.ok, np.diff(records.token_offsets)) & window.holds(records.t_token_ns)
    return units.per_s(int(records.n_tokens[counted].sum()), window.length_ns)
