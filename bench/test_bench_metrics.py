"""From records to verdict: 1280 requests of 1024 tokens must not keep anybody waiting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.summary import summarise
from tokenclock.quality import assess
from tokenclock.records import Records, empty_columns
from tokenclock.report import columns_file
from tokenclock.result_sections import certainty_sections

N_REQUESTS, N_EVENTS = 1280, 1024
FACTS = RunFacts(request_rate=100.0, num_prompts=N_REQUESTS, slos_ms={"ttft": 30, "tpot": 21})


@pytest.fixture(scope="module", params=[1, 4], ids=lambda tokens: f"{tokens}_tokens_per_event")
def records(request: pytest.FixtureRequest) -> Records:
    random = np.random.default_rng(0)
    sent = np.sort(random.integers(0, 10**10, N_REQUESTS))
    tokens = sent[:, None] + np.cumsum(random.integers(15_000_000, 25_000_000, (N_REQUESTS, N_EVENTS)), axis=1)
    n_tokens = np.full(tokens.size, request.param, np.int32)
    columns = empty_columns(N_REQUESTS)
    for name, column in {
        "status": 0,
        "t_scheduled_ns": sent - 20_000,
        "t_sent_ns": sent,
        "t_first_token_ns": tokens[:, 0],
        "t_last_token_ns": tokens[:, -1],
        "t_done_ns": tokens[:, -1],
        "osl": N_EVENTS * request.param,
        "osl_source": 1,
    }.items():
        columns[name][:] = column
    return Records(
        epoch_ns=0,
        columns=columns,
        token_offsets=np.arange(N_REQUESTS + 1, dtype=np.int64) * N_EVENTS,
        t_token_ns=tokens.ravel(),
        n_tokens=n_tokens,
        t_read_ns=tokens.ravel() + random.integers(1_000, 90_000, tokens.size),
        client={"n_events": tokens.size, "n_events_kernel": tokens.size, "stamp_source": "kernel"},
    )


def test_summarise_and_assess(benchmark: Any, records: Records) -> None:
    benchmark.pedantic(lambda: assess(records, FACTS, summarise(records, FACTS)), rounds=5, warmup_rounds=1)
    benchmark.extra_info["n_events"] = records.n_events


def test_intervals(benchmark: Any, records: Records) -> None:
    summary = summarise(records, FACTS)
    benchmark.pedantic(lambda: certainty_sections(records, FACTS, summary), rounds=3, warmup_rounds=1)
    benchmark.extra_info["n_events"] = records.n_events


def test_write_columns(benchmark: Any, records: Records, tmp_path: Path) -> None:
    benchmark.pedantic(columns_file.write, args=(records, tmp_path / "r.columns.npz"), rounds=3)
