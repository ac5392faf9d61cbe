from __future__ import annotations

from pathlib import Path

import pytest
from tests.offline.rows import rows

import tokenclock.iteration_log as iteration_log
from tokenclock.errors import UsageError
from tokenclock.iteration_log import IterationLog, read


def test_a_killed_run_reads_as_what_was_written(tmp_path: Path) -> None:
    log = IterationLog(tmp_path / "log", {"command": "benchmark"}, 0, pytest.fail)
    log.write(rows([(0, 10, [5]), (10, 30, [])]))
    log.write(rows([(30, 60, [40, 50])]))
    plan, records, cases, incomplete = read(tmp_path / "log")
    assert plan == {"command": "benchmark"}
    assert records.latency_ns.tolist() == [10, 20, 30]
    assert records.t_step_ns.tolist() == [5, 40, 50]
    assert (list(cases), incomplete) == ([], True)


def test_a_finished_run_is_complete_and_knows_its_cases(tmp_path: Path) -> None:
    log = IterationLog(tmp_path, {}, 0, pytest.fail)
    log.case_ended({"index": 0, "status": "failed", "reason": "out of memory", "label": "x"})
    log.finish(incomplete=False)
    _, records, cases, incomplete = read(tmp_path)
    assert len(records) == 0
    assert list(cases) == [{"index": 0, "status": "failed", "reason": "out of memory"}]
    assert not incomplete


def test_ranks_write_side_by_side(tmp_path: Path) -> None:
    first = IterationLog(tmp_path, {"a": 1}, 0, pytest.fail)
    second = IterationLog(tmp_path, {"a": 1}, 1, pytest.fail)
    second.write(rows([(0, 20, [])], rank=1))
    first.write(rows([(0, 10, [])], rank=0))
    _, records, _, _ = read(tmp_path)
    assert records.columns["rank"].tolist() == [0, 1]
    assert records.latency_ns.tolist() == [10, 20]


def test_parts_are_due_every_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(iteration_log.time, "monotonic", lambda: now[0])
    log = IterationLog(tmp_path, {}, 0, pytest.fail)
    assert not log.due()
    now[0] += 1.0
    assert log.due()
    log.write(rows([(0, 10, [])]))
    assert not log.due()


def test_a_full_disk_is_said_once_and_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    log = IterationLog(tmp_path, {}, 0, said.append)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(iteration_log, "atomic_write", full)
    log.write(rows([(0, 10, [])]))
    log.write(rows([(0, 10, [])]))
    log.finish(incomplete=False)
    assert log.broken
    assert len(said) == 1
    assert "No space left on device" in said[0]


def test_another_runs_directory_is_refused(tmp_path: Path) -> None:
    IterationLog(tmp_path, {}, 0, pytest.fail).write(rows([(0, 10, [])]))
    with pytest.raises(UsageError, match="holds the events of another run"):
        IterationLog(tmp_path, {}, 0, pytest.fail)


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        IterationLog(tmp_path / "file" / "log", {}, 0, pytest.fail)


@pytest.mark.parametrize("content", [None, "{", '{"format": 9}'])
def test_what_is_no_log_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "plan.json").write_text(content)
    with pytest.raises(UsageError, match="event log"):
        read(tmp_path)


def test_a_damaged_part_costs_no_other(tmp_path: Path) -> None:
    log = IterationLog(tmp_path, {}, 0, pytest.fail)
    log.write(rows([(0, 10, [])]))
    log.write(rows([(0, 12, [])]))
    log.finish(incomplete=False)
    first, second = sorted(tmp_path.glob("part-*.npz"))
    second.write_bytes(second.read_bytes()[:100])
    said: list[str] = []
    _, back, _, incomplete = read(tmp_path, said.append)
    assert (len(back.columns["case"]), incomplete) == (1, True)
    assert [line.startswith(f"{second} is damaged (") for line in said] == [True]
    first.unlink()
    with pytest.raises(UsageError, match="is no event log that can be read"):
        read(tmp_path)
