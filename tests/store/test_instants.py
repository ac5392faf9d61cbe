from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenclock.errors import UsageError
from tokenclock.store.instants import instant_of, typed_instant
from tokenclock.store.tables import instant, microseconds

AT = datetime(2025, 3, 4, 5, 6, 7, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "text",
    [
        "2025-03-04T05:06:07+00:00", "2025-03-04T05:06:07Z", "2025-03-04 06:06:07+01:00", "1741064767", "1741064767.0",
        "1741064767000", "1741064767000000000",
    ],
)  # fmt: skip
def test_as_files_write_it(text: str) -> None:
    assert instant_of(text, "none") == AT


def test_without_a_zone_it_is_local_time() -> None:
    local = datetime(2025, 3, 4, 5, 6, 7).astimezone(timezone.utc)
    assert instant_of("20250304-050607", "none") == instant_of("2025-03-04T05:06:07", "none") == local


@given(st.text())
def test_other_text_is_the_file_s_own_time(text: str) -> None:
    assert instant_of(text, __file__).tzinfo is timezone.utc


def test_a_file_s_own_time(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.touch()
    os.utime(path, (AT.timestamp(), AT.timestamp()))
    assert instant_of("yesterday", path) == instant_of("", path) == instant_of("nan", path) == AT
    for endless in ("inf", "Infinity", "-inf", "1e300", "9" * 400):
        assert instant_of(endless, path) == AT
    assert abs(instant_of("", tmp_path / "none") - datetime.now(timezone.utc)) < timedelta(minutes=1)


def test_as_people_type_it() -> None:
    assert typed_instant("30d", now=AT) == AT - timedelta(days=30)
    assert typed_instant("2w", now=AT) == AT - timedelta(days=14)
    assert typed_instant("12h", now=AT) == AT - timedelta(hours=12)
    assert typed_instant("5m", now=AT) == AT - timedelta(minutes=5)
    assert typed_instant("2025-03-04") == datetime(2025, 3, 4).astimezone(timezone.utc)
    assert typed_instant("2025-03-04T05:06:07Z") == AT
    for text in ("yesterday", "", "30", "30y", "2025-13-01", "999999w"):
        with pytest.raises(UsageError, match="expected a"):
            typed_instant(text)


@given(st.datetimes(timezones=st.just(timezone.utc)))
def test_the_database_keeps_microseconds(when: datetime) -> None:
    assert instant(microseconds(when)) == when
