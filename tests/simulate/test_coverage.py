"""Coverage of the intervals over a thousand simulated runs of each kind: `make simulate` shows the figures."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from tests.simulate.coverage import Coverage, of_rates, of_server, of_stream
from tests.simulate.processes import server_in_step, stalling_server

from tokenclock.records import Records

N_RUNS = int(os.environ.get("TOKENCLOCK_SIMULATE_N", "1000"))
CHANCE = 2 * (0.05 * 0.95 / N_RUNS) ** 0.5 if N_RUNS < 1000 else 0.0  # two standard errors, where there are few
LOWEST, HIGHEST = 0.92 - CHANCE, min(1.0, 0.98 + CHANCE)
LOWEST_OF_MEANS = 0.90 - CHANCE  # a mean of few stalls is lopsided beyond what thirty blocks can tell

pytestmark = [
    pytest.mark.simulate,
    pytest.mark.skipif("TOKENCLOCK_SIMULATE" not in os.environ, reason="a thousand runs of each kind: make simulate"),
]


def check(found: Mapping[str, Coverage], names: list[str]) -> None:
    print()
    for name, coverage in found.items():
        print(f"  {name:10} {coverage}{'' if name in names else '   (not judged)'}")
    for name, coverage in found.items():
        lowest = LOWEST_OF_MEANS if "mean" in name else LOWEST
        assert coverage.share_wrong <= 1 - lowest, name
        assert name not in names or lowest <= coverage.share <= HIGHEST, name


@pytest.mark.parametrize(("n", "correlation"), [(1000, 0.0), (1000, 0.5), (2000, 0.8), (5000, 0.9)])
def test_streams(n: int, correlation: float) -> None:
    found = of_stream(N_RUNS, n, correlation)
    assert min(coverage.n_given for coverage in found.values()) >= 0.7 * N_RUNS
    check(found, list(found))


@pytest.mark.parametrize(("n_requests", "slots"), [(1000, 8), (1000, 16), (3000, 16), (4000, 64)])
def test_servers_whose_stalls_hit_all_streams(n_requests: int, slots: int) -> None:
    found = of_server(N_RUNS, n_requests, slots)
    # what is seldom given is given by the runs that look better than they are: that it be seldom wrong is all to ask
    names = [name for name in found if found[name].n_given >= 0.7 * N_RUNS]
    assert {f"{tag} {what}" for tag in ("ttft", "itl", "tpot", "e2el") for what in ("mean", "p50", "p90")} <= set(names)
    check(found, names)


@pytest.mark.parametrize(
    ("run", "slots"),
    [
        (lambda rng: server_in_step(rng, 25, 16), 16),
        (lambda rng: server_in_step(rng, 40, 16, osl=8, n_waiting=12), 16),
        (lambda rng: server_in_step(rng, 100, 8), 8),
        (lambda rng: server_in_step(rng, 24, 16, stalls=False), 16),
        (lambda rng: stalling_server(rng, 1000, 16), 16),
    ],
    ids=["25 waves", "40 waves that wait long", "100 waves", "24 waves without stalls", "no waves"],
)
def test_rates(run: Callable[[np.random.Generator], Records], slots: int) -> None:
    found = of_rates(N_RUNS, run, slots)
    print()
    for name, coverage in found.items():
        print(f"  {name:26} {coverage}")
    assert min(coverage.share for coverage in found.values()) >= LOWEST_OF_MEANS
