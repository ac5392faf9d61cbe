"""No false alarms: healthy runs are never INVALID. A few here; twenty of each kind in `make long`."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tokenclock import PacedServer, run_serving
from tokenclock.plan import EndpointPlan, GenerationPlan, LoadPlan, RandomDataset, ServingPlan

N_RUNS = 20 if "TOKENCLOCK_LONG" in os.environ else 3

# what a busy machine may earn a warning for; anything else would be a false alarm
EXCUSED = {"send_lag", "slot_idle", "read_lag", "cpu", "starved", "steal", "anchor", "coalesced", "first_token_shared"}
EXCUSED |= {"rate", "concurrency", "drift", "silence"}

KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "closed": ({"mode": "batch", "ttft_ms": 50, "itl_ms": 10}, {"num_prompts": 60, "max_concurrency": 8}),
    "open": (
        {"mode": "independent", "ttft_ms": 40, "itl_ms": 8, "itl_std_ms": 2, "itl_distribution": "lognormal"},
        {"num_prompts": 100, "request_rate": 50.0},
    ),
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_healthy_runs_are_never_invalid(kind: str) -> None:
    options, load = KINDS[kind]
    with PacedServer(**options) as server:
        for seed in range(N_RUNS):
            plan = ServingPlan(
                EndpointPlan(model="paced", base_url=server.url),
                LoadPlan(seed=seed, **load),
                GenerationPlan(ignore_eos=True),
                RandomDataset(input_len=32, output_len=24),
            )
            quality = run_serving(plan, say=lambda line: None).quality
            assert quality.status != "invalid", [f"{check.reason} -> {check.remedy}" for check in quality.findings]
            accused = {check.tag for check in quality.findings}
            assert accused <= EXCUSED, accused
