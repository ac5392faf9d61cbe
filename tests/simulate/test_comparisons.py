"""False alarms and power of `compare` over a thousand simulated pairs of each kind: `make simulate` shows them."""

from __future__ import annotations

import os
from typing import Any

import pytest
from tests.simulate.comparisons import Calls, of_pairs

N_PAIRS = int(os.environ.get("TOKENCLOCK_SIMULATE_N", "1000"))
CHANCE = 2 * (0.05 * 0.95 / N_PAIRS) ** 0.5 if N_PAIRS < 1000 else 0.0  # two standard errors, where there are few

pytestmark = [
    pytest.mark.simulate,
    pytest.mark.skipif("TOKENCLOCK_SIMULATE" not in os.environ, reason="a thousand pairs of each kind: make simulate"),
]


def show(found: Calls) -> None:
    print(f"\n  anything called in {found.share:.1%} of {found.n}")
    for name, share in found.per_metric.items():
        print(
            f"  {name:20} called {share:.1%}, tested {found.given[name]:.0%}, p < 5 % {found.below_5_percent[name]:.1%}"
        )


@pytest.mark.parametrize(
    "settings",
    [
        {"n_requests": 1000, "slots": 16},
        {"n_requests": 1000, "slots": 16, "same_prompts": False},
        {"n_requests": 320, "slots": 8, "n_runs": 3},
        {"n_requests": 320, "slots": 8, "n_runs": 6, "between_runs": 0.02},
    ],
    ids=["paired requests", "blocks of time", "three runs", "six runs"],
)
def test_false_alarms(settings: dict[str, Any]) -> None:
    found = of_pairs(N_PAIRS, **settings)
    show(found)
    assert found.share < 0.05 + CHANCE


def test_power_at_a_shift_of_five_percent() -> None:
    found = of_pairs(N_PAIRS, 1000, 16, slowdown=1.05)
    show(found)
    assert found.any_better <= 0.01 * N_PAIRS
    assert found.per_metric["itl.p50"] >= 0.8
