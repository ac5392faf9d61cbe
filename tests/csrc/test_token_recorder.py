"""TokenRecorder from Python: what it records, what it refuses, who owns what, and what a stamp costs."""

from __future__ import annotations

import gc
import itertools
import statistics
import sys
import threading
import time
import weakref
from collections.abc import Callable

import numpy as np
import pytest

import tokenclock
from tokenclock import TokenRecorder, TokenRow, _core

MISSING_NS = np.iinfo(np.int64).min


def test_stamps_are_instants_of_perf_counter_ns() -> None:
    recorder = TokenRecorder(1)
    row = recorder.row(0)
    for _ in range(20_000):  # long enough for the stamps' clock to leave its first baseline
        before = time.perf_counter_ns()
        row.stamp()
        after = time.perf_counter_ns()
        allowed_ns = 1000 + recorder.max_clock_error_ns
        assert before - allowed_ns <= row.t_token_ns[-1] <= after + allowed_ns


def test_stamp_stamp_n_and_finish() -> None:
    recorder = TokenRecorder(n_rows=2, max_tokens_per_row=8)
    row = recorder.row(1)
    assert row.t_done_ns is None
    row.stamp()
    row.stamp_n(3)
    row.stamp_n(np.int32(2))
    row.finish()
    assert row.n_tokens.tolist() == [1, 3, 2]
    assert row.n_events == recorder.n_events == 3
    assert list(row.t_token_ns) == sorted(row.t_token_ns)
    assert row.t_done_ns is not None
    assert row.t_done_ns >= row.t_token_ns[-1]
    assert (row.index, row.recorder, row.n_lost) == (1, recorder, 0)
    assert repr(row) == "<tokenclock.TokenRow 1: 3 events, finished>"
    assert repr(recorder) == "<tokenclock.TokenRecorder of 2 rows: 3 events>"


def test_columns_are_ragged() -> None:
    recorder = TokenRecorder(4, 8)
    for _ in range(3):
        recorder.row(0).stamp()
    row = recorder.row(2)
    row.stamp_n(5)
    row.finish()
    columns = recorder.columns()
    assert columns["token_offsets"].tolist() == [0, 3, 3, 4, 4]
    assert columns["n_tokens"].tolist() == [1, 1, 1, 5]
    assert columns["t_token_ns"][:3].tolist() == recorder.row(0).t_token_ns.tolist()
    assert columns["t_done_ns"].tolist() == [MISSING_NS, MISSING_NS, row.t_done_ns, MISSING_NS]
    dtypes = {name: column.dtype for name, column in columns.items()}
    assert dtypes == {
        "token_offsets": np.int64,
        "t_token_ns": np.int64,
        "n_tokens": np.int32,
        "t_done_ns": np.int64,
    }
    for name, column in columns.items():
        np.testing.assert_array_equal(getattr(recorder, name), column)


def test_a_full_row_raises_and_counts() -> None:
    recorder = TokenRecorder(2, max_tokens_per_row=2)
    row = recorder.row(0)
    row.stamp()
    row.stamp()
    for n_lost in (1, 2):
        with pytest.raises(
            OverflowError, match=f"row 0 is full: it holds max_tokens_per_row=2 events and lost {n_lost};"
        ):
            row.stamp()
    with pytest.raises(OverflowError, match="lost 3"):
        row.stamp_n(4)
    assert (row.n_events, row.n_lost, recorder.n_lost) == (2, 3, 3)
    assert recorder.row(1).n_events == 0


def test_a_finished_row_refuses() -> None:
    row = TokenRecorder(1).row(0)
    row.finish()
    t_done_ns = row.t_done_ns
    with pytest.raises(RuntimeError, match="row 0 is finished: nothing can be stamped"):
        row.stamp()
    with pytest.raises(RuntimeError, match="finished already"):
        row.finish()
    assert (row.t_done_ns, row.n_events, row.n_lost) == (t_done_ns, 0, 1)


@pytest.mark.parametrize("n_tokens", [0, -1, 2**31, 2**80, -(2**80)])
def test_stamp_n_refuses_counts_out_of_range(n_tokens: int) -> None:
    row = TokenRecorder(1).row(0)
    with pytest.raises(ValueError, match=f"stamp_n: expected a number of tokens from 1 to 2147483647, got {n_tokens}"):
        row.stamp_n(n_tokens)
    assert row.n_events == row.n_lost == 0


@pytest.mark.parametrize("n_tokens", [1.5, "3", None])
def test_stamp_n_refuses_what_is_no_integer(n_tokens: object) -> None:
    row = TokenRecorder(1).row(0)
    with pytest.raises(TypeError, match="integer"):
        row.stamp_n(n_tokens)  # type: ignore[arg-type]
    assert row.n_events == 0


