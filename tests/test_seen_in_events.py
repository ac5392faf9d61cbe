from __future__ import annotations

import numpy as np

from tokenclock.seen_in_events import counters_of_events


def test_an_earlier_stamp_is_the_kernels_and_one_instant_of_reading_is_one_read() -> None:
    offsets = np.array([0, 3, 3, 5])
    t_token_ns = np.array([10, 20, 20, 24, 40])
    t_read_ns = np.array([12, 25, 25, 25, 40])  # the last was stamped in user space; the fourth is another request's
    assert counters_of_events(offsets, t_token_ns, t_read_ns) == {
        "n_events": 5,
        "stamp_source": "kernel",
        "n_events_kernel": 4,
        "n_events_coalesced": 2,
        "n_first_tokens_coalesced": 0,
    }
    assert counters_of_events(np.array([0, 2]), np.array([5, 5]), np.array([7, 7]))["n_first_tokens_coalesced"] == 1


def test_where_no_stamp_is_earlier_than_its_read_the_source_is_not_known() -> None:
    found = counters_of_events(np.array([0, 2]), np.array([10, 20]), np.array([10, 20]))
    assert found == {"n_events": 2, "n_events_coalesced": 0, "n_first_tokens_coalesced": 0}
    assert counters_of_events(np.zeros(3, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))["n_events"] == 0
