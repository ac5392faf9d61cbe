"""What a run costs before its first request: prompts and bodies of the tutorial's largest point, 1280 x 1024 tokens."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tokenclock.plan import EndpointPlan, LoadPlan, ServingPlan
from tokenclock.serving.endpoint import body_builder
from tokenclock.workload import build_workload


@pytest.mark.parametrize("backend", ["openai", "openai-chat"])
def test_build_workload(benchmark: BenchmarkFixture, backend: str) -> None:
    plan = ServingPlan(EndpointPlan("m", backend=backend), LoadPlan(num_prompts=1280, max_concurrency=256))
    workload = benchmark(build_workload, plan)
    assert len(workload) == 1280


@pytest.mark.parametrize("backend", ["openai", "openai-chat"])
def test_build_bodies(benchmark: BenchmarkFixture, backend: str) -> None:
    plan = ServingPlan(EndpointPlan("m", backend=backend), LoadPlan(num_prompts=1280, max_concurrency=256))
    workload, build = build_workload(plan), body_builder(plan)
    bodies = benchmark(lambda: [build(prompt, 1024) for prompt in workload.prompts])
    assert min(map(len, bodies)) > 3 * 1024
