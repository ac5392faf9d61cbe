"""Signals while the main thread is inside a call that no Python handler can interrupt."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time

PROGRAM = textwrap.dedent(
    """
    import ctypes, sys, time
    from tokenclock.impatience import second_signal_ends
    from tokenclock.interrupts import deferred_interrupts

    def say(line):
        print(line, flush=True)

    def wait_for_ever():  # a locked mutex is waited for through every signal, as a runtime's worker is
        libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
        libc.pthread_mutex_init(mutex, None)
        libc.pthread_mutex_lock(mutex)
        say("ready")
        libc.pthread_mutex_lock(mutex)

    with deferred_interrupts(say, ends_process=True) as stop_requested:
        with second_signal_ends(say):
            if sys.argv[1] == "native":
                wait_for_ever()
            say("ready")
            while not stop_requested():
                time.sleep(0.01)
        time.sleep(1.5)
    say("saved")
    """
)


def start(kind: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, kind], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_the_first_signal_is_answered_and_the_second_ends_the_process() -> None:
    process = start("native")
    try:
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        assert "once more ends it now" in process.stdout.readline()
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert "within an iteration" in process.stdout.read()
    finally:
        process.kill()
        process.communicate()


def test_a_block_that_ends_by_itself_is_left_to_save_however_often_it_is_asked() -> None:
    process = start("python")
    try:
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert out.splitlines() == ["SIGINT: stopping, and saving what was measured", "saved"]
    assert process.returncode == 0
