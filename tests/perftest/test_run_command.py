"""One command: where its output goes, and what of its end is a problem, an interrupt, or neither."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.parallel.launching import pypi_launcher
from tests.perftest.case_makers import make_case, make_label, make_settings
from tests.standins.models import write_checkpoint
from tests.standins.tensorrt_llm_package import write_package

from tokenclock.perftest.commands import Command
from tokenclock.perftest.run_case import run_case
from tokenclock.perftest.run_command import run_command


def python(code: str, stdout: Path | None = None) -> Command:
    return Command((sys.executable, "-c", code), stdout, "dataset")


def test_output_goes_to_its_file_and_the_rest_to_the_log(tmp_path: Path) -> None:
    ran = run_command(
        python("import sys; print('rows'); print('said', file=sys.stderr)", tmp_path / "a" / "d.json"),
        1,
        tmp_path / "b" / "x.log",
    )
    assert (ran.exit_code, ran.problem) == (0, "")
    assert (tmp_path / "a" / "d.json").read_text() == "rows\n"
    first, *rest = (tmp_path / "b" / "x.log").read_text().splitlines()
    assert first.startswith("$ ")
    assert rest == ["said"]
    assert ran.started <= ran.ended


def test_a_failure_says_its_last_line_and_leaves_no_half_file(tmp_path: Path) -> None:
    ran = run_command(
        python("import sys; print('half'); sys.exit('no memory')", tmp_path / "d.json"), 1, tmp_path / "x.log"
    )
    assert ran.problem == "dataset ended with exit code 1: no memory"
    assert not (tmp_path / "d.json").exists()


def test_a_signal_and_a_missing_program(tmp_path: Path) -> None:
    ran = run_command(python("import os; os.kill(os.getpid(), 11)"), 1, tmp_path / "x.log")
    assert ran.problem == "dataset ended with signal 11: no output"
    ran = run_command(Command(("no-such-program",), None, "build"), 1, tmp_path / "y.log")
    assert ran.problem == "cannot start no-such-program: No such file or directory: no-such-program"


def test_another_process_is_ended_at_the_deadline(tmp_path: Path) -> None:
    begun_s = time.monotonic()
    ran = run_command(python("import time; time.sleep(60)"), 1, tmp_path / "x.log", begun_s + 0.2)
    assert ran.problem == "it ran past the case's TIMEOUT"
    assert time.monotonic() - begun_s < 20


def test_a_killed_session_leaves_no_command_behind(tmp_path: Path) -> None:
    mark = f"mark-{os.getpid()}"
    program = (
        "import sys, time; from pathlib import Path; from tokenclock.perftest.commands import Command\n"
        "from tokenclock.perftest.run_command import run_command\n"
        f"words = (sys.executable, '-c', 'import time; time.sleep(60)', '{mark}')\n"
        f"run_command(Command(words, None, 'dataset'), 1, Path({str(tmp_path / 'x.log')!r}), time.monotonic() + 50)"
    )
    session = subprocess.Popen([sys.executable, "-c", program])
    try:
        wait_for(lambda: is_running(mark, but=session.pid))
    finally:
        session.kill()
        session.wait()
    wait_for(lambda: not is_running(mark, but=session.pid))


def is_running(mark: str, *, but: int) -> bool:
    """Whether a process has the word among its arguments."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if int(path.parent.name) != but and mark.encode() in path.read_bytes().split(b"\0"):
                return True
    return False


def wait_for(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_ctrl_c_ends_the_session_and_a_bug_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = Command(("tokenclock", "throughput"), None, "throughput")

    def interrupted(_: list[str]) -> int:
        return 130

    def broken(_: list[str]) -> int:
        raise RuntimeError("odd")

    monkeypatch.setattr("tokenclock.__main__.main", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_command(command, 1, tmp_path / "x.log")
    monkeypatch.setattr("tokenclock.__main__.main", broken)
    ran = run_command(command, 1, tmp_path / "x.log")
    assert ran.problem == "RuntimeError within tokenclock, see the log: throughput"
    assert "RuntimeError: odd" in (tmp_path / "x.log").read_text()


def test_a_command_that_leaves_signals_ignored_does_not_leave_us_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deaf(_: list[str]) -> int:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("on stdout")
        return 0

    monkeypatch.setattr("tokenclock.__main__.main", deaf)
    before = signal.getsignal(signal.SIGINT)
    run_command(Command(("tokenclock", "throughput"), None, "throughput"), 1, tmp_path / "x.log")
    assert signal.getsignal(signal.SIGINT) is before
    assert (tmp_path / "x.log").read_text() == "$ tokenclock throughput\non stdout\n"


def test_an_old_result_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    result = tmp_path / "report.json"
    result.write_text("{}")
    run_command(Command((sys.executable, "-c", ""), None, "throughput", result), 1, tmp_path / "x.log")
    assert not result.exists()


def test_two_gpus_by_mpirun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = pypi_launcher()
    for name, value in launcher.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(write_package(tmp_path / "package", "1.2.1")))
    monkeypatch.setenv("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe")
    for name in ("PREFILL", "STEP", "SETUP"):
        monkeypatch.setenv(f"STANDIN_{name}_MS", "0.5")
    settings = make_settings(models={"llama": str(write_checkpoint(tmp_path / "model"))})
    label = make_label(tp=2, gpus=2, num_requests=8)
    outcome = run_case(make_case(label), settings, tmp_path / "case", say=lambda _: None)
    assert outcome.state in ("valid", "invalid"), outcome.reason
    report = json.loads((tmp_path / "case" / "report.json").read_text())
    assert report["world_info"]["tp_size"] == 2
    assert outcome.repeats[0]["TOKEN_THROUGHPUT"] == report["performance"]["output_throughput_per_gpu_tok_s"]
