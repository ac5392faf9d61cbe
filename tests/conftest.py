"""Records written by hand, so that a test reads as arithmetic, and results made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pytest

from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.genai_perf_face import genai_perf_face
from tokenclock.metrics.summary import summarise
from tokenclock.quality import assess
from tokenclock.records import STATUS_NAMES, Records, empty_columns
from tokenclock.result import Result, build_result
from tokenclock.result_sections import certainty_sections

MakeRecords = Callable[..., Records]
MakeResult = Callable[..., Result]


def hand_records(
    requests: Sequence[Mapping[str, Any]], *, client: Mapping[str, Any] | None = None, streaming: bool = True
) -> Records:
    """Records of a few requests.

    Each mapping may name ``status`` (a word), ``sent``, ``tokens`` (instants of its token events), ``n_tokens`` (what
    each event carried, default 1), ``osl`` (default their sum), ``last`` (where there are no events), ``error``,
    ``read_lag``, and any request column by its own name. Instants are ns.
    """
    columns = empty_columns(len(requests))
    t_token, n_tokens, t_read, offsets = [], [], [], [0]
    errors = {}
    for row, given in enumerate(requests):
        request = dict(given)
        events = list(request.pop("tokens", []))
        carried = list(request.pop("n_tokens", [1] * len(events)))
        lag = request.pop("read_lag", 0)
        values: dict[str, Any] = {"status": STATUS_NAMES.index(request.pop("status", "ok"))}
        if "sent" in request:
            values["t_sent_ns"] = request.pop("sent")
        if events:
            values |= {"t_first_token_ns": events[0], "t_last_token_ns": events[-1], "t_done_ns": events[-1]}
        if "last" in request:
            values |= {"t_last_token_ns": request["last"], "t_done_ns": request.pop("last")}
        values["osl"] = request.pop("osl", sum(carried))
        values["osl_source"] = 1
        if "error" in request:
            errors[row] = request.pop("error")
        for name, value in {**values, **request}.items():
            columns[name][row] = value
        t_token += events
        n_tokens += carried
        t_read += [t + lag for t in events]
        offsets.append(len(t_token))
    return Records(
        epoch_ns=1_000,
        columns=columns,
        token_offsets=np.array(offsets, dtype=np.int64),
        t_token_ns=np.array(t_token, dtype=np.int64),
        n_tokens=np.array(n_tokens, dtype=np.int32),
        t_read_ns=np.array(t_read, dtype=np.int64),
        errors=errors,
        client=dict(client or {}),
    )


@pytest.fixture(scope="session")
def make_records() -> MakeRecords:
    """``hand_records``, the builder of records by hand."""
    return hand_records


def result_of(
    records: Records, facts: RunFacts, *, incomplete: bool = False, plan: Mapping[str, Any] | None = None, **side: Any
) -> Result:
    """The result of records, with a fixed plan and environment; a plan of `profile` brings its face."""
    summary = summarise(records, facts)
    plan = plan or {"command": "serving", "load": {"request_rate": float("inf")}}
    if plan["command"] == "profile":
        side["faces"] = {"profile": genai_perf_face(records, facts, summary)}
    return build_result(
        summary,
        assess(records, facts, summary, incomplete=incomplete),
        facts,
        plan=plan,
        environment={"host": "h", "kernel": "6.1", "cpu_model": "c", "python": "3.11", "versions": {}},
        workload={"sha256": "ab" * 32, "notes": []},
        client=records.client,
        created=datetime(2025, 3, 4, 5, 6, 7, tzinfo=timezone.utc),
        incomplete=incomplete,
        **certainty_sections(records, facts, summary),
        **side,
    )


@pytest.fixture(scope="session")
def make_result(make_records: Any) -> MakeResult:
    """A result of requests given by hand: ``make_result(requests, facts, client=..., server=..., gpu=...)``."""

    def make(requests: Any, facts: RunFacts, *, incomplete: bool = False, **options: Any) -> Result:
        side = {name: options.pop(name) for name in ("server", "probes", "gpu", "plan") if name in options}
        return result_of(make_records(requests, **options), facts, incomplete=incomplete, **side)

    return make
