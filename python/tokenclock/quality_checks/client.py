"""Whether this program kept up: lags, CPU that it used and CPU that it was not given, load asked against load made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tokenclock.metrics import client_cost, in_flight
from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.steady_state import to_fill
from tokenclock.metrics.summary import distribution
from tokenclock.quality_checks.figure import Figure, Value, spread_ns
from tokenclock.records import Records

__all__ = ["client_figures"]


def client_figures(records: Records, facts: RunFacts) -> Iterator[Figure]:
    """Send lag or idle slots, CPU, starvation, steal, rate and concurrency kept."""
    yield _lag(records, facts)
    cpu = client_cost.cpu_use(records)
    counters: dict[str, Any] = records.client.get("host", {})
    details: dict[str, Value] = {
        "ns_per_event": cpu.ns_per_event,
        "loop_busy_share": cpu.loop_busy_share,
        "process_share_of_core": cpu.process_share_of_core,
        "system_share": counters.get("busy_share"),
        "n_involuntary_switches": cpu.n_involuntary_switches,
    }
    yield Figure("cpu", cpu.share_of_core, details)
    if cpu.starved_share is not None:
        waits = {"n_involuntary_switches": cpu.n_involuntary_switches, "core_wait_share": cpu.core_wait_share}
        yield Figure("starved", cpu.starved_share, waits)
    if counters.get("steal_share") is not None:
        yield Figure("steal", counters["steal_share"])
    rate = client_cost.rate_kept(records, facts)
    yield Figure("rate", rate.deviation, {"asked": rate.asked, "scheduled": rate.scheduled, "sent": rate.sent})
    if facts.loop == "closed" and facts.max_concurrency is not None:
        kept = in_flight.concurrency_kept(records, facts.max_concurrency)
        details = {"asked": kept.asked, "reached": kept.reached, "mean": kept.mean}
        wanted = ("ok", "") if facts.pauses else None
        remedy = _concurrency_remedy(records, facts)
        yield Figure("concurrency", kept.shortfall, details, remedy=remedy, verdict=wanted)


def _concurrency_remedy(records: Records, facts: RunFacts) -> str:
    """What the run tells of the cause; nothing where the table's own words fit."""
    slots = facts.max_concurrency or 0
    if facts.slots_open_ns or records.client.get("interrupted") or facts.num_prompts >= 5 * slots:
        return f"{to_fill(slots, records, facts)}; where slots stood empty, see slot idle"
    return ""


def _lag(records: Records, facts: RunFacts) -> Figure:
    lag = distribution("send_lag", client_cost.send_lag_ns(records, facts))
    # in a burst all requests are due at once: how long sending them takes is shown, but it is no fault; likewise pauses
    judged = None if facts.loop == "burst" or facts.pauses else lag.percentile(99)
    tag = "slot_idle" if facts.loop == "closed" else "send_lag"
    return Figure(tag, judged, {"n": lag.n, **spread_ns(lag)}, remedy=_lag_remedy(records, facts, tag))


def _lag_remedy(records: Records, facts: RunFacts, tag: str) -> str:
    """What made requests late, as far as the records tell: the limit of requests in flight, or new connections."""
    limit = facts.max_concurrency
    if facts.loop == "open" and limit is not None and int(records.client.get("max_in_flight", 0)) >= limit:
        return f"raise --max-concurrency, at whose {limit} requests in flight later ones had to wait, or lower the rate"
    n_good, n_new = int(records.ok.sum()), int((records.ok & records.present("t_connect_ns")).sum())
    if 2 * n_new > n_good > (limit or 0):
        usual = "or raise --workers" if tag == "slot_idle" else "or lower the rate"
        closes = (
            "the server closes them: let it keep them" if facts.connection == "reuse" else "give --connection reuse"
        )
        return (
            f"stop other work on this machine, {usual}; {n_new} of {n_good} good requests opened a connection: {closes}"
        )
    return ""
