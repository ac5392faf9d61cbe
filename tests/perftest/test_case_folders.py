"""Where the runs of a case lie: each session's apart, and one broken record spoils no other."""

from __future__ import annotations

import threading
from datetime import datetime, timezone
from pathlib import Path

import pytest
from tests.perftest.case_makers import make_case, make_label, make_outcome

from tokenclock.errors import UsageError
from tokenclock.perftest.case_file import write_case_file
from tokenclock.perftest.outcome import Ran
from tokenclock.perftest.perf_item import folder_name, new_folder
from tokenclock.perftest.replay import replay_case


def test_sessions_beside_each_other_share_no_folder(tmp_path: Path) -> None:
    found: list[Path] = []

    def make() -> None:
        found.append(new_folder(tmp_path, make_case(make_label())))

    threads = [threading.Thread(target=make) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    name = folder_name(make_case(make_label()))
    assert sorted(path.name for path in found) == sorted([name, *(f"{name}-{number}" for number in range(2, 17))])


def test_a_broken_record_is_passed_over_unless_it_is_all_there_is(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "case.json").write_text('{"canonical": "m')
    case = make_outcome(tmp_path / "good").case
    with pytest.raises(UsageError, match=r"case\.json"):
        replay_case(case, tmp_path, tmp_path / "new")
    (tmp_path / "good").mkdir()
    now = datetime(2026, 11, 28, tzinfo=timezone.utc)
    ran = Ran("throughput", ("tokenclock",), 1, 2, now, now, None, problem="it broke")
    write_case_file(make_outcome(tmp_path / "good"), [ran])
    assert replay_case(case, tmp_path, tmp_path / "new").folder == tmp_path / "good"
