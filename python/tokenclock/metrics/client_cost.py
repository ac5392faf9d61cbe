"""What the client itself did to the measurement: lags, rates kept, CPU spent. Columns and counters in, numbers out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock import units
from tokenclock.dealing import rank_of_rows, share_of_slots
from tokenclock.metrics.facts import RunFacts
from tokenclock.records import Records

__all__ = [
    "AskedGot",
    "CpuUse",
    "RateKept",
    "asked_got",
    "cpu_use",
    "event_rate",
    "rate_kept",
    "read_lag_ns",
    "send_lag_ns",
]

Array = npt.NDArray[Any]


def read_lag_ns(records: Records) -> Array:
    """Per token event: from its arrival at the socket (kernel's stamp) to the read by this program.

    Empty when the stamps were taken in user space: arrival and read are then the same instant, and the lag is unknown.
    """
    if records.client.get("stamp_source") != "kernel":
        return np.zeros(0, np.int64)
    return np.asarray(records.t_read_ns - records.t_token_ns)


def send_lag_ns(records: Records, facts: RunFacts) -> Array:
    """How late requests were sent.

    Open loop and burst: ``t_sent - t_scheduled``. Closed loop: how long a slot stood empty, from the end of one
    request to the sending of the next; with C slots the (C + j)-th sending answers the j-th ending, once all slots have
    opened. Each of several ranks has slots and requests of its own.
    """
    sent = records.columns["t_sent_ns"]
    was_sent = records.present("t_sent_ns")
    if facts.loop != "closed":
        known = was_sent & records.present("t_scheduled_ns")
        return np.asarray(sent[known] - records.columns["t_scheduled_ns"][known])
    slots, size = facts.max_concurrency or 1, int(records.client.get("n_ranks", 1))
    of = rank_of_rows(records.n_requests, size, slots)
    lags = [_slot_idle_ns(records, of == rank, share_of_slots(slots, rank, size)) for rank in range(size)]
    later, idle = (np.concatenate(column) for column in zip(*lags, strict=True))
    return np.asarray(idle[later >= facts.slots_open_ns])


def _slot_idle_ns(records: Records, rows: Array, slots: int) -> tuple[Array, Array]:
    """When slots were filled again, and how long they had stood empty before; of the requests in bool (n,) `rows`."""
    was_sent = records.present("t_sent_ns") & rows
    ended = was_sent & records.present("t_done_ns")
    later = np.sort(records.columns["t_sent_ns"][was_sent])[slots:]
    endings = np.sort(records.columns["t_done_ns"][ended])[: len(later)]
    later = later[: len(endings)]
    return later, np.maximum(later - endings, 0)


@dataclass(frozen=True)
class RateKept:
    """Arrivals per second: as asked (None = unlimited), as drawn for the schedule, as sent."""

    asked: float | None
    scheduled: float | None
    sent: float | None

    @property
    def deviation(self) -> float | None:
        """Share by which sending missed the schedule (its own draw, not the asked mean: that is chance)."""
        if self.scheduled is None or self.sent is None:
            return None
        return abs(self.sent / self.scheduled - 1)


def rate_kept(records: Records, facts: RunFacts) -> RateKept:
    """Rates from the first to the last arrival of the requests that were sent."""
    was_sent = records.present("t_sent_ns")
    if facts.loop != "open":
        return RateKept(None, None, _rate(records.columns["t_sent_ns"][was_sent]))
    known = was_sent & records.present("t_scheduled_ns")
    scheduled, sent = (_rate(records.columns[name][known]) for name in ("t_scheduled_ns", "t_sent_ns"))
    return RateKept(facts.request_rate, scheduled, sent)


def _rate(instants: Array) -> float | None:
    span = int(instants.max() - instants.min()) if len(instants) > 1 else 0
    return units.per_s(len(instants) - 1, span) if span > 0 else None


@dataclass(frozen=True)
class CpuUse:
    """What receiving cost, and what it was denied; None where the client does not say.

    Args:
        share_of_core: CPU time of the busiest receiving thread / wall time.
        ns_per_event: CPU time of all receiving threads per token event.
        loop_busy_share: share of wall time that the busiest thread spent outside its wait for events.
        starved_share: share of wall time in which a thread had work but no core, of the thread with the highest: the
            larger of `core_wait_share` and of the time outside its wait for events for which no CPU time is counted.
            A thread that is woken late takes that for waiting: where `core_wait_share` is None, it is a lower bound.
        process_share_of_core: CPU time of the whole process / wall time; 1 = one core.
        n_involuntary_switches: how often the kernel took a core from a receiving thread.
        core_wait_share: share of the time that a thread stood ready to run without a core, as the kernel counts it.
    """

    share_of_core: float | None
    ns_per_event: float | None
    loop_busy_share: float | None = None
    starved_share: float | None = None
    process_share_of_core: float | None = None
    n_involuntary_switches: int | None = None
    core_wait_share: float | None = None


def cpu_use(records: Records) -> CpuUse:
    """From the counters of the receiving threads and of the process."""
    client = records.client
    workers = [w for w in client.get("workers", []) if w.get("wall_ns", 0) > 0]
    spent = [w["cpu_user_ns"] + w["cpu_system_ns"] for w in workers]
    n_events = client.get("n_events", records.n_events)
    timed = [(w["busy_ns"], cpu, w["wall_ns"]) for w, cpu in zip(workers, spent, strict=True) if "busy_ns" in w]
    switches = [w["involuntary_switches"] for w in workers if "involuntary_switches" in w]
    waited = [w["core_wait_share"] for w in workers if "core_wait_share" in w]
    unpaid = [max(0.0, (busy - cpu) / wall) for busy, cpu, wall in timed]
    wall_ns = client.get("wall_ns") or 0
    return CpuUse(
        max((cpu / w["wall_ns"] for cpu, w in zip(spent, workers, strict=True)), default=None),
        sum(spent) / n_events if spent and n_events else None,
        max((busy / wall for busy, _, wall in timed), default=None),
        max([*unpaid, *waited], default=None),
        client["process_cpu_ns"] / wall_ns if wall_ns > 0 and "process_cpu_ns" in client else None,
        sum(switches) if switches else None,
        max(waited, default=None),
    )


def event_rate(records: Records) -> float | None:
    """Token events per second of the busiest whole second; of the whole run where that is under two; None below two."""
    if records.n_events < 2:
        return None
    since_first_ns = records.t_token_ns - records.t_token_ns.min()
    span_ns = int(since_first_ns.max())
    if span_ns < 2 * units.NS_PER_S:
        return units.per_s(records.n_events - 1, span_ns) if span_ns > 0 else None
    per_second = np.bincount((since_first_ns // units.NS_PER_S).astype(np.int64))
    return float(per_second[: span_ns // units.NS_PER_S].max())


@dataclass(frozen=True)
class AskedGot:
    """A length asked for against the length got, over ok requests that report it."""

    n: int
    asked: int
    got: int
    share_exact: float | None
    min_deviation: int | None
    max_deviation: int | None

    @property
    def deviation(self) -> float | None:
        """Share by which the total misses what was asked."""
        return abs(self.got - self.asked) / self.asked if self.n and self.asked else None


def asked_got(records: Records, asked: str, got: str) -> AskedGot:
    """Compare two length columns, e.g. ``isl_requested`` and ``isl_server``."""
    wanted, found = records.columns[asked].astype(np.int64), records.columns[got].astype(np.int64)
    known = records.ok & (wanted >= 0) & (found >= 0)
    off = found[known] - wanted[known]
    if not len(off):
        return AskedGot(0, 0, 0, None, None, None)
    return AskedGot(
        len(off),
        int(wanted[known].sum()),
        int(found[known].sum()),
        float(np.mean(off == 0)),
        int(off.min()),
        int(off.max()),
    )
