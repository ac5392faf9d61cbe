"""What a stamp costs, and the two ratios it is held to: half of append(perf_counter_ns()), 1.2 of a clock read."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest

from tokenclock import TokenRecorder, _core

N_STAMPS = 20_000
N_ROUNDS = 15


def empty_loop() -> None:
    for _ in itertools.repeat(None, N_STAMPS):
        pass


def append_loop() -> None:
    times: list[int] = []
    for _ in itertools.repeat(None, N_STAMPS):
        times.append(time.perf_counter_ns())


def stamp_loop() -> None:
    row = TokenRecorder(1).row(0)
    for _ in itertools.repeat(None, N_STAMPS):
        row.stamp()


def bound_stamp_loop() -> None:
    stamp = TokenRecorder(1).row(0).stamp
    for _ in itertools.repeat(None, N_STAMPS):
        stamp()


def stamp_n_loop() -> None:
    row = TokenRecorder(1).row(0)
    for _ in itertools.repeat(None, N_STAMPS):
        row.stamp_n(4)


def ns_per_call(loop: Callable[[], None]) -> float:
    start = time.perf_counter_ns()
    loop()
    return (time.perf_counter_ns() - start) / N_STAMPS


def interleaved_medians(*measures: Callable[[], float]) -> list[float]:
    """Rounds of each in turn, so that a busy moment of the machine strikes all alike."""
    rounds = [[measure() for measure in measures] for _ in range(N_ROUNDS + 1)]
    return [statistics.median(column) for column in zip(*rounds[1:], strict=True)]


@pytest.mark.parametrize("loop", [empty_loop, append_loop, stamp_loop, bound_stamp_loop, stamp_n_loop])
def test_loop_of_20000(benchmark: Any, loop: Callable[[], None]) -> None:
    benchmark.pedantic(loop, rounds=N_ROUNDS, warmup_rounds=2)


def test_row(benchmark: Any) -> None:
    """Making a row fetches its first page, outside of the loop that stamps."""
    recorder = TokenRecorder(1000)
    rows = itertools.cycle(range(1000))
    benchmark(lambda: recorder.row(next(rows)))


def test_ratio_from_python(benchmark: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """stamp() against times.append(time.perf_counter_ns()) in the same loop."""
    stamp_ns, append_ns, empty_ns = interleaved_medians(
        lambda: ns_per_call(stamp_loop), lambda: ns_per_call(append_loop), lambda: ns_per_call(empty_loop)
    )
    ratio = stamp_ns / append_ns
    net_ratio = (stamp_ns - empty_ns) / (append_ns - empty_ns)
    benchmark.extra_info.update(stamp_ns=stamp_ns, append_ns=append_ns, ratio=ratio, net_ratio=net_ratio)
    benchmark.pedantic(stamp_loop, rounds=1)
    with capsys.disabled():
        print(
            f"\nstamp from Python: {stamp_ns:.1f} ns, append(perf_counter_ns()): {append_ns:.1f} ns, "
            f"ratio {ratio:.2f} (aim: 0.50 at most); without the loop's own {empty_ns:.1f} ns: {net_ratio:.2f}"
        )


def test_ratio_native(benchmark: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A native stamp against a read of CLOCK_MONOTONIC, and against the read that it makes itself."""
    n = 200_000
    stamp_ns, read_ns, own_read_ns = interleaved_medians(
        lambda: _core.bench.recorder_stamp_ns(n),
        lambda: _core.bench.clock_read_ns(n),
        lambda: _core.bench.stamp_clock_read_ns(n),
    )
    ratio = stamp_ns / read_ns
    benchmark.extra_info.update(stamp_ns=stamp_ns, read_ns=read_ns, own_read_ns=own_read_ns, ratio=ratio)
    benchmark.pedantic(_core.bench.recorder_stamp_ns, args=(n,), rounds=1)
    recorder = TokenRecorder(1)
    with capsys.disabled():
        print(
            f"\nnative stamp: {stamp_ns:.1f} ns, clock read: {read_ns:.1f} ns, ratio {ratio:.2f} (aim: 1.20 at most); "
            f"read of the stamps' own clock ({recorder.clock}): {own_read_ns:.1f} ns, "
            f"off by {recorder.max_clock_error_ns} ns at worst"
        )
