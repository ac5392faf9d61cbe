from __future__ import annotations

from pathlib import Path

import pytest

from tokenclock.host_load import HostLoad, host_load

TEXT = "cpu  100 0 50 800 40 0 5 5 3 0\ncpu0 1 2 3\n"


def test_the_first_line_is_read(tmp_path: Path) -> None:
    path = tmp_path / "stat"
    path.write_text(TEXT)
    assert host_load(path) == HostLoad((100, 0, 50, 800, 40, 0, 5, 5))


def test_shares_of_the_time_between() -> None:
    before = HostLoad((100, 0, 50, 800, 40, 0, 5, 5))
    after = HostLoad((130, 0, 60, 840, 50, 0, 5, 15))
    assert before.until(after) == {"busy_share": pytest.approx(0.5), "steal_share": pytest.approx(0.1)}


def test_of_a_few_ticks_nothing_is_said() -> None:
    before, after = HostLoad((0,) * 8), HostLoad((9, 0, 0, 10, 0, 0, 0, 0))
    assert before.until(after) == {"busy_share": None, "steal_share": None}


@pytest.mark.parametrize("text", [None, "", "intr 5\n", "cpu a b\n"])
def test_a_system_that_does_not_say(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "stat"
    if text is not None:
        path.write_text(text)
    assert host_load(path) == HostLoad()
    assert HostLoad().until(HostLoad((1000,) * 8)) == {"busy_share": None, "steal_share": None}


def test_this_system_says() -> None:
    if not Path("/proc/stat").exists():
        pytest.skip("no /proc/stat here")
    assert len(host_load().ticks) == 8
