"""Requests that failed, and what to do about the kind of failure that is most frequent."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import numpy as np

from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.summary import RunSummary
from tokenclock.open_files import files_for
from tokenclock.quality_checks.figure import Figure, Value
from tokenclock.records import STATUS_NAMES, Records

__all__ = ["failure_figures"]

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


_OUT_OF_FILES = tuple(os.strerror(number) for number in (errno.EMFILE, errno.ENFILE))


def failure_figures(
    records: Records, facts: RunFacts, summary: RunSummary, *, incomplete: bool = False
) -> Iterator[Figure]:
    """The share of requests that failed; of an interrupted run also how many did not end, which are no failures."""
    unfinished = 0
    if incomplete:
        unfinished = summary.by_status.get("cancelled", 0) + summary.by_status.get("not_sent", 0)
        yield Figure("complete", unfinished)
    n_failed = summary.n_scheduled - summary.n_ok - unfinished
    n_judged = summary.n_scheduled - unfinished
    kinds: dict[str, Value] = {name: summary.by_status[name] for name in STATUS_NAMES[1:] if name in summary.by_status}
    most = max(kinds, key=lambda kind: summary.by_status[kind], default="")
    yield Figure(
        "failures",
        n_failed / n_judged if n_judged else None,
        {**kinds, "n_failed": n_failed, "n_scheduled": summary.n_scheduled},
        invalid=facts.max_failure_share,
        remedy=_remedy(records, facts, most),
        verdict=None if summary.n_ok else ("invalid", "no request succeeded: nothing was measured"),
    )


def _remedy(records: Records, facts: RunFacts, most: str) -> str:
    """What to do about the kind of failure that is most frequent, by what the failed requests tell."""
    special = ""
    if most == "http_error":
        special = _http_remedy(records)
    elif most == "connect_error":
        special = _open_files_remedy(records, facts)
    return special or _FAILURE_REMEDIES.get(most, "")


def _open_files_remedy(records: Records, facts: RunFacts) -> str:
    """Where most connections failed because this process had too many open files: the limit that suffices."""
    failed = np.flatnonzero(records.columns["status"] == STATUS_NAMES.index("connect_error")).tolist()
    n_without_file = sum(any(why in records.errors.get(row, "") for why in _OUT_OF_FILES) for row in failed)
    if 2 * n_without_file <= len(failed):
        return ""
    n_connections = min(records.n_requests, facts.max_concurrency or records.n_requests)
    return f"say `ulimit -n {files_for(n_connections)}` before the command: this program ran out of open files"


def _http_remedy(records: Records) -> str:
    """For the status that most requests failed with; nothing for one that says nothing."""
    failed = records.columns["status"] == STATUS_NAMES.index("http_error")
    codes, counts = np.unique(records.columns["http_status"][failed], return_counts=True)
    most = int(codes[counts.argmax()])
    return next((remedy for statuses, remedy in _HTTP_REMEDIES if most in statuses), "")
