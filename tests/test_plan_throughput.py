"""The plan of `throughput` and `latency`: what it refuses, and that secrets leave it masked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tokenclock.cli.throughput import plan_from_argv
from tokenclock.errors import UsageError
from tokenclock.plan_throughput import BenchOutput, BenchRuntime, BenchServer, ThroughputPlan

RUNTIME = BenchRuntime("tiny:llama")


def plan(**values: Any) -> ThroughputPlan:
    return ThroughputPlan(**{"model": "m", "dataset": "d", "runtime": RUNTIME, **values})


def test_a_plan_needs_one_target() -> None:
    for values in ({"runtime": None}, {"server": BenchServer("http://h")}):
        with pytest.raises(UsageError, match="either a runtime in this process or a server"):
            plan(**values)


@pytest.mark.parametrize(
    ("values", "flag"),
    [
        ({"num_requests": -1}, "--num_requests"),
        ({"concurrency": 0}, "--concurrency"),
        ({"warmup": -1}, "--warmup"),
        ({"eos_id": -2}, "--eos_id"),
        ({"beam_width": 0}, "--beam_width"),
        ({"beam_width": 2, "streaming": True}, "--beam_width"),
        ({"tp": 0}, "--tp"),
        ({"pp": 0}, "--pp"),
    ],
)
def test_values_out_of_range_are_named(values: dict[str, Any], flag: str) -> None:
    with pytest.raises(UsageError, match=f"^{flag} must be "):
        plan(**values)


@pytest.mark.parametrize(
    ("values", "flag"),
    [
        ({"max_batch_size": 0}, "--max_batch_size"),
        ({"max_num_tokens": 0}, "--max_num_tokens"),
        ({"max_seq_len": 1}, "--max_seq_len"),
        ({"kv_cache_share": 0.0}, "--kv_cache_free_gpu_mem_fraction"),
        ({"kv_cache_share": 1.5}, "--kv_cache_free_gpu_mem_fraction"),
        ({"scheduler_policy": "static"}, "--scheduler_policy"),
        ({"device": "tpu"}, "--device"),
        ({"threads": 0}, "--threads"),
    ],
)
def test_of_a_runtime_too(values: dict[str, Any], flag: str) -> None:
    with pytest.raises(UsageError, match=f"^{flag} must be "):
        BenchRuntime("tiny:llama", **values)
    with pytest.raises(UsageError, match=r"^--max-failure-share must be "):
        BenchOutput(max_failure_share=2.0)


def test_secrets_are_masked() -> None:
    server = BenchServer("http://h", headers=(("x-key", "hidden-value"),), api_key="sk-hidden")
    text = json.dumps(plan(runtime=None, server=server).to_dict())
    assert "hidden" not in text
    assert "x-key" in text


def test_flags_variables_and_group_options_meet_in_one_plan() -> None:
    variables = {"TOKENCLOCK_THROUGHPUT_CONCURRENCY": "7", "TOKENCLOCK_THROUGHPUT_STREAMING": "1"}
    argv = ["--model", "tiny:llama", "--dataset", "d", "--tp=2"]
    found = plan_from_argv("throughput", argv, variables)
    assert (found.concurrency, found.streaming, found.tp, found.world_size) == (7, True, 2, 2)
    assert plan_from_argv("throughput", [*argv, "--concurrency", "3"], variables).concurrency == 3
    assert plan_from_argv("throughput", argv, {}).concurrency is None
    latency = plan_from_argv("latency", argv, {})
    assert (latency.concurrency, latency.streaming, latency.runtime.max_batch_size) == (1, True, 1)  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="TOKENCLOCK_THROUGHPUT_CONCURENCY"):
        plan_from_argv("throughput", argv, {"TOKENCLOCK_THROUGHPUT_CONCURENCY": "7"})
