"""A run that is ended by time: when it ends, and which requests it keeps."""

from __future__ import annotations

from tests.conftest import MakeRecords

from tokenclock.measured_windows import MeasuredWindows
from tokenclock.plan_windows import WindowPlan

S = 1_000_000_000


class Clock:
    now_ns = 5 * S

    def __call__(self) -> int:
        return self.now_ns


def test_three_windows_that_agree_end_the_run_and_are_kept(make_records: MakeRecords) -> None:
    # one request a tenth of a second, each 0.05 s long; the first window is slower; one is under way at the end
    requests = [{"sent": t * S // 10, "tokens": [t * S // 10 + (9 if t < 10 else 5) * S // 100]} for t in range(40)]
    requests += [{"sent": 4 * S - 1, "status": "cancelled"}, {"status": "not_sent"}]
    requests += [{"sent": 2 * S, "status": "http_error", "t_done_ns": 2 * S + 1}]
    records, clock = make_records(requests, client={"interrupted": True}), Clock()
    windows = MeasuredWindows(WindowPlan(1.0, stability_percent=5), clock)
    assert not windows.due()
    windows.begin()
    for _ in range(4):
        assert not windows.due()
        clock.now_ns += S
        assert windows.due()
        windows.look(records.columns)
    assert windows.ended
    assert windows.stable
    assert not windows.due()
    assert [window.n for window in windows.windows] == [10, 10, 10, 10]

    kept = windows.trimmed(records)
    assert kept.n_requests == 31  # the failure of the server stays in the room
    assert int(kept.ok.sum()) == 30
    assert kept.columns["request_id"][0] == 10
    assert not kept.client["interrupted"]
    assert (kept.client["n_cut_off"], kept.client["n_outside_windows"]) == (1, 10)


def test_ten_windows_end_the_run_though_they_do_not_agree(make_records: MakeRecords) -> None:
    records, clock = make_records([{"sent": 0, "tokens": [S // 2]}], client={"interrupted": True}), Clock()
    windows = MeasuredWindows(WindowPlan(1.0), clock)
    windows.begin()
    clock.now_ns += 100 * S
    while windows.due():
        windows.look(records.columns)
    assert len(windows.windows) == 10
    assert windows.ended
    assert not windows.stable
    assert windows.trimmed(records).n_requests == 0


def test_a_run_stopped_before_is_incomplete(make_records: MakeRecords) -> None:
    records, clock = make_records([{"sent": 0, "tokens": [S // 2]}], client={"interrupted": True}), Clock()
    windows = MeasuredWindows(WindowPlan(1.0), clock)
    assert windows.trimmed(records) is records
    windows.begin()
    clock.now_ns += S
    windows.look(records.columns)
    assert windows.trimmed(records).client["interrupted"]
