from __future__ import annotations

import pytest
from tests.offline.rows import rows

from tokenclock.iteration_records import concatenate
from tokenclock.metrics.offline_case import case_numbers
from tokenclock.records import MISSING_NS

MS = 1_000_000


def test_numbers_of_a_case_by_hand() -> None:
    """Two rows of batch 4, three tokens each: prefill 4 ms, then steps of 2 ms and 3 ms."""
    records = rows(
        [(0, 100 * MS, []), (100 * MS, 110 * MS, [104 * MS, 106 * MS, 109 * MS]), (110 * MS, 122 * MS,
         [116 * MS, 118 * MS, 121 * MS])],
        n_warm_up=1, batch_size=4, isl_requested=8, osl_requested=3, osl_min=3, osl_max=3, n_tokens=12,
    )  # fmt: skip
    numbers = case_numbers(records, num_beams=2)
    assert (numbers.n, numbers.n_warm_up) == (2, 1)
    assert numbers.latency_ns.tolist() == [10 * MS, 12 * MS]
    means = {tag: series.distribution.mean for tag, series in numbers.series.items()}
    assert means == {"latency": 11 * MS, "ttft": 5 * MS, "tpot": 2.5 * MS, "itl": 2.5 * MS, "generation": 5 * MS}
    assert numbers.series["itl"].distribution.n == 4
    assert numbers.steps_per_iteration == 3
    assert numbers.generated_after_first == 2 * 4 * 2  # steps after the first, rows, beams
    assert numbers.throughput == {
        "output_throughput": pytest.approx(12 / 0.011),
        "row_throughput": pytest.approx(4 / 0.011),
        "prefill_throughput": pytest.approx(4 * 8 / 0.005),
        "decode_throughput": pytest.approx(4 * 2 / 0.005),
    }
    assert numbers.lengths.requested == 3
    assert numbers.lengths.n_iterations_off == 0


def test_an_encoder_has_no_steps_and_no_tokens() -> None:
    numbers = case_numbers(rows([(0, 10, []), (10, 30, [])], batch_size=2, isl_requested=5))
    assert set(numbers.series) == {"latency"}
    assert numbers.steps_per_iteration is None
    assert numbers.lengths.requested is None
    assert numbers.throughput["output_throughput"] is None
    assert numbers.throughput["row_throughput"] == pytest.approx(2 / 15e-9)


def test_one_step_has_a_ttft_and_nothing_after() -> None:
    numbers = case_numbers(rows([(0, 10, [8])], osl_requested=1, osl_min=1, osl_max=1, n_tokens=1))
    assert numbers.series["ttft"].distribution.mean == 8
    assert numbers.series["tpot"].distribution.n == 0
    assert numbers.series["itl"].distribution.n == 0
    assert numbers.series["generation"].distribution.mean == 0
    assert numbers.throughput["decode_throughput"] is None


def test_iterations_without_all_their_steps_have_none() -> None:
    assert "ttft" not in case_numbers(rows([(0, 10, [5]), (10, 20, [])], osl_requested=1)).series


def test_wrong_lengths_are_counted() -> None:
    given = [(0, 10, []), (10, 20, []), (20, 30, [])]
    numbers = case_numbers(
        rows(given, batch_size=2, osl_requested=4, osl_min=[4, 2, 4], osl_max=[4, 4, 5], n_tokens=[8, 6, 9])
    )
    assert (numbers.lengths.shortest, numbers.lengths.longest, numbers.lengths.n_iterations_off) == (2, 5, 2)
    assert numbers.lengths.tokens_per_iteration == pytest.approx(23 / 3)


def test_of_several_ranks_the_slowest_counts_in_each_iteration() -> None:
    ranks = [
        rows([(0, 10, [5]), (20, 40, [30])], rank=0, osl_requested=1),
        rows([(0, 16, [9]), (20, 30, [24])], rank=1, osl_requested=1),
    ]
    numbers = case_numbers(concatenate(ranks))
    assert numbers.latency_ns.tolist() == [16, 20]
    assert numbers.series["ttft"].distribution.minimum == 9  # of rank 1, then 10 of rank 0
    assert numbers.series["ttft"].distribution.maximum == 10
    assert numbers.ranks.mean_ns == (15.0, 13.0)
    assert numbers.ranks.slowest == (1, 1)
    assert numbers.ranks.skew.distribution.mean == 8
    assert numbers.n == 2


def test_device_times_are_there_when_all_iterations_have_them() -> None:
    given = [(0, 10, [4, 9]), (10, 20, [14, 19])]
    numbers = case_numbers(rows(given, device_ns=[9, 8], device_steps=[3, 8, 3, 7], osl_requested=2))
    assert numbers.series["device_latency"].distribution.mean == 8.5
    assert numbers.series["generation"].distribution.mean == 4.5  # by the device, not 5 by the host
    some = rows([(0, 10, []), (10, 20, [])])
    some.columns["device_ns"][0] = 9
    assert "device_latency" not in case_numbers(some).series


def test_setup_phases_and_batches_that_fell_apart() -> None:
    given = [(0, 10, []), (10, 30, [])]
    numbers = case_numbers(rows(given, setup_ns=[2, 4], ran_together=[1, 0], phases={"queue": [1, 3]}))
    assert numbers.series["setup"].distribution.mean == 3
    assert numbers.phases["queue"].distribution.mean == 2
    assert numbers.n_not_together == 1
    assert case_numbers(rows(given)).n_not_together is None


def test_without_steps_the_runtimes_own_time_of_decoding_is_the_generation() -> None:
    """Two rows of five tokens: 8 after the first ones, times 3 beams, in 20 ns on the mean."""
    given = [(0, 50, []), (50, 90, [])]
    asked = {"batch_size": 2, "osl_requested": 5, "osl_min": [5, 5], "osl_max": [5, 5], "n_tokens": [10, 10]}
    numbers = case_numbers(rows(given, phases={"decode": [15, 25]}, **asked), num_beams=3)
    assert numbers.series["generation"].distribution.mean == 20
    assert numbers.generated_after_first == 24
    assert numbers.throughput["decode_throughput"] == pytest.approx(8 / 20e-9)
    assert numbers.steps_per_iteration is None
    some = case_numbers(rows(given, phases={"decode": [15, MISSING_NS]}, **asked))
    assert "generation" not in some.series
    unknown = case_numbers(rows(given, phases={"decode": [15, 25]}))
    assert unknown.generated_after_first is None


def test_nothing_timed_has_no_numbers() -> None:
    with pytest.raises(ValueError, match="without timed iterations"):
        case_numbers(rows([(0, 10, [])], n_warm_up=1))


def test_median_and_mad() -> None:
    numbers = case_numbers(rows([(0, 10, []), (0, 20, []), (0, 90, [])]))
    latency = numbers.series["latency"]
    assert (latency.median, latency.mad) == (20, 10)
    assert latency.mean_interval is None
