"""tokenclock's clock as pytest-benchmark's timer: `pytest examples/test_now_ns_timer.py`.

pytest-benchmark wants seconds; `now_ns` gives nanoseconds of CLOCK_MONOTONIC, the clock of every stamp here.
"""

import pytest

from tokenclock import now_ns


def now_s() -> float:
    """Seconds, exact to 2 ps in the first months after a boot."""
    return now_ns() * 1e-9


@pytest.mark.benchmark(timer=now_s)
def test_joining_a_thousand_tokens(benchmark):
    tokens = [" token"] * 1000
    assert len(benchmark("".join, tokens)) == 6000
