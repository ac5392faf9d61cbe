"""Agreement with a server's timings and with a known truth, on records whose answer can be read off."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tokenclock.metrics.agreement import agreement_with_server, agreement_with_truth
from tokenclock.records import MISSING_NS

MS = 1_000_000


def timed(per_token_ms: Any) -> bytes:
    return json.dumps({"usage": {}, "timings": {"predicted_per_token_ms": per_token_ms}}).encode()


def test_three_tokens_in_40_ms_are_20_ms_each_and_the_server_says_25(make_records: Any) -> None:
    records = make_records([{"sent": 0, "tokens": [10 * MS, 30 * MS, 50 * MS]}, {"sent": 0, "tokens": [0, 50 * MS]}])
    agreement = agreement_with_server(replace(records, final_events=[timed(25), timed(50.0)]))
    assert agreement.rows.tolist() == [0, 1]
    assert agreement.ours_ns.tolist() == [20 * MS, 50 * MS]
    assert agreement.differences.tolist() == pytest.approx([-0.2, 0.0])
    assert agreement.largest_difference == pytest.approx(0.2)
    assert agreement.difference_of_means == pytest.approx(70 / 75 - 1)
    assert agreement.n_left_out == 0


@pytest.mark.parametrize(
    ("request_", "final"),
    [
        ({"sent": 0, "tokens": [1, 2], "osl": 3}, timed(25)),  # text was held back
        ({"sent": 0, "tokens": [1]}, timed(25)),
        ({"sent": 0, "tokens": [1, 2]}, timed(0)),
        ({"sent": 0, "tokens": [1, 2]}, timed("25")),
        ({"sent": 0, "tokens": [1, 2]}, b'{"timings": null}'),
        ({"sent": 0, "tokens": [1, 2]}, b"[]"),
        ({"sent": 0, "tokens": [1, 2]}, b""),
    ],
)
def test_an_answer_that_cannot_be_compared_is_left_out_and_counted(
    make_records: Any, request_: dict[str, Any], final: bytes
) -> None:
    records = replace(make_records([request_, {"status": "timeout"}]), final_events=[final, b""])
    agreement = agreement_with_server(records)
    assert len(agreement.rows) == 0
    assert agreement.n_left_out == 1
    assert math.isnan(agreement.largest_difference)
    assert math.isnan(agreement.difference_of_means)


def test_without_final_events_nothing_is_compared(make_records: Any) -> None:
    assert agreement_with_server(make_records([{"sent": 0, "tokens": [1, 2]}])).n_left_out == 1


@dataclass(frozen=True)
class Log:
    """A truth: arrival and sends of each request."""

    arrivals: list[int]
    sends: list[list[int]]

    @property
    def n_requests(self) -> int:
        return len(self.arrivals)

    @property
    def ttft_ns(self) -> npt.NDArray[np.int64]:
        pairs = zip(self.arrivals, self.sends, strict=True)
        return np.array([sends[0] - arrival if sends else MISSING_NS for arrival, sends in pairs], np.int64)

    def content_sends(self, request: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        sends = np.array(self.sends[request], np.int64)
        return sends, np.ones(len(sends), np.int32)


def test_rows_join_the_truth_by_the_id_of_the_reply(make_records: Any) -> None:
    records = make_records([{"sent": 100, "tokens": [150, 175, 190]}, {"sent": 100, "tokens": [130, 140]}])
    records = replace(records, response_ids=["paced-2", "paced-1"])
    truth = Log([5000, 5010, 5000], [[5001], [5035, 5047], [5045, 5065, 5085]])
    agreement = agreement_with_truth(records, truth)
    assert agreement.ttft_ns.tolist() == [50, 30]
    assert agreement.true_ttft_ns.tolist() == [45, 25]
    assert agreement.mean_ttft_error_ns == 5
    assert agreement.ttft_error_ns(99) == 5
    assert agreement.gap_errors_ns.tolist() == [5, -5, -2]
    assert [agreement.gap_error_ns(p) for p in (0, 50, 100)] == [2, 5, 5]
    assert agreement.n_left_out == 0


@pytest.mark.parametrize("reply_id", ["", "paced-", "paced-x", "paced-3", "other-0", "paced-1", "paced-2"])
def test_a_reply_without_its_truth_is_left_out_and_counted(make_records: Any, reply_id: str) -> None:
    records = replace(make_records([{"sent": 0, "tokens": [1, 2]}]), response_ids=[reply_id])
    truth = Log([0, 0, 0], [[1, 2], [1], []])  # other sends than events, no sends at all
    agreement = agreement_with_truth(records, truth)
    assert len(agreement.ttft_ns) == 0
    assert agreement.n_left_out == 1
    assert math.isnan(agreement.mean_ttft_error_ns)
    assert math.isnan(agreement.ttft_error_ns(99))
    assert math.isnan(agreement.gap_error_ns(99))
