from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from tests.metrics.test_agreement import Log

from tokenclock.metrics.truth_errors import metric_errors


def test_errors_by_hand(make_records: Any) -> None:
    records = make_records(
        [{"sent": 100, "tokens": [150, 175, 190], "read_lag": 30}, {"sent": 100, "tokens": [130, 140, 160]}]
    )
    records = replace(records, response_ids=["paced-0", "paced-1"])
    # sent 5000 and 5010 by the server's clock; each stream has three sends
    truth = Log([5000, 5010], [[5045, 5065, 5085], [5036, 5047, 5067]])
    errors = metric_errors(records, truth)
    assert (errors.n_requests, errors.n_gaps) == (2, 4)
    # TTFT 50 and 30 against 45 and 26
    assert errors.ttft_mean_ns == pytest.approx(4.5)
    assert errors.ttft_p99_ns == 5
    # gaps 25, 15, 10, 20 against 20, 20, 11, 20
    assert errors.itl_p99_ns == 5
    # an answer's span is off by 0 and by -1: TPOT by 0 and -0.5, E2EL by 5 + 0 and 4 - 1
    assert errors.tpot_p99_ns == 0.5
    assert errors.e2el_p99_ns == 5
    # read 30 and 0 after arrival
    assert errors.user_ttft_mean_ns == pytest.approx(4.5 + 15)


def test_answers_of_one_token_have_no_gaps(make_records: Any) -> None:
    records = replace(make_records([{"sent": 0, "tokens": [12]}]), response_ids=["paced-0"])
    errors = metric_errors(records, Log([0], [[10]]))
    assert errors.ttft_mean_ns == 2
    assert errors.e2el_p99_ns == 2
    assert math.isnan(errors.itl_p99_ns)
    assert math.isnan(errors.tpot_p99_ns)


def test_answers_of_different_lengths_are_refused(make_records: Any) -> None:
    records = make_records([{"sent": 0, "tokens": [1, 2, 3, 4]}, {"sent": 0, "tokens": [1]}])
    records = replace(records, response_ids=["paced-0", "paced-1"])
    with pytest.raises(ValueError, match="answers of one length"):
        metric_errors(records, Log([0, 0], [[1, 2, 3, 4], [1]]))
