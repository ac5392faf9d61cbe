"""Runs one command of a case: ours in this process, others and what has a deadline apart; output goes to a log."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import IO

from tokenclock.errors import MeasurementError, TokenclockError
from tokenclock.perftest.commands import Command
from tokenclock.perftest.outcome import Ran
from tokenclock.sweep.processes import Supervised

__all__ = ["not_run", "run_command"]

_KILL_S = 10.0  # between SIGINT and SIGKILL to what runs too long
_INTO_FILE = 'out=$1; shift; exec "$@" >"$out"'


def run_command(command: Command, repeat: int, log: Path, deadline_s: float | None = None) -> Ran:
    """Run it to its end; a failure is a `Ran` with a problem, never an exception.

    Args:
        command: what.
        repeat: from 1.
        log: file for standard output and error, in that order of arrival.
        deadline_s: `time.monotonic()` at which it is ended; None: never.

    Raises:
        KeyboardInterrupt: somebody wants the session to end.
    """
    started = datetime.now(timezone.utc)
    code: int | None = None
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        if command.result is not None:  # of an earlier session in this folder
            command.result.unlink(missing_ok=True)
        with open(log, "w", encoding="utf-8", errors="backslashreplace") as err:
            err.write(f"$ {' '.join(command.argv)}\n")
            err.flush()
            code, was_ended = _run(command, err, log, deadline_s)
        problem = "it ran past the case's TIMEOUT" if was_ended else _problem(command, code, log)
    except MeasurementError as error:  # it could not be started
        problem = str(error)
    except OSError as error:
        problem = f"{error.strerror or error}: {error.filename or command.argv[0]}"
    if problem and command.stdout is not None:
        command.stdout.unlink(missing_ok=True)
    ended = datetime.now(timezone.utc)
    if command.external and not problem:
        problem = _keep_result(command, log, started)
    return _ran(command, repeat, started, ended, log, code, problem)


def not_run(command: Command, repeat: int, why: str) -> Ran:
    """The record of a command that something before it kept from running."""
    now = datetime.now(timezone.utc)
    return _ran(command, repeat, now, now, None, None, f"not run: {why}")


def _ran(
    command: Command, repeat: int, started: datetime, ended: datetime, log: Path | None, code: int | None, problem: str
) -> Ran:
    return Ran(
        command.what,
        command.argv,
        repeat,
        code,
        started,
        ended,
        log,
        command.result,
        command.external,
        problem,
        command.cells,
    )


@contextlib.contextmanager
def _output(path: Path | None, log: IO[str]) -> Iterator[IO[str]]:
    if path is None:
        yield log
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        yield file


def _run(command: Command, err: IO[str], log: Path, deadline_s: float | None) -> tuple[int, bool]:
    """The exit code, and whether the deadline ended it."""
    if command.argv[0] == "tokenclock" and deadline_s is None:
        with _output(command.stdout, err) as out:
            return _run_here(command.argv[1:], out, err), False
    argv = list(command.argv)
    if "tokenclock" in argv[:4]:  # behind mpirun, or to be ended at a deadline, which a call in here could not be
        at = argv.index("tokenclock")
        argv[at : at + 1] = [sys.executable, "-m", "tokenclock"]
    if argv[0] == "mpirun" and (beside := Path(sys.executable).with_name("mpirun")).exists():
        argv[0] = str(beside)
    return _run_apart(argv, command.stdout, log, deadline_s)


def _run_here(words: tuple[str, ...], out: IO[str], err: IO[str]) -> int:
    from tokenclock.__main__ import main

    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _same_signals():
            code = main(list(words))
    except Exception as error:
        import traceback

        traceback.print_exc(file=err)
        raise OSError(0, f"{type(error).__name__} within tokenclock, see the log", words[0]) from error
    if code == 130:
        raise KeyboardInterrupt
    return code


@contextlib.contextmanager
def _same_signals() -> Iterator[None]:
    """Commands that were interrupted leave signals ignored, as their process would end; this one goes on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


def _run_apart(argv: list[str], stdout: Path | None, log: Path, deadline_s: float | None) -> tuple[int, bool]:
    """Under a supervisor: nothing of it outlives this process, however that ends."""
    words = argv if stdout is None else ["/bin/sh", "-c", _INTO_FILE, "sh", str(stdout), *argv]
    allowed = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    if stdout is not None:
        stdout.parent.mkdir(parents=True, exist_ok=True)
    with Supervised(words, log=log, environment=allowed, stop_signal=signal.SIGINT, stop_timeout_s=_KILL_S) as process:
        while process.poll() is None:
            left_s = 3600.0 if deadline_s is None else deadline_s - time.monotonic()
            if left_s <= 0:
                process.stop()
                return -signal.SIGINT if process.exit_code is None else process.exit_code, True
            process.wait(left_s)
        assert process.exit_code is not None
        return process.exit_code, False


def _problem(command: Command, code: int, log: Path) -> str:
    """One line; empty where the command did its part."""
    if code == 0:
        return ""
    if code == 3 and command.what == "benchmark" and command.result is not None and command.result.exists():
        return ""  # some of its cases failed: their rows say so
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return f"{command.what} ended with {how}: {_last_word(log)}"


def _last_word(log: Path) -> str:
    """The last line of ours in a log, else the last one with a letter in it."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[1:]
    spoken = [line.strip() for line in lines if any(map(str.isalpha, line))]
    ours = [line for line in spoken if line.startswith("tokenclock ")]
    return (ours or spoken or ["no output"])[-1][:300]


def _keep_result(command: Command, log: Path, started: datetime) -> str:
    """Our own JSON of what another tool's log says, beside its report."""
    if command.result is None:
        return ""
    from tokenclock.readers.trtllm_bench_log import read_log
    from tokenclock.readers.trtllm_bench_result import result_of
    from tokenclock.report import trtllm_bench_files

    with open(log, encoding="utf-8", errors="replace") as lines:
        found = read_log(lines)
    if not found.is_report:
        return ""  # each row says which line it lacks
    try:
        result = result_of(
            found, argv=list(command.argv), created=started, exit_code=0, incomplete=False, concurrency=None
        )
        trtllm_bench_files.write_json(trtllm_bench_files.report(result), command.result)
    except TokenclockError as error:
        return str(error)
    except OSError as error:
        return f"cannot write {command.result}: {error.strerror or error}"
    return ""
