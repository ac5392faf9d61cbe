"""Keys and sessions."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from tokenclock.baselines.history import key_of, sessions_of
from tokenclock.errors import UsageError
from tokenclock.store.record import RunRow
from tokenclock.store.series import Point

START = datetime(2026, 11, 1, tzinfo=timezone.utc)


def run(**facts) -> RunRow:
    return RunRow(hash="0", created=START, label="a", host="vm", **facts)


def point(run_id: int, value: float) -> Point:
    return Point(run_id, START + timedelta(hours=run_id), value, None, None, "valid")


def test_the_host_counts_where_there_is_no_gpu() -> None:
    assert key_of(run()) == {"label": "a", "gpu": "", "host": "vm"}
    assert key_of(run(gpu="H100")) == {"label": "a", "gpu": "H100"}


def test_other_columns_and_tags() -> None:
    found = key_of(run(concurrency=8, tags={"branch": "main"}), ("concurrency", "tag.branch", "tag.none"))
    assert found == {"concurrency": "8", "tag.branch": "main", "tag.none": ""}
    with pytest.raises(UsageError, match="told apart by colour"):
        key_of(run(), ("colour",))


def test_repeats_of_a_session_are_one_value_at_its_first_instant() -> None:
    groups = [("late", [point(4, 9.0), point(5, 1.0), point(6, 2.0)]), ("", [point(7, 5.0), point(1, 3.0)])]
    found = sessions_of(groups)
    assert [(one.value, one.run_ids, one.repeats) for one in found] == [
        (3.0, (1,), 1),
        (2.0, (4, 5, 6), 3),
        (5.0, (7,), 1),
    ]
    assert found[1].created == START + timedelta(hours=4)
