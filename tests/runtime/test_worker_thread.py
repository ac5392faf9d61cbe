"""Callbacks from CTranslate2's own thread: held, they find the same thread state; let go, none is left behind."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from tokenclock.parallel import OneProcess
from tokenclock.plan_benchmark import BenchmarkCase
from tokenclock.runtime.ctranslate2 import load
from tokenclock.runtime.options import RuntimeOptions

CASE = BenchmarkCase(0, "dec", 1, 4, 8)


def thread_state() -> int:
    get = ctypes.pythonapi.PyGILState_GetThisThreadState
    get.restype = ctypes.c_void_p
    return int(get())


def test_held_callbacks_share_a_thread_state() -> None:
    runtime = load("tiny:llama", "dec", RuntimeOptions(device="cpu", threads=1), OneProcess())
    states: list[int] = []
    runtime.prepare(CASE, 0)
    for _ in range(3):
        runtime.run(lambda: states.append(thread_state()))
    assert len(states) == 24
    assert len(set(states)) == 1
    runtime.close()
    runtime.close()


@pytest.mark.parametrize("ending", ["runtime.close()", "del runtime", "runtime.close(); runtime.close()", "pass"])
def test_a_process_ends_well_whatever_became_of_its_runtime(ending: str) -> None:
    code = (
        "from tokenclock.parallel import OneProcess\nfrom tokenclock.plan_benchmark import BenchmarkCase\n"
        "from tokenclock.runtime.ctranslate2 import load\nfrom tokenclock.runtime.options import RuntimeOptions\n"
        "def work():\n"
        "    runtime = load('tiny:llama', 'dec', RuntimeOptions(device='cpu', threads=1), OneProcess())\n"
        "    runtime.prepare(BenchmarkCase(0, 'dec', 2, 4, 8), 0)\n    runtime.run(lambda: None)\n"
        f"    {ending}\n"
        "work()\nprint('done')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
