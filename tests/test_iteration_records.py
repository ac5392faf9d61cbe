from __future__ import annotations

import numpy as np
import pytest
from tests.offline.rows import rows

from tokenclock.iteration_records import (
    IterationRecords,
    concatenate,
    empty_iterations,
    iterations_from_arrays,
    iterations_to_arrays,
)
from tokenclock.records import MISSING_NS


def test_taking_rows_takes_their_steps() -> None:
    records = rows([(0, 10, [3, 6]), (10, 30, []), (30, 45, [33, 36, 39])])
    taken = records.take([2, 0])
    assert taken.latency_ns.tolist() == [15, 10]
    assert taken.n_steps.tolist() == [3, 2]
    assert taken.t_step_ns.tolist() == [33, 36, 39, 3, 6]
    assert records.take(np.array([True, False, False])).t_step_ns.tolist() == [3, 6]
    assert len(records.take([])) == 0


def test_parts_join_in_order_and_a_phase_of_one_is_absent_in_the_other() -> None:
    first, second = rows([(0, 10, [5])], phases={"queue": [3]}), rows([(20, 40, [])], rank=1)
    joined = concatenate([first, second])
    assert joined.latency_ns.tolist() == [10, 20]
    assert joined.columns["rank"].tolist() == [0, 1]
    assert joined.step_offsets.tolist() == [0, 1, 1]
    assert joined.phases_ns["queue"].tolist() == [3, MISSING_NS]
    assert len(concatenate([])) == 0


def test_arrays_come_back() -> None:
    records = rows([(0, 10, [3, 6]), (10, 30, [])], phases={"queue": [1, 2]})
    again = iterations_from_arrays(iterations_to_arrays(records))
    assert again.latency_ns.tolist() == [10, 20]
    assert again.t_step_ns.tolist() == [3, 6]
    assert again.phases_ns["queue"].tolist() == [1, 2]
    assert again.epochs_ns == records.epochs_ns


def test_a_column_of_another_version_is_ignored_or_absent() -> None:
    arrays = iterations_to_arrays(rows([(0, 10, [])]))
    arrays["of_tomorrow"] = np.zeros(1)
    del arrays["device_ns"]
    assert iterations_from_arrays(arrays).columns["device_ns"].tolist() == [MISSING_NS]


def test_columns_that_do_not_fit_are_refused() -> None:
    columns, none = empty_iterations(1), np.zeros(0, np.int64)
    with pytest.raises(ValueError, match="step_offsets"):
        IterationRecords(columns, np.array([0, 2], np.int64), none, none)
    with pytest.raises(ValueError, match="iteration columns must be"):
        IterationRecords({"case": columns["case"]}, np.array([0, 0], np.int64), none, none)
    wrong = {**columns, "phase": columns["phase"].astype(np.int64)}
    with pytest.raises(ValueError, match="phase must be uint8"):
        IterationRecords(wrong, np.array([0, 0], np.int64), none, none)