@pytest.mark.parametrize(
    ("n_rows", "max_tokens_per_row", "said"),
    [
        (0, 1, "n_rows: expected 1 or more, got 0"),
        (-3, 1, "n_rows: expected 1 or more, got -3"),
        (1, 0, "max_tokens_per_row: expected 1 or more, got 0"),
        (2**40, 2**40, "ask for fewer"),
    ],
)
def test_bad_sizes(n_rows: int, max_tokens_per_row: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TokenRecorder(n_rows, max_tokens_per_row)


@pytest.mark.parametrize("i", [-1, 2])
def test_bad_row(i: int) -> None:
    with pytest.raises(IndexError, match=f"row: expected 0 to 1, got {i}"):
        TokenRecorder(2).row(i)


def test_rows_come_from_the_recorder_only() -> None:
    with pytest.raises(TypeError, match=r"cannot create 'tokenclock\.TokenRow' instances"):
        TokenRow()
    with pytest.raises(TypeError, match=r"immutable|can't set attributes"):
        TokenRow.stamp = None  # type: ignore[assignment, method-assign]
    assert TokenRow.__module__ == TokenRecorder.__module__ == "tokenclock"
    assert TokenRow is tokenclock.TokenRow is _core.TokenRow


def test_views_are_read_only_and_show_what_was_there() -> None:
    row = TokenRecorder(1).row(0)
    row.stamp()
    view = row.t_token_ns
    row.stamp()
    assert len(view) == 1
    assert np.shares_memory(view, row.t_token_ns)
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 0


class WatchedRecorder(TokenRecorder):
    """A Python subclass, so that it can be referred to weakly and be part of a reference cycle."""

    kept_row: TokenRow


def test_rows_and_views_keep_the_memory_alive() -> None:
    recorder = WatchedRecorder(4)
    watched = weakref.ref(recorder)
    row = recorder.row(3)
    row.stamp_n(7)
    t_ns = int(row.t_token_ns[0])
    stamp = row.stamp
    del recorder
    gc.collect()
    assert watched() is not None
    view, counts = row.t_token_ns, row.n_tokens
    del row, stamp
    gc.collect()
    assert watched() is not None
    assert view.tolist() == [t_ns]
    del view
    assert counts.tolist() == [7]
    del counts
    gc.collect()
    assert watched() is None


def test_a_cycle_through_a_row_is_collected() -> None:
    recorder = WatchedRecorder(1)
    recorder.kept_row = recorder.row(0)
    watched = weakref.ref(recorder)
    del recorder
    gc.collect()
    assert watched() is None


def test_reference_counts_stay_level() -> None:
    recorder = TokenRecorder(1)
    before = sys.getrefcount(recorder), sys.getrefcount(TokenRow)
    for _ in range(100):
        row = recorder.row(0)
        row.stamp()
        assert row.t_token_ns is not None
        assert row.recorder is recorder
        del row
    assert (sys.getrefcount(recorder), sys.getrefcount(TokenRow)) == before


def test_columns_outlive_the_recorder() -> None:
    recorder = TokenRecorder(1)
    recorder.row(0).stamp_n(9)
    columns = recorder.columns()
    del recorder
    gc.collect()
    assert columns["n_tokens"].tolist() == [9]


def test_threads_write_different_rows() -> None:
    n_threads, n_events = 4, 5000
    recorder = TokenRecorder(n_threads, n_events)

    def write(i: int) -> None:
        row = recorder.row(i)
        for k in range(1, n_events + 1):
            row.stamp_n(k)
        row.finish()

    threads = [threading.Thread(target=write, args=(i,)) for i in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    columns = recorder.columns()
    assert np.diff(columns["token_offsets"]).tolist() == [n_events] * n_threads
    assert (columns["n_tokens"].reshape(n_threads, n_events) == np.arange(1, n_events + 1)).all()
    assert (np.diff(columns["t_token_ns"].reshape(n_threads, n_events)) >= 0).all()
    assert (columns["t_done_ns"] != MISSING_NS).all()
    assert recorder.n_lost == 0


def test_room_is_address_space_until_it_is_used() -> None:
    recorder = TokenRecorder(n_rows=10_000, max_tokens_per_row=1_000_000)  # 120 GB, were it memory
    recorder.row(9_999).stamp()
    assert recorder.columns()["token_offsets"][-1] == 1


def test_the_stamps_clock_says_what_it_is() -> None:
    recorder = TokenRecorder(1)
    assert recorder.clock in ("tsc", "kernel")
    assert recorder.max_clock_error_ns >= 0
    if recorder.clock == "kernel":
        assert recorder.max_clock_error_ns == 0


def stamp_loop_ns(n: int) -> float:
    row = TokenRecorder(1).row(0)
    start = time.perf_counter_ns()
    for _ in itertools.repeat(None, n):
        row.stamp()
    return (time.perf_counter_ns() - start) / n


def append_loop_ns(n: int) -> float:
    times: list[int] = []
    start = time.perf_counter_ns()
    for _ in itertools.repeat(None, n):
        times.append(time.perf_counter_ns())
    return (time.perf_counter_ns() - start) / n


def median_ratio(measured: Callable[[int], float], yardstick: Callable[[int], float], n: int) -> float:
    """Median over five pairs of rounds, one after the other, so that a busy moment strikes both."""
    measured(n), yardstick(n)
    return statistics.median(measured(n) / yardstick(n) for _ in range(5))


@pytest.mark.timing
def test_a_stamp_costs_half_of_an_append_of_the_time() -> None:
    assert median_ratio(stamp_loop_ns, append_loop_ns, 100_000) <= 2 * 0.5


@pytest.mark.timing
def test_a_native_stamp_costs_no_more_than_1_2_clock_reads() -> None:
    assert median_ratio(_core.bench.recorder_stamp_ns, _core.bench.clock_read_ns, 1_000_000) <= 2 * 1.2


def test_a_recorder_made_by_new_alone_is_refused() -> None:
    recorder = TokenRecorder.__new__(TokenRecorder)
    for use in (lambda: recorder.n_rows, lambda: recorder.row(0), recorder.columns, lambda: len(recorder)):
        with pytest.raises(TypeError, match=r"TokenRecorder was made by __new__ alone: call the class to make one"):
            use()
