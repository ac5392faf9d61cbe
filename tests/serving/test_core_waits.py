from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tokenclock.serving import core_waits
from tokenclock.serving.core_waits import CoreWaits

SCHEDSTAT = Path("/proc/self/schedstat")


def kernel_says(tasks: Path, **waited_ns: int) -> None:
    """Write what the kernel would of threads `t<number>`."""
    for name, ns in waited_ns.items():
        (tasks / name[1:]).mkdir(exist_ok=True)
        (tasks / name[1:] / "schedstat").write_text(f"123456 {ns} 17\n")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    now = [1_000_000_000]
    monkeypatch.setattr(core_waits.time, "monotonic_ns", lambda: now[0])
    return now


def test_each_worker_has_its_own_share(tmp_path: Path, clock: list[int]) -> None:
    kernel_says(tmp_path, t5=999)
    waits = CoreWaits(2, tmp_path)
    kernel_says(tmp_path, t11=1_000, t9=0)
    waits.begin()
    clock[0] += 100_000_000
    kernel_says(tmp_path, t11=1_000, t9=25_000_000)
    waits.note()
    clock[0] += 1_000_000
    kernel_says(tmp_path, t9=26_000_000)
    waits.note()  # too soon after the last look
    assert waits.shares() == [0.25, 0.0]  # in the order in which they began
    assert waits.added_to([{"a": 1}, {"a": 2}]) == [{"a": 1, "core_wait_share": 0.25}, {"a": 2, "core_wait_share": 0.0}]


def test_of_a_thread_that_has_ended_the_last_look_counts(tmp_path: Path, clock: list[int]) -> None:
    waits = CoreWaits(1, tmp_path)
    kernel_says(tmp_path, t9=0)
    waits.begin()
    clock[0] += 50_000_000
    kernel_says(tmp_path, t9=5_000_000)
    waits.note()
    (tmp_path / "9/schedstat").unlink()
    clock[0] += 50_000_000
    waits.note()
    assert waits.shares() == [0.1]


def test_what_the_system_does_not_say_is_missing_and_not_0(tmp_path: Path, clock: list[int]) -> None:
    nothing = CoreWaits(1, tmp_path / "absent")
    nothing.begin()
    clock[0] += 50_000_000
    nothing.note()
    assert nothing.shares() == [None]
    assert nothing.added_to([{"a": 1}]) == [{"a": 1}]
    one_look = CoreWaits(1, tmp_path)
    kernel_says(tmp_path, t9=0)
    one_look.begin()
    assert one_look.shares() == [None]
    unknown_who = CoreWaits(2, tmp_path)
    kernel_says(tmp_path, t10=0)
    unknown_who.begin()
    clock[0] += 50_000_000
    unknown_who.note()
    assert unknown_who.shares() == [None, None]
    odd = CoreWaits(1, tmp_path)
    (tmp_path / "12").mkdir()
    (tmp_path / "12/schedstat").write_text("1\n")
    odd.begin()
    assert odd.shares() == [None]


@pytest.fixture
def busy_core() -> Iterator[int]:
    """A core that four processes want all the time."""
    core = min(os.sched_getaffinity(0))
    code = f"import os\nos.sched_setaffinity(0, {{{core}}})\nwhile os.getppid() == {os.getpid()}: pass"
    hogs = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    yield core
    for hog in hogs:
        hog.kill()
        hog.wait()


@pytest.mark.skipif(not SCHEDSTAT.exists(), reason="this kernel does not count how long threads wait for a core")
def test_a_real_thread_among_four_others(busy_core: int) -> None:
    waits, end = CoreWaits(1), threading.Event()

    def spin() -> None:
        os.sched_setaffinity(threading.get_native_id(), {busy_core})
        while not end.is_set():
            sum(range(1000))

    thread = threading.Thread(target=spin)
    thread.start()
    waits.begin()
    for _ in range(20):
        time.sleep(0.05)
        waits.note()
    end.set()
    thread.join()
    (share,) = waits.shares()
    assert share is not None
    assert share > 0.3, "its fair part of the core is a fifth"
