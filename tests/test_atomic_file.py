from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tokenclock.atomic_file import atomic_write, clear_stale_parts
from tokenclock.output_place import usable_file


def test_the_file_is_there_after_the_block_and_not_before(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    with atomic_write(target) as file:
        file.write(b"whole")
        assert not target.exists()
    assert target.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [target]


def test_an_error_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_bytes(b"old")
    with pytest.raises(TypeError), atomic_write(target) as file:
        file.write("text where bytes belong")  # type: ignore[arg-type]
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_missing_directory_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "none" / "a.json"):
        pass


def test_a_link_stays_and_what_it_points_at_is_replaced(tmp_path: Path) -> None:
    target, link = tmp_path / "inside" / "a.json", tmp_path / "link.json"
    target.parent.mkdir()
    target.write_bytes(b"old")
    link.symlink_to(target)
    with atomic_write(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert list(target.parent.iterdir()) == [target]


def test_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link):
        with pytest.raises(OSError, match="no regular file"), atomic_write(path) as file:
            file.write(b"new")
    assert pipe.is_fifo()
    assert sorted(tmp_path.iterdir()) == [link, pipe]


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    dead, old = child.pid, time.time() - 60
    gone = [f".h.json.{dead}.part", f".h_genai_perf.csv.{dead}.part"]
    stay = [
        f".h.json.{os.getpid()}.part",
        f".other.json.{dead}.part",
        f"h.json.{dead}.part",
        ".h.json.x.part",
        "h.json",
    ]
    for name in (*gone, *stay):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (old, old))
    fresh = f".h.fresh.{dead}.part"
    (tmp_path / fresh).touch()
    clear_stale_parts(tmp_path, "h")
    assert {path.name for path in tmp_path.iterdir()} == {*stay, fresh}
    clear_stale_parts(tmp_path / "missing", "h")


def test_the_next_start_in_a_place_clears_it(tmp_path: Path) -> None:
    left = tmp_path / ".h.json.999999999.part"
    left.touch()
    os.utime(left, (0, 0))
    usable_file(tmp_path / "h.json", "--report_json")
    assert list(tmp_path.iterdir()) == []
