"""Standard error that is full, closed or without a reader costs its lines and nothing else."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest

from tokenclock.standard_error import QuietStream, say_on_stderr

TOO_FEW = [sys.executable, "-m", "tokenclock", "serving", "--model", "m"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize(("arguments", "code"), [(["--no-such-flag"], 2), (["--help"], 0)])
def test_a_full_stderr_leaves_the_exit_code(arguments: list[str], code: int) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*TOO_FEW, *arguments], stdout=subprocess.DEVNULL, stderr=full, check=False)
    assert done.returncode == code


def test_a_stderr_without_a_reader_leaves_the_exit_code() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*TOO_FEW, "--no-such-flag"], stderr=writer, check=False)
    os.close(writer)
    assert done.returncode == 2


class _Refusing(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def test_a_line_that_is_not_taken_is_lost_without_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (_Refusing(), closed):
        monkeypatch.setattr(sys, "stderr", stream)
        say_on_stderr("lost")
    assert QuietStream(_Refusing()).write("four") == 4
    kept = io.StringIO()
    QuietStream(kept).write("kept")
    assert kept.getvalue() == "kept"
