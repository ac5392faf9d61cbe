"""What reading a clock costs: natively, and from Python."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

import tokenclock
from tokenclock import _core

N_READS = 100_000


@pytest.mark.parametrize("read", [_core.bench.clock_read_ns, _core.bench.stamp_clock_read_ns])
def test_native_read(benchmark: Any, read: Callable[[int], float]) -> None:
    """One round is N_READS reads; `ns_per_read` is what the core measured itself."""
    read(N_READS)
    ns_per_read = benchmark.pedantic(read, args=(N_READS,), rounds=21)
    benchmark.extra_info["ns_per_read"] = ns_per_read


@pytest.mark.parametrize("read", [tokenclock.now_ns, time.perf_counter_ns])
def test_read_from_python(benchmark: Any, read: Callable[[], int]) -> None:
    benchmark(read)


def test_clock_facts(benchmark: Any) -> None:
    facts = benchmark.pedantic(_core.clock_facts, rounds=11)
    benchmark.extra_info.update(facts)
