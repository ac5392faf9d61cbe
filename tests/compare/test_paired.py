from __future__ import annotations

import numpy as np
import pytest
from tests.simulate.processes import stalling_server

from tokenclock.compare.paired import paired_ratios
from tokenclock.metrics import latency
from tokenclock.records import Records


def run(seed: int, slowdown: float = 1.0, n: int = 1000) -> Records:
    return stalling_server(np.random.default_rng(seed), n, 8, prompts=np.random.default_rng(5), slowdown=slowdown)


def test_the_ratio_is_that_of_the_numbers_shown() -> None:
    base, other = run(1), run(2, 1.1)
    found = paired_ratios(base, other)
    assert set(found) == {
        "ttft.mean", "tpot.mean", "itl.mean", "e2el.mean", "user_throughput", "request_throughput", "output_throughput",
    }  # fmt: skip
    for tag, column in (("ttft", latency.ttft_ns), ("tpot", latency.tpot_ns), ("e2el", latency.e2el_ns)):
        assert found[f"{tag}.mean"].ratio == pytest.approx(column(other).mean() / column(base).mean())
    assert found["itl.mean"].ratio == pytest.approx(latency.itl_ns(other)[0].mean() / latency.itl_ns(base)[0].mean())
    spans = [records.columns["t_last_token_ns"].max() - records.columns["t_sent_ns"].min() for records in (base, other)]
    assert found["output_throughput"].ratio == pytest.approx(spans[0] / spans[1])  # as many tokens in both


def test_the_same_run_twice_does_not_differ() -> None:
    for one in paired_ratios(run(1), run(1)).values():
        assert (one.ratio, one.below) == (pytest.approx(1), pytest.approx(0, abs=1e-9))


def test_what_prompts_differ_by_cancels() -> None:
    """Each request takes a tenth longer than its partner, whatever its length: nothing is left to be unsure of."""
    base, other = run(1), run(1)
    span = other.columns["t_last_token_ns"] - other.columns["t_sent_ns"]
    other.columns["t_last_token_ns"][:] = other.columns["t_sent_ns"] + span * 11 // 10
    found = paired_ratios(base, other)["e2el.mean"]
    assert found.ratio == pytest.approx(1.1)
    assert found.below < 1e-6


def test_no_pairing_without_the_same_requests_or_with_too_few() -> None:
    assert paired_ratios(run(1), run(2, n=992)) == {}
    assert paired_ratios(run(1, n=64), run(2, n=64)) == {}


def test_a_request_that_failed_in_one_run_only_leaves_no_pairs() -> None:
    base, other = run(1), run(2)
    other.columns["status"][7] = 3
    assert paired_ratios(base, other) == {}
