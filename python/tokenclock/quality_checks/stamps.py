"""Where token events were stamped, and what blurs the stamps."""

from __future__ import annotations

from collections.abc import Iterator

from tokenclock.metrics import client_cost
from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.summary import RunSummary, distribution
from tokenclock.quality_checks.figure import Figure, Value, spread_ns
from tokenclock.records import MISSING_NS, Records

__all__ = ["stamp_figures", "streamed_figure"]


def stamp_figures(records: Records) -> Iterator[Figure]:
    """Source of the stamps, read lag, shared stamps, wall clock, and events that nobody understood."""
    client = records.client
    n_events = int(client.get("n_events", records.n_events))
    if client.get("transport") == "in process":  # no socket, no kernel: user space is where such tokens appear
        if n_events:
            found: dict[str, Value] = {"source": "user", "n_events": n_events, "transport": "in process"}
            yield Figure("stamps", 0.0, found, verdict=("ok", ""))
        lost = int(client.get("n_events_lost", 0))
        if lost:
            yield Figure("unrecognised", lost, {"n_dropped": lost})
        return
    if n_events:
        source = client.get("stamp_source")  # absent where a killed run's log does not tell it
        kernel = int(client.get("n_events_kernel", 0)) / n_events if source is not None else None
        details: dict[str, Value] = {"source": str(source or "not known"), "n_events": n_events}
        if client.get("transport") == "unix":
            details["transport"] = "unix"
        yield Figure("stamps", kernel, details)
        lag = distribution("read_lag", client_cost.read_lag_ns(records))
        yield Figure("read_lag", lag.percentile(99), spread_ns(lag))
        yield Figure("coalesced", int(client.get("n_events_coalesced", 0)) / n_events)
        n_firsts = max(1, int((records.columns["t_first_token_ns"] != MISSING_NS).sum()))
        yield Figure("first_token_shared", int(client.get("n_first_tokens_coalesced", 0)) / n_firsts)
        if kernel and "anchor_uncertainty_ns" in client:
            yield Figure("anchor", float(client["anchor_uncertainty_ns"]))
    stepped = {"n_events_stepped": int(client.get("n_events_stepped", 0))}
    yield Figure("clock", client.get("n_clock_steps"), stepped)
    # the client reads again, after the run, what its fast walker left alone; what stays unread is in no number
    unread = int(client.get("n_unrecognised", 0)) - int(client.get("n_resolved", 0))
    if client.get("n_unrecognised", 0):
        yield Figure("unrecognised", unread, {"n_dropped": int(client.get("n_unrecognised_dropped", 0))})


def streamed_figure(records: Records, facts: RunFacts, summary: RunSummary) -> Iterator[Figure]:
    """Answers that came whole though a stream was asked for."""
    whole = records.ok & (records.columns["t_first_token_ns"] == MISSING_NS) & (records.columns["osl"] > 0)
    if facts.streaming and whole.any():
        yield Figure("streamed", int(whole.sum()) / summary.n_ok)
