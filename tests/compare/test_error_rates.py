"""False alarms and power of the verdicts. A few pairs here, a thousand in `make simulate`."""

from __future__ import annotations

from tests.simulate.comparisons import of_pairs


def test_a_server_compared_with_itself_is_seldom_called_different() -> None:
    found = of_pairs(24, 500, 8)
    assert found.any_called <= 4, found  # at a true 5 % more than 4 of 24 come by chance once in 160


def test_a_server_twenty_percent_slower_is_called() -> None:
    found = of_pairs(6, 500, 8, slowdown=1.2)
    assert found.per_metric["itl.p50"] == 1.0, found
    assert found.any_better == 0
