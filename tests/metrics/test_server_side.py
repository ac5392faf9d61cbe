"""Counters before and after: speculative decoding and energy by hand."""

from __future__ import annotations

import pytest

from tokenclock.metrics.server_side import energy, spec_decode

BEFORE = {"drafts": 10.0, "draft_tokens": 30.0, "accepted_tokens": 20.0, "accepted_at:0": 9.0, "accepted_at:1": 6.0}
AFTER = {"drafts": 30.0, "draft_tokens": 90.0, "accepted_tokens": 50.0, "accepted_at:0": 24.0, "accepted_at:1": 11.0}


def test_speculative_decoding_by_hand() -> None:
    assert spec_decode(BEFORE, AFTER) == {
        "num_drafts": 20,
        "draft_tokens": 60,
        "accepted_tokens": 30,
        "acceptance_rate": 0.5,
        "acceptance_length": 2.5,
        "per_position_acceptance_rates": [0.75, 0.25],
    }


def test_positions_are_in_the_order_of_their_numbers() -> None:
    after = {"drafts": 10.0, "draft_tokens": 1.0, **{f"accepted_at:{k}": 10.0 - k for k in (10, 2, 0)}}
    found = spec_decode({}, after)
    assert found is not None
    assert found["per_position_acceptance_rates"] == [1.0, 0.8, 0.0]


def test_without_a_count_of_drafts_there_is_no_length() -> None:
    found = spec_decode({}, {"draft_tokens": 4.0, "accepted_tokens": 1.0})
    assert found is not None
    assert (found["acceptance_rate"], found["acceptance_length"]) == (0.25, None)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, AFTER),
        (BEFORE, None),
        (BEFORE, BEFORE),  # nothing drafted
        (AFTER, BEFORE),  # the server was started anew
        ({}, {"drafts": 3.0}),
    ],
)
def test_no_speculative_decoding(before: dict[str, float] | None, after: dict[str, float] | None) -> None:
    assert spec_decode(before, after) is None


def test_energy_by_hand() -> None:
    found = energy(
        {"total_energy_j": 100.0, "query_time": 5.0}, {"total_energy_j": 700.0, "query_time": 8.0}, 1200
    )  # fmt: skip
    assert found == {"total_energy_j": 600.0, "output_tps_per_w": 2.0, "total_gpu_power_w": 200.0}


def test_energy_that_was_not_told_or_not_used() -> None:
    reading = {"total_energy_j": 100.0, "query_time": 5.0}
    assert energy(None, reading, 1) is energy(reading, None, 1) is energy(reading, reading, 1) is None
    no_time = energy(reading, {**reading, "total_energy_j": 101.0}, 1)
    assert no_time is not None
    assert no_time["total_gpu_power_w"] is None
