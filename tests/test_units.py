from __future__ import annotations

import pytest

from tokenclock import units


def test_a_millisecond_is_a_million_nanoseconds() -> None:
    assert units.ns_to_ms(1_500_000) == 1.5
    assert units.ns_to_us(1_500) == 1.5
    assert units.ns_to_s(2_500_000_000) == 2.5


def test_back_to_whole_nanoseconds() -> None:
    assert units.ms_to_ns(0.0000014) == 1
    assert units.s_to_ns(1.25) == 1_250_000_000


def test_rate() -> None:
    assert units.per_s(10, 4_000_000_000) == pytest.approx(2.5)
