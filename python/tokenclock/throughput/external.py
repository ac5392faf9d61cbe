"""`--external`: runs trtllm-bench itself, shows its log as it comes, and keeps what the log says in our schema."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from tokenclock.errors import MeasurementError, UsageError
from tokenclock.readers.trtllm_bench_log import read_log
from tokenclock.readers.trtllm_bench_result import result_of
from tokenclock.report import trtllm_bench_files

__all__ = ["EXECUTABLE", "find_executable", "run_external"]

EXECUTABLE = "trtllm-bench"


def find_executable(what_for: str) -> str:
    """Its path. Raises UsageError where it is not on the PATH; `what_for` says what would have needed it."""
    found = shutil.which(EXECUTABLE)
    if found is None:
        raise UsageError(f"{what_for} needs {EXECUTABLE} on the PATH, and there is none: pip install tensorrt-llm")
    return found


def run_external(argv: Sequence[str], *, write: Callable[[str], None], say: Callable[[str], None]) -> int:
    """Run it with these arguments.

    Args:
        argv: all words after the program's name, as it takes them.
        write: given each line of its output as it comes, without the newline.
        say: told one line at a time what the user should know.

    Returns:
        0 measured; 3 measured, but it ended with an error; 130 after Ctrl-C, with what the log held until then kept.

    Raises:
        UsageError: it is not on the PATH.
        MeasurementError: it ended without a report.
    """
    command = [find_executable("--external"), *argv]
    started = datetime.now(timezone.utc)
    lines: list[str] = []
    interrupted = False
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        while True:
            try:
                line = process.stdout.readline()
            except KeyboardInterrupt:  # it has had the signal too, and ends
                interrupted = True
                with suppress(OSError):
                    process.send_signal(signal.SIGINT)
                continue
            if not line:
                break
            lines.append(line)
            write(line.rstrip("\n"))
        code = process.wait()
    log = read_log(lines)
    interrupted = interrupted or code in (130, -signal.SIGINT)
    if not log.is_report:
        if interrupted:
            say(f"{EXECUTABLE} was interrupted before it had a report: nothing is kept")
            return 130
        last = next((line.strip() for line in reversed(lines) if line.strip()), "no output")
        raise MeasurementError(f"{EXECUTABLE} ended with exit code {code} and without a report: {last}")
    for name in log.missing:
        say(f"the log of {EXECUTABLE} has no line for {name}: it is null in the result")
    result = result_of(
        log,
        argv=[EXECUTABLE, *argv],
        created=started,
        exit_code=code,
        incomplete=interrupted,
        concurrency=_concurrency(argv),
    )
    path = _place(argv, started)
    trtllm_bench_files.write_json(trtllm_bench_files.report(result), path)
    say(f"result in {path}")
    return 130 if interrupted else 3 if code else 0


def _place(argv: Sequence[str], started: datetime) -> Path:
    """Beside its own report, which it writes itself; without one, in the working directory."""
    report = _value(argv, "--report_json")
    if report is None:
        return Path(f"{EXECUTABLE}-{started.astimezone():%Y%m%d-%H%M%S}.tokenclock.json")
    path = Path(report)
    return path.with_name(f"{path.stem}.tokenclock.json")


def _concurrency(argv: Sequence[str]) -> int | None:
    value = _value(argv, "--concurrency")
    with suppress(ValueError):
        if value is not None and int(value) > 0:
            return int(value)
    return 1 if "latency" in argv and value is None else None


def _value(argv: Sequence[str], flag: str) -> str | None:
    for index, word in enumerate(argv):
        if word == flag and index + 1 < len(argv):
            return argv[index + 1]
        if word.startswith(f"{flag}="):
            return word.partition("=")[2]
    return None
