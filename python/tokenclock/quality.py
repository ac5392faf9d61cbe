"""Can this measurement be trusted? Checks with threshold, value and remedy, and one verdict: the worst of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from tokenclock import units
from tokenclock.metrics import client_cost, latency
from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.summary import Distribution, RunSummary, distribution, samples_needed
from tokenclock.records import MISSING_NS, OSL_SOURCE_NAMES, STATUS_NAMES, Records

__all__ = ["INVALID", "OK", "THRESHOLDS", "WARN", "Check", "Quality", "SampleMark", "Threshold", "assess"]

OK, WARN, INVALID = "ok", "warn", "invalid"
VERDICTS = {OK: "VALID", WARN: "VALID with warnings", INVALID: "INVALID"}
_SEVERITY = (OK, WARN, INVALID)

Value: TypeAlias = float | int | str | None


@dataclass(frozen=True)
class Threshold:
    """A check warns beyond ``warn`` and invalidates beyond ``invalid`` (None: never). Beyond means above, or below
    where ``worse`` says so. ``says`` is the reason, with ``{value}`` and ``{limit}`` as ``shown`` prints them."""

    warn: float | None
    invalid: float | None
    says: str
    remedy: str
    worse: str = "above"
    shown: str = "{:.1%}"


# The one table of limits. Shares are 0..1, instants are ns.
THRESHOLDS: dict[str, Threshold] = {
    "complete": Threshold(
        0, None, "the run was interrupted: {value} requests did not end", "let it run to its end", shown="{:.0f}"
    ),
    "stamps": Threshold(
        0.99,
        None,
        "only {value} of token events have a kernel stamp (below {limit}): the rest carry this program's own delay",
        "run where the kernel stamps packets: not over a Unix socket, not in a sandbox that filters it",
        worse="below",
    ),
    "read_lag": Threshold(
        50e6,
        1e9,
        "reading lags arrival by {value} at p99 (above {limit}): the server may feel it",
        "stop other work on this machine or use fewer streams",
        shown="{:ms}",
    ),
    "send_lag": Threshold(
        5e6,
        100e6,
        "requests left {value} late at p99 (above {limit})",
        "stop other work on this machine, or lower the rate",
        shown="{:ms}",
    ),
    "slot_idle": Threshold(
        5e6,
        100e6,
        "slots stood empty for {value} between requests at p99 (above {limit})",
        "stop other work on this machine, or raise --workers",
        shown="{:ms}",
    ),
    "cpu": Threshold(
        0.80,
        0.97,
        "the busiest client thread used {value} of a core (above {limit}): the client may be the limit",
        "use a machine with faster or idle cores, or fewer streams",
    ),
    "rate": Threshold(
        0.01,
        0.05,
        "the rate sent misses the schedule by {value} (above {limit})",
        "raise or drop --max-concurrency, or lower --request-rate",
    ),
    "isl": Threshold(
        0.02,
        None,
        "prompt tokens differ from those asked by {value} in total (above {limit})",
        "name the server's --tokenizer, or send token ids to completions; chat templates add tokens",
    ),
    "osl": Threshold(
        0.02,
        None,
        "output tokens differ from those asked by {value} in total (above {limit})",
        "add --ignore-eos, and leave room in the server's context length",
    ),
    "osl_source": Threshold(
        0,
        None,
        "{value} of answers came without usage and their tokens were not counted by the server",
        "enable usage in streams on the server, or name --tokenizer",
    ),
    "failures": Threshold(0, None, "{value} of requests failed", "see the failures by kind above and the server's log"),
    "cached": Threshold(
        0.01,
        0.05,
        "{value} of prompt tokens came from the server's cache (above {limit}) though no prefix was asked",
        "restart the server or change --seed",
    ),
    "coalesced": Threshold(
        0.05,
        None,
        "{value} of token events came with others in one read (above {limit}) and carry the stamp of the last of them",
        "judge by TPOT, not ITL: the server sends several events at once, or the client is behind (see CPU)",
    ),
    "first_token_shared": Threshold(
        0.01,
        None,
        "{value} of first tokens came in one read with later ones (above {limit}): TTFT is too high there",
        "take TTFT as an upper bound: the server sends several events at once, or the client is behind (see CPU)",
    ),
    "streamed": Threshold(
        0,
        None,
        "{value} of answers came whole though a stream was asked for: they have no TTFT and no ITL",
        "let the server stream, or say --non-streaming",
    ),
    "ranks": Threshold(
        None,
        0,
        "{value} of the ranks were lost: what they had yet to send is missing",
        "see mpirun's own message, or the log of that host, and run again",
        shown="{:.0f}",
    ),
    "rank_clocks": Threshold(
        1e6,
        None,
        "the clocks of the ranks are known to {value} only (above {limit}), and so are instants across ranks",
        "use hosts with a shorter way between them",
        shown="{:us}",
    ),
    "clock": Threshold(
        0,
        None,
        "the wall clock was stepped {value} times; events near a step carry this program's own stamps",
        "stop time synchronisation while measuring",
        shown="{:.0f}",
    ),
    "anchor": Threshold(
        20e3,
        None,
        "kernel stamps are known to {value} only (above {limit})",
        "stop other work on this machine",
        shown="{:us}",
    ),
    "event_tokens": Threshold(
        0.01,
        None,
        "in {value} of answers the server counts more tokens than it sent events, and does not say which events hold "
        "several: ITL is the gap between events there, not between tokens",
        "judge by TPOT, or let the server report usage in every event",
    ),
    "unrecognised": Threshold(
        0,
        None,
        "{value} events of the stream were not understood and are in no number",
        "see whether --backend fits the endpoint",
        shown="{:.0f}",
    ),
    "samples": Threshold(
        0,
        0,
        "{value} of the percentiles you named have too few samples",
        "raise --num-prompts or name lower percentiles",
        shown="{:.0f}",
    ),
}


# What to do about the HTTP status that is most frequent among failures; the first that fits.
_HTTP_REMEDIES: tuple[tuple[tuple[int, ...], str], ...] = (
    ((401, 403), "set OPENAI_API_KEY to a key the server accepts, or --header 'Authorization: Bearer ...'"),
    ((404, 405), "check --model (GET /v1/models lists the names), --endpoint and --backend"),
    ((400, 413, 422), "check the lengths asked for against the server's limit, and the flags that shape the body"),
    ((408, 429, 503), "the server refuses load: lower --max-concurrency or --request-rate, or give it more room"),
    (tuple(range(300, 400)), "the server points elsewhere: give --base-url the address it names"),
    (tuple(range(500, 600)), "see the server's log: it failed on its own"),
)

# What to do about the kind of failure that is most frequent.
_FAILURE_REMEDIES = {
    "http_error": "hold --model, --endpoint and OPENAI_API_KEY against the message above",
    "connect_error": "see that the server runs and that --base-url or --host and --port name it",
    "timeout": "raise --request-timeout, or lower the load",
    "stalled": "see why the server went silent, or lower the load",
    "truncated": "see the server's log: it ended streams before a finish reason",
    "stream_error": "see the message above and the server's log",
    "protocol_error": "see that --base-url speaks HTTP and that --backend fits the endpoint",
}


@dataclass(frozen=True)
class Check:
    """One check: its status, the figure judged against its threshold, and whatever else there is to show.

    Args:
        tag: key in ``THRESHOLDS``.
        status: ``ok``, ``warn`` or ``invalid``.
        value: the figure judged; None = there was nothing to judge.
        threshold: the limit passed, else the next one ahead.
        details: more figures, instants and lags in ns (``_ns``), shares 0..1.
        reason: why the status is not ok, else empty.
        remedy: what to do about it, else empty.
    """

    tag: str
    status: str
    value: float | None
    threshold: float | None
    details: Mapping[str, Value]
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class SampleMark:
    """A percentile that its samples cannot support."""

    metric: str
    percentile: float
    n: int
    needed: int


@dataclass(frozen=True)
class Quality:
    """All checks of a run, the percentiles with too few samples, and the verdict."""

    checks: tuple[Check, ...]
    marks: tuple[SampleMark, ...]

    @property
    def status(self) -> str:
        """The worst status of all checks."""
        return max((check.status for check in self.checks), key=_SEVERITY.index, default=OK)

    @property
    def verdict(self) -> str:
        """``VALID``, ``VALID with warnings`` or ``INVALID``."""
        return VERDICTS[self.status]

    @property
    def findings(self) -> tuple[Check, ...]:
        """Checks that are not ok, the worst first."""
        found = [check for check in self.checks if check.status != OK]
        return tuple(sorted(found, key=lambda check: -_SEVERITY.index(check.status)))

    def check(self, tag: str) -> Check | None:
        """The check of that tag, None where it did not apply."""
        return next((check for check in self.checks if check.tag == tag), None)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, verdict first."""
        return {
            "verdict": self.verdict,
            "checks": [{**asdict(check), "details": dict(check.details)} for check in self.checks],
            "too_few_samples": [asdict(mark) for mark in self.marks],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Quality:
        """From what ``to_dict`` gave; the verdict is taken from the checks."""
        return cls(
            tuple(Check(**check) for check in data["checks"]),
            tuple(SampleMark(**mark) for mark in data["too_few_samples"]),
        )


class _Shown:
    """A number that formats itself: ``{:ms}`` and ``{:us}`` from ns, everything else as Python does."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __format__(self, spec: str) -> str:
        if spec == "ms":
            return f"{units.ns_to_ms(self.value):.1f} ms"
        if spec == "us":
            return f"{units.ns_to_us(self.value):.0f} us"
        return format(self.value, spec)


def _judge(
    tag: str, value: float | None, details: Mapping[str, Value] | None = None, *, invalid: float | None = None
) -> Check:
    """Hold a value against its threshold; ``invalid`` replaces the table's limit where the user sets it."""
    details = dict(details or {})
    limit = THRESHOLDS[tag]
    steps = ((INVALID, limit.invalid if invalid is None else invalid), (WARN, limit.warn))
    for status, bound in steps:
        if value is None or bound is None or not (value < bound if limit.worse == "below" else value > bound):
            continue
        shown = [limit.shown.format(_Shown(number)) for number in (value, bound)]
        reason = limit.says.format(value=shown[0], limit=shown[1])
        return Check(tag, status, value, bound, details, reason, limit.remedy)
    bounds = [bound for _, bound in steps if bound is not None]
    return Check(tag, OK, value, bounds[-1] if bounds else None, details)


def assess(records: Records, facts: RunFacts, summary: RunSummary, *, incomplete: bool = False) -> Quality:
    """Run every check that applies to the run.

    Args:
        records: the raw columns and the client's counters.
        facts: what was asked.
        summary: of the same records.
        incomplete: the run was interrupted; requests it cancelled or never sent are then no failures.
    """
    marks = _sample_marks(summary, facts)
    checks = [
        *_stamp_checks(records),
        *_client_checks(records, facts),
        *_length_checks(records, facts),
        *_failure_checks(records, summary, facts, incomplete),
        *_rank_checks(records.client),
    ]
    n_whole = int(
        (records.ok & (records.columns["t_first_token_ns"] == MISSING_NS) & (records.columns["osl"] > 0)).sum()
    )
    if facts.streaming and n_whole:
        checks.append(_judge("streamed", n_whole / summary.n_ok))
    if facts.percentiles_named:
        named = [mark for mark in marks if mark.percentile in facts.metric_percentiles]
        checks.append(_judge("samples", len(named)))
    return Quality(tuple(checks), marks)


def _spread(values: Distribution) -> dict[str, Value]:
    return {"p50_ns": values.percentile(50), "p99_ns": values.percentile(99), "max_ns": values.maximum}


def _stamp_checks(records: Records) -> Iterator[Check]:
    client = records.client
    n_events = int(client.get("n_events", records.n_events))
    if n_events:
        kernel = int(client.get("n_events_kernel", 0)) / n_events
        details: dict[str, Value] = {"source": str(client.get("stamp_source", "user")), "n_events": n_events}
        if client.get("transport") == "unix":
            details["transport"] = "unix"
        yield _judge("stamps", kernel, details)
        lag = distribution("read_lag", client_cost.read_lag_ns(records))
        yield _judge("read_lag", lag.percentile(99), _spread(lag))
        yield _judge("coalesced", int(client.get("n_events_coalesced", 0)) / n_events)
        n_firsts = max(1, int((records.columns["t_first_token_ns"] != MISSING_NS).sum()))
        yield _judge("first_token_shared", int(client.get("n_first_tokens_coalesced", 0)) / n_firsts)
        if kernel:
            yield _judge("anchor", float(client.get("anchor_uncertainty_ns", 0)))
    stepped = {"n_events_stepped": int(client.get("n_events_stepped", 0))}
    yield _judge("clock", int(client.get("n_clock_steps", 0)), stepped)
    # the client reads again, after the run, what its fast walker left alone; what stays unread is in no number
    unread = int(client.get("n_unrecognised", 0)) - int(client.get("n_resolved", 0))
    if client.get("n_unrecognised", 0):
        yield _judge("unrecognised", unread, {"n_dropped": int(client.get("n_unrecognised_dropped", 0))})


def _client_checks(records: Records, facts: RunFacts) -> Iterator[Check]:
    lag = distribution("send_lag", client_cost.send_lag_ns(records, facts))
    # in a burst all requests are due at once: how long sending them takes is shown, but it is no fault
    judged = None if facts.loop == "burst" else lag.percentile(99)
    tag = "slot_idle" if facts.loop == "closed" else "send_lag"
    found = _judge(tag, judged, {"n": lag.n, **_spread(lag)})
    yield replace(found, remedy=_lag_remedy(records, facts, found.remedy)) if found.status != OK else found
    cpu = client_cost.cpu_use(records)
    yield _judge("cpu", cpu.share_of_core, {"ns_per_event": cpu.ns_per_event})
    rate = client_cost.rate_kept(records, facts)
    yield _judge("rate", rate.deviation, {"asked": rate.asked, "scheduled": rate.scheduled, "sent": rate.sent})


def _rank_checks(client: Mapping[str, Any]) -> Iterator[Check]:
    """Where several ranks were one client."""
    if "n_ranks" not in client:
        return
    lost = client["ranks_lost"]
    names = ", ".join(map(str, lost))
    check = _judge("ranks", len(lost), {"n_ranks": client["n_ranks"], "lost": names or None})
    if lost:
        which = f"rank {names} of {client['n_ranks']} was" if len(lost) == 1 else f"ranks {names} were"
        check = replace(check, reason=f"{which} lost: what was yet to be sent there is missing")
    yield check
    yield _judge("rank_clocks", float(client["rank_clock_uncertainty_ns"]))


def _lag_remedy(records: Records, facts: RunFacts, usual: str) -> str:
    """What made requests late, as far as the records tell: the limit of requests in flight, or new connections."""
    limit = facts.max_concurrency
    if facts.loop == "open" and limit is not None and int(records.client.get("max_in_flight", 0)) >= limit:
        return f"raise --max-concurrency, at whose {limit} requests in flight later ones had to wait, or lower the rate"
    n_sent, n_new = (int(records.present(name).sum()) for name in ("t_sent_ns", "t_connect_ns"))
    if 2 * n_new > n_sent > (limit or 0):
        return (
            f"{usual}; {n_new} of {n_sent} requests opened a connection: let both sides keep them (--connection reuse)"
        )
    return usual


def _length_checks(records: Records, facts: RunFacts) -> Iterator[Check]:
    columns, ok = records.columns, records.ok
    n_ok = int(ok.sum())
    for tag, asked, got in (("isl", "isl_requested", "isl_server"), ("osl", "osl_requested", "osl")):
        found = client_cost.asked_got(records, asked, got)
        source = "server usage" if tag == "isl" else _osl_source(records)
        yield _judge(
            tag,
            found.deviation,
            {
                "source": source if found.n else "not reported",
                "share_exact": found.share_exact,
                "min_deviation": found.min_deviation,
                "max_deviation": found.max_deviation,
                "n": found.n,
            },
        )
    if n_ok:
        unsure = np.isin(columns["osl_source"][ok], (0, 3))
        yield _judge("osl_source", float(np.mean(unsure)))
    if n_ok and facts.streaming:
        # one token may come without an event of its own: the end-of-text token that usage counts
        carried = latency.tokens_of_events(records)
        n_events = int(np.diff(records.token_offsets)[ok].sum())
        per_event = int(columns["osl"][ok].astype(np.int64).sum()) / n_events if n_events else None
        unsaid = float(np.mean((columns["osl"] - carried > 1)[ok]))
        yield _judge("event_tokens", unsaid, {"tokens_per_event": per_event})
    cached = ok & (columns["cached_tokens"] >= 0) & (columns["isl_server"] > 0)
    if cached.any():
        tokens = int(columns["cached_tokens"][cached].astype(np.int64).sum())
        share = tokens / int(columns["isl_server"][cached].astype(np.int64).sum())
        if facts.shared_prefix:
            yield Check("cached", OK, share, None, {"tokens": tokens})
        else:
            yield _judge("cached", share, {"tokens": tokens})


def _osl_source(records: Records) -> str:
    codes = np.unique(records.columns["osl_source"][records.ok])
    return " and ".join(OSL_SOURCE_NAMES[int(code)] for code in codes)


def _failure_checks(records: Records, summary: RunSummary, facts: RunFacts, incomplete: bool) -> Iterator[Check]:
    unfinished = 0
    if incomplete:
        unfinished = summary.by_status.get("cancelled", 0) + summary.by_status.get("not_sent", 0)
        yield _judge("complete", unfinished)
    n_failed = summary.n_scheduled - summary.n_ok - unfinished
    n_judged = summary.n_scheduled - unfinished
    kinds: dict[str, Value] = {name: summary.by_status[name] for name in STATUS_NAMES[1:] if name in summary.by_status}
    details = {**kinds, "n_failed": n_failed, "n_scheduled": summary.n_scheduled}
    check = _judge("failures", n_failed / n_judged if n_judged else None, details, invalid=facts.max_failure_share)
    if summary.n_ok == 0:
        check = replace(check, status=INVALID, reason="no request succeeded: nothing was measured")
    if check.status != OK:
        most = max(kinds, key=lambda kind: summary.by_status[kind], default="")
        remedy = _http_remedy(records) if most == "http_error" else ""
        check = replace(check, remedy=remedy or _FAILURE_REMEDIES.get(most, THRESHOLDS["failures"].remedy))
    yield check


def _http_remedy(records: Records) -> str:
    """For the status that most requests failed with; nothing for one that says nothing."""
    failed = records.columns["status"] == STATUS_NAMES.index("http_error")
    codes, counts = np.unique(records.columns["http_status"][failed], return_counts=True)
    most = int(codes[counts.argmax()])
    return next((remedy for statuses, remedy in _HTTP_REMEDIES if most in statuses), "")


def _sample_marks(summary: RunSummary, facts: RunFacts) -> tuple[SampleMark, ...]:
    marks = []
    for tag in facts.percentile_metrics:
        found: Distribution = summary.distributions[tag]
        marks += _too_few(tag, found.n, facts.metric_percentiles)
    return tuple(marks)


def _too_few(tag: str, n: int, percentiles: Sequence[float]) -> list[SampleMark]:
    """Marks for the percentiles that n samples cannot support; no samples, no percentile, no mark."""
    return [SampleMark(tag, p, n, samples_needed(p)) for p in percentiles if 0 < n < samples_needed(p)]
