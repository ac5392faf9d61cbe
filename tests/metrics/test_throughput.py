from __future__ import annotations

from typing import Any

import pytest

from tokenclock.metrics import throughput

S = 1_000_000_000


def test_first_sent_at_1_s_last_token_at_5_s_so_4_s(make_records: Any) -> None:
    records = make_records(
        [{"sent": 1 * S, "tokens": [2 * S, 3 * S]}, {"sent": 2 * S, "tokens": [5 * S]}], client={"wall_ns": 6 * S}
    )
    spans = throughput.durations(records)
    assert spans.first_sent_to_last_token_ns == 4 * S
    assert spans.wall_ns == 6 * S


def test_wall_time_without_a_client_ends_with_the_last_request(make_records: Any) -> None:
    records = make_records([{"sent": S, "tokens": [2 * S]}, {"status": "timeout", "sent": S, "t_done_ns": 9 * S}])
    assert throughput.durations(records).wall_ns == 9 * S


def test_rates_by_hand(make_records: Any) -> None:
    records = make_records(
        [
            {"sent": 0, "tokens": [S, 2 * S], "n_tokens": [1, 9], "isl_requested": 90, "isl_server": 100},
            {"sent": 0, "tokens": [4 * S], "isl_requested": 50, "isl_server": 60},
            {"status": "http_error", "sent": 0, "isl_requested": 1000},
        ]
    )
    totals = throughput.token_totals(records)
    assert (totals.isl, totals.isl_source) == (160, "server usage")
    assert (totals.osl, totals.osl_source) == (11, "server usage")
    rates = throughput.rates(records, totals, 4 * S)
    assert rates.request_throughput == pytest.approx(2 / 4)
    assert rates.output_throughput == pytest.approx(11 / 4)
    assert rates.total_throughput == pytest.approx(171 / 4)
    assert rates.user_throughput == pytest.approx((10 / 2 + 1 / 4) / 2)


def test_sources_are_named_when_they_differ(make_records: Any) -> None:
    records = make_records(
        [
            {"sent": 0, "tokens": [1], "isl_requested": 7, "isl_server": 8},
            {"sent": 0, "tokens": [1], "isl_requested": 7, "osl_source": 3},
        ]
    )
    totals = throughput.token_totals(records)
    assert (totals.isl, totals.isl_source) == (15, "server usage and as asked")
    assert totals.osl_source == "server usage and event count"


def test_prompts_that_nobody_counted_have_no_total(make_records: Any) -> None:
    records = make_records(
        [
            {"sent": 0, "tokens": [S], "isl_requested": 7, "isl_server": 8},
            {"sent": 0, "tokens": [S], "isl_requested": -1, "isl_server": -1, "osl": 3},
        ]
    )
    totals = throughput.token_totals(records)
    assert (totals.isl, totals.isl_source) == (None, "missing")
    rates = throughput.rates(records, totals, S)
    assert rates.total_throughput is None
    assert rates.output_throughput == totals.osl


@pytest.mark.parametrize("requests", [[], [{"status": "connect_error"}]])
def test_nothing_completed_is_missing_and_not_zero(make_records: Any, requests: list[dict[str, Any]]) -> None:
    records = make_records(requests, client={"wall_ns": S})
    assert throughput.durations(records).first_sent_to_last_token_ns is None
    totals = throughput.token_totals(records)
    assert totals.isl_source == totals.osl_source == "missing"
    assert throughput.rates(records, totals, S) == throughput.Rates(None, None, None, None)


def test_answers_whose_tokens_nobody_counted_have_no_token_rate(make_records: Any) -> None:
    records = make_records([{"sent": 0, "tokens": [2], "osl": 3}, {"sent": 0, "tokens": [1, 4], "osl": -1}])
    found = throughput.rates(records, throughput.token_totals(records), 4)
    assert found.request_throughput == pytest.approx(5e8)
    assert (found.output_throughput, found.total_throughput) == (None, None)
    failed = make_records([{"sent": 0, "tokens": [2], "osl": 3}, {"status": "timeout", "sent": 0, "osl": -1}])
    assert throughput.rates(failed, throughput.token_totals(failed), 4).output_throughput == pytest.approx(7.5e8)


def test_warm_ups_on_the_slots_of_a_ramp_are_no_part_of_the_wall_time(make_records: Any) -> None:
    client = {"wall_ns": 9_000, "measured_from_ns": 2_000}
    spans = throughput.durations(make_records([{"sent": 2_000, "tokens": [8_000]}], client=client))
    assert (spans.wall_ns, spans.first_sent_to_last_token_ns) == (7_000, 6_000)
