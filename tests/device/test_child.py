from __future__ import annotations

import time
from pathlib import Path

import pytest

from tokenclock.device import child as child_module
from tokenclock.device.child import Child, ChildSilent, quiet_environment

ECHO = """
import json, os, sys, time
for line in sys.stdin:
    message = json.loads(line)
    if message["do"] == "die":
        print("it hurts", file=sys.stderr)
        raise SystemExit(5)
    if message["do"] == "hang":
        time.sleep(3600)
    answer = json.dumps({"got": message, "rank": os.getenv("OMPI_COMM_WORLD_RANK")})
    print("garbage" if message["do"] == "babble" else answer, flush=True)
"""


@pytest.fixture
def echo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Child:
    (tmp_path / "echo_child.py").write_text(ECHO)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "3")
    return Child("echo_child")


def test_it_answers_line_by_line_and_knows_of_no_launcher(echo: Child) -> None:
    echo.say({"do": "a"})
    echo.say({"do": "b"})
    assert echo.answer(30.0) == {"got": {"do": "a"}, "rank": None}
    assert echo.answer(30.0)["got"] == {"do": "b"}
    echo.end()
    echo.end()
    with pytest.raises(ChildSilent, match="it has ended"):
        echo.say({"do": "c"})


def test_a_dead_child_s_last_words_are_told(echo: Child) -> None:
    echo.say({"do": "die"})
    with pytest.raises(ChildSilent, match="it has ended; its last words: it hurts"):
        echo.answer(30.0)
    echo.end()


def test_a_hanging_child_is_waited_for_no_longer_than_said_and_killed(
    echo: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "_END_LIMIT_S", 0.2)
    echo.say({"do": "hang"})
    start_s = time.monotonic()
    with pytest.raises(ChildSilent, match=r"no answer within 0\.1 s"):
        echo.answer(0.1)
    echo.end()
    assert time.monotonic() - start_s < 20


def test_what_is_no_json_is_told(echo: Child) -> None:
    echo.say({"do": "babble"})
    with pytest.raises(ChildSilent, match="it answered b'garbage'"):
        echo.answer(30.0)
    echo.end()


def test_variables_of_launchers_are_left_out() -> None:
    given = {
        "PATH": "/bin", "CUDA_VISIBLE_DEVICES": "1", "LD_LIBRARY_PATH": "x", "MPI_LOCALRANKID": "0",
        "SLURM_PROCID": "2",
        "OMPI_COMM_WORLD_RANK": "1", "PMIX_RANK": "1", "PMI_RANK": "1", "PRTE_X": "", "MPIEXEC_X": "", "HYDRA_X": "",
    }  # fmt: skip
    assert set(quiet_environment(given)) == {"PATH", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH"}
