from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conftest import result_of
from tests.simulate.processes import stalling_server

from tokenclock.compare.run import Load, runs_of
from tokenclock.metrics.facts import RunFacts
from tokenclock.readers.foreign import ForeignResult
from tokenclock.readers.ours import OwnResult
from tokenclock.readers.read import read_file

GOLDEN = Path(__file__).resolve().parent.parent / "golden"


@pytest.fixture(scope="module")
def own() -> OwnResult:
    records = stalling_server(np.random.default_rng(0), 800, 8)
    return OwnResult(Path("a.json"), result_of(records, RunFacts(max_concurrency=8)), None)


def test_a_load_test_brings_its_numbers_with_their_intervals(own: OwnResult) -> None:
    (run,) = runs_of(own)
    mean = run.estimates["ttft.mean"]
    interval = own.result.confidence["latencies"]["ttft"]["mean"]  # type: ignore[index]
    assert (mean.value, mean.low, mean.high) == (
        own.result.latencies["ttft"]["mean"],
        interval["low"],
        interval["high"],
    )
    assert mean.dof == own.result.confidence["n_blocks"] - 1  # type: ignore[index]
    assert run.estimates["e2el.p99"].reason.startswith(("worth", "samples beyond"))
    assert (run.isl, run.tool, run.workload) == (32.0, "tokenclock", "ab" * 32)
    assert run.verdict == own.result.quality.verdict


def test_tails_that_can_be_named_bring_their_intervals(own: OwnResult) -> None:
    (run,) = runs_of(own)
    found = own.result.confidence["latencies"]["tpot"]["percentiles"]  # type: ignore[index]
    for tail in ("90", "95"):
        one = run.estimates[f"tpot.p{tail}"]
        assert one.value == own.result.latencies["tpot"]["percentiles"]["rank"][tail]
        assert (one.low, one.high) == (found[tail]["low"], found[tail]["high"])


def test_of_the_steady_window_if_asked(own: OwnResult) -> None:
    (run,) = runs_of(own, steady=True)
    steady = own.result.steady
    assert steady is not None
    assert run.estimates["itl.p50"].value == steady["latencies"]["itl"]["percentiles"]["rank"]["50"]
    assert run.estimates["output_throughput"].value == steady["throughput"]["output_throughput"]
    assert "user_throughput" not in run.estimates
    assert not run.whole_run


def test_a_result_of_before_intervals_has_numbers_and_a_reason() -> None:
    (found,) = read_file(GOLDEN / "serving_result_1_0.json")
    (run,) = runs_of(found)
    assert run.estimates
    assert {one.reason for one in run.estimates.values()} == {
        "its file is of a version that wrote no intervals: measure again"
    }


def test_a_foreign_result_has_numbers_and_a_reason() -> None:
    asked = {"concurrency": 4, "request_rate": "inf", "isl": 512.0, "streaming": True, "num_prompts": 20}
    foreign = ForeignResult(Path("b.json"), "vllm", asked=asked, values={"ttft.mean": 5e6, "tpot.mean": 0.0})
    (run,) = runs_of(foreign)
    assert list(run.estimates) == ["ttft.mean"]
    assert run.estimates["ttft.mean"].reason.startswith("a file of vllm holds no request's own numbers")
    assert (run.load, run.endpoint, run.osl) == (Load(4, math.inf), {"streaming": True}, None)


@pytest.mark.parametrize(
    ("load", "text"),
    [
        (Load(4, math.inf), "concurrency 4"),
        (Load(4, 2.5), "concurrency 4, 2.5 requests/s"),
        (Load(batch_size=8), "batch 8"),
        (Load(), "load not told"),
    ],
)
def test_a_load_in_words(load: Load, text: str) -> None:
    assert str(load) == text


def test_cases_of_an_offline_run_are_runs(tmp_path: Path) -> None:
    from tests.test_from_events import iterations

    from tokenclock.from_events import rebuild
    from tokenclock.iteration_log import IterationLog
    from tokenclock.plan_benchmark import BenchmarkPlan

    plan = BenchmarkPlan(batch_sizes=(1,), lengths=((8, 4), (16, 4)))
    log = IterationLog(tmp_path / "ev", plan.to_dict(), 0, pytest.fail)
    log.write(iterations(0, 10, 5_000_000))
    result, _, _ = rebuild(tmp_path / "ev")
    (run,) = runs_of(OwnResult(Path("a.json"), result, None))
    latency: Any = run.estimates["latency.mean"]
    assert (run.load, run.isl, run.osl, latency.value, latency.has_interval) == (Load(batch_size=1), 8, 4, 5e6, True)
    assert run.estimates["output_throughput"].value == pytest.approx(800)
    assert run.estimates["latency.p99"].reason == "an offline case has no interval of its tail"


@pytest.mark.parametrize(
    ("n", "stall_ns", "reason"),
    [(20, 10**9, "one iteration rules the mean of all"), (7, 0, "7 iterations are too few"), (20, 0, "")],
)
def test_a_mean_of_an_offline_case_that_has_no_interval_says_why(
    tmp_path: Path, n: int, stall_ns: int, reason: str
) -> None:
    from tests.test_from_events import iterations

    from tokenclock.from_events import rebuild
    from tokenclock.iteration_log import IterationLog
    from tokenclock.plan_benchmark import BenchmarkPlan

    log = IterationLog(tmp_path / "ev", BenchmarkPlan(batch_sizes=(1,), lengths=((8, 4),)).to_dict(), 0, pytest.fail)
    timed = iterations(0, n, 5_000_000)
    timed.columns["t_done_ns"][:] += np.arange(n) * 1000
    timed.columns["t_start_ns"][n - 1] += 10**9
    timed.columns["t_done_ns"][n - 1] += 10**9 + stall_ns
    log.write(timed)
    result, _, _ = rebuild(tmp_path / "ev")
    (run,) = runs_of(OwnResult(Path("a.json"), result, None))
    mean: Any = run.estimates["latency.mean"]
    assert (mean.has_interval, mean.reason) == (not reason, reason)
    assert mean.value > 5e6
