from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenclock.store.filter import number_of, text_of
from tokenclock.store.words import column_name, shown_number, sparkline, table


def test_sparkline() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert sparkline([5, 5]) == "▄▄"
    assert sparkline([]) == ""
    assert sparkline([1, 3, 10, 10], width=2) == "▁█"
    assert sparkline([0, 7], plain=True) == "_@"


@given(st.lists(st.floats(-1e12, 1e12), max_size=300), st.integers(1, 80))
def test_sparkline_has_a_character_a_value_up_to_its_width(values: list[float], width: int) -> None:
    assert len(sparkline(values, width)) == min(len(values), width)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (20e6, "ns", "20.000"), (123_456_789.0, "ns", "123.46"), (22_895.3, "ns", "0.022895"),
        (33151.2, "1/s", "33151"),
        (0.0, "share", "0.00"),
        (None, "ns", "n/a"), (1e12, "1/s", "1e+12"), (1e-9, "s", "1e-09"), (-20.5, "s", "-20.500"),
    ],
)  # fmt: skip
def test_shown_number(value: float | None, unit: str, text: str) -> None:
    assert shown_number(value, unit) == text


def test_columns_of_exports_end_in_their_unit() -> None:
    assert column_name("ttft.mean", "ns") == "ttft.mean_ns"
    assert column_name("output_throughput", "1/s") == "output_throughput_per_s"
    assert column_name("MEMORY", "GiB/s") == "MEMORY_gib_s"


def test_a_column_without_text_is_left_out() -> None:
    assert table(["a", "b", "n"], [["x", "", "1"], ["yy", "", "22"]], right=[2]) == "a    n\nx    1\nyy  22"


@given(st.one_of(st.none(), st.floats(allow_nan=False)))
def test_a_number_s_text_leads_back_to_it(value: float | None) -> None:
    assert number_of("isl", text_of(value)) == value
