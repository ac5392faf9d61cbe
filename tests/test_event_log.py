from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tokenclock import event_log
from tokenclock.errors import UsageError
from tokenclock.event_log import EventLog
from tokenclock.records import MISSING_NS, STATUS_NAMES, Records

ASKED = {"isl_requested": np.array([5, 6, 7], np.int32), "osl_requested": np.array([2, 2, 2], np.int32)}


def final(rows: list[int], events: list[tuple[int, int]]) -> dict[str, np.ndarray]:
    """Ended rows, and events as (row, instant)."""
    return {
        "rows": np.array(rows, np.int32),
        "event_row": np.array([row for row, _ in events], np.int32),
        "t_token_ns": np.array([t for _, t in events], np.int64),
        "n_tokens": np.ones(len(events), np.int32),
        "t_read_ns": np.array([t + 1 for _, t in events], np.int64),
    }


def native_columns(records: Records) -> dict[str, np.ndarray]:
    """The columns a native client shows while it runs: no ``osl`` yet, but what it counts."""
    columns = {name: column for name, column in records.columns.items() if name not in ("osl", "osl_source")}
    events = np.diff(records.token_offsets).astype(np.int32)
    return {**columns, "osl_server": np.array([2, -1, -1], np.int32), "osl_events": events}


@pytest.fixture
def records(make_records: Any) -> Records:
    made: Records = make_records(
        [
            {"sent": 1, "tokens": [10, 20]},
            {"sent": 2, "tokens": [12, 22, 32]},
            {"sent": 3, "tokens": [15], "status": "truncated", "error": "cut"},
        ],
        client={"n_events": 6, "wall_ns": 40},
    )
    for name, column in ASKED.items():
        made.columns[name][:] = column
    made.columns["osl_source"][:] = [1, 3, 3]
    return made


def logged(directory: Path, records: Records, warnings: list[str]) -> EventLog:
    log = EventLog(directory, {"command": "serving"}, ASKED, warnings.append)
    log.write(final([], [(0, 10), (1, 12), (2, 15)]), native_columns(records))
    log.write(final([0, 2], [(0, 20), (1, 22)]), native_columns(records))
    return log


def test_a_finished_log_gives_the_records_back(tmp_path: Path, records: Records) -> None:
    warnings: list[str] = []
    log = logged(tmp_path / "deep/events", records, warnings)
    log.write(final([1], [(1, 32)]), native_columns(records))
    log.finish(records)
    plan, back, incomplete = event_log.read(tmp_path / "deep/events")
    assert (plan, incomplete, warnings) == ({"command": "serving"}, False, [])
    for name, column in records.columns.items():
        np.testing.assert_array_equal(back.columns[name], column, err_msg=name)
    assert back.token_offsets.tolist() == [0, 2, 5, 6]
    assert back.t_token_ns.tolist() == records.t_token_ns.tolist()
    assert back.t_read_ns.tolist() == [11, 21, 13, 23, 33, 16]
    assert (back.errors, back.client, back.epoch_ns) == ({2: "cut"}, records.client, records.epoch_ns)


def test_a_killed_run_keeps_all_but_its_last_part(tmp_path: Path, records: Records) -> None:
    logged(tmp_path, records, [])
    _, back, incomplete = event_log.read(tmp_path)
    assert incomplete
    assert back.columns["status"].tolist() == [0, 5, 6]  # ok, cancelled in flight, truncated
    assert back.columns["t_first_token_ns"].tolist() == [10, 12, 15]
    assert back.columns["t_last_token_ns"][1] == 22
    assert back.columns["t_sent_ns"][1] == MISSING_NS
    assert back.columns["isl_requested"].tolist() == [5, 6, 7]
    assert back.t_token_ns.tolist() == [10, 20, 12, 22, 15]


def test_parts_are_whole_and_numbered(tmp_path: Path, records: Records) -> None:
    log = logged(tmp_path, records, [])
    log.write(final([], []), native_columns(records))  # nothing new: no part
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "part-000001.npz",
        "part-000002.npz",
        "part-000003.npz",
        "plan.json",
    ]
    assert json.loads((tmp_path / "plan.json").read_text())["complete"] is False


def test_a_full_disk_is_said_once_and_the_run_goes_on(
    tmp_path: Path, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    log = logged(tmp_path, records, warnings)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(event_log.np, "savez", full)
    for _ in range(3):
        log.write(final([1], [(1, 32)]), native_columns(records))
    log.finish(records)
    assert log.broken
    assert not log.due()
    assert len(warnings) == 1
    assert "No space left on device" in warnings[0]
    monkeypatch.undo()
    assert event_log.read(tmp_path)[2]  # what was written is still readable, as an incomplete run


def test_a_log_that_finds_no_open_file_left_says_which_limit_suffices(
    tmp_path: Path, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    log = logged(tmp_path, records, warnings)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(event_log.np, "savez", full)
    log.write(final([1], [(1, 32)]), native_columns(records))
    assert warnings == [
        "event log stopped after part 3: Too many open files; the run goes on without it, "
        "say `ulimit -n 131` for the next one"
    ]


def test_a_part_is_due_after_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr(event_log.time, "monotonic", lambda: now_s)
    log = EventLog(tmp_path, {}, ASKED, print)
    assert not log.due()
    now_s = 101.0
    assert log.due()


def test_another_runs_directory_and_a_file_in_the_way_are_refused(tmp_path: Path, records: Records) -> None:
    logged(tmp_path / "a", records, [])
    with pytest.raises(UsageError, match="events of another run"):
        EventLog(tmp_path / "a", {}, ASKED, print)
    (tmp_path / "new").mkdir()
    (tmp_path / "new/plan.json").touch()  # of a run that starts at the same time
    with pytest.raises(UsageError, match="events of another run"):
        EventLog(tmp_path / "new", {}, ASKED, print)
    (tmp_path / "b").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        EventLog(tmp_path / "b", {}, ASKED, print)


@pytest.mark.parametrize(
    ("lost", "statuses", "events"),
    [
        (1, ["ok", "ok", "truncated"], [10, 20, 12, 22, 32, 15]),  # it holds the lengths asked for
        (2, ["cancelled", "cancelled", "truncated"], [20, 22, 32]),  # the first event of each
        (4, ["ok", "cancelled", "truncated"], [10, 20, 12, 22, 15]),
    ],
)
def test_a_damaged_part_costs_no_other(
    tmp_path: Path, records: Records, lost: int, statuses: list[str], events: list[int]
) -> None:
    log = logged(tmp_path, records, [])
    log.write(final([1], [(1, 32)]), native_columns(records))
    log.finish(records)
    part = tmp_path / f"part-{lost:06d}.npz"
    part.write_bytes(part.read_bytes()[:-40])
    said: list[str] = []
    _, back, incomplete = event_log.read(tmp_path, said.append)
    assert incomplete
    assert [STATUS_NAMES[status] for status in back.columns["status"]] == statuses
    assert back.t_token_ns.tolist() == events
    assert back.columns["osl_requested"].tolist() == [2, 2, 2]
    assert len(said) == 1
    assert said[0].startswith(f"{part} is damaged (")


def test_a_log_of_which_nothing_can_be_read_is_one_line(tmp_path: Path, records: Records) -> None:
    logged(tmp_path, records, [])
    for part in tmp_path.glob("part-*.npz"):
        part.write_bytes(b"PK half a file")
    with pytest.raises(UsageError, match=r"all its parts \(3\) are damaged"):
        event_log.read(tmp_path, lambda _: None)
    with pytest.raises(UsageError, match="is no event log"):
        event_log.read(tmp_path / "nowhere")
