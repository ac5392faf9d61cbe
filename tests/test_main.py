"""The first word of a command line, exit codes, and what goes to stdout and stderr: with the real program."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tokenclock.__main__ as program
from tokenclock.errors import GateMissed, MeasurementError, TokenclockError, UsageError


def run(*arguments: str, module: str = "tokenclock") -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOKENCLOCK_SERVING_")}
    return subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, env=environment, check=False
    )


def test_alone_it_lists_the_commands_one_line_each() -> None:
    done = run()
    assert done.returncode == 0
    assert done.stderr == ""
    listed = [line.split()[0] for line in done.stdout.splitlines()[2:]]
    assert listed == list(program.COMMANDS)
    assert run("--help").stdout == done.stdout


def test_every_listed_command_is_there() -> None:
    for module, _ in program.COMMANDS.values():
        assert callable(__import__(module, fromlist=["main"]).main)


def test_the_version_names_compiler_and_features() -> None:
    done = run("--version")
    assert done.returncode == 0
    first, *rest = done.stdout.splitlines()
    assert first.startswith("tokenclock 0.")
    assert rest[0].startswith(("compiler: g++", "compiler: clang"))
    assert rest[1] in ("kernel receive stamps: yes", "kernel receive stamps: no")
    assert rest[2].startswith(("TLS: yes (OpenSSL ", "TLS: no (no libssl"))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["servin"], "tokenclock: unknown command servin (did you mean serving?); `tokenclock` alone lists them\n"),
        (["--versio"], "tokenclock: unknown command --versio (did you mean --version?); `tokenclock` alone lists "
         "them\n"),
        (["xyzzy"], "tokenclock: unknown command xyzzy; `tokenclock` alone lists them\n"),
        (["baseline"], "tokenclock baseline: an action must follow: accept, show, diff; tokenclock baseline --help "
         "explains them\n"),
        (["serving", "--plot-throughput"],
         "tokenclock serving: --plot-throughput is not built yet\n"),
        (["serving", "--model", "a\nb", "--dataset-name", "c\nd"],
         "tokenclock serving: --dataset-name must be one of random, sharegpt, burstgpt, sonnet, trtllm_custom, custom, "
         "hf, random_image, trace, got c d\n"),
    ],
)  # fmt: skip
def test_a_usage_error_is_one_line_on_stderr_and_exit_2(arguments: list[str], line: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


def test_the_old_module_name_runs_the_same_command() -> None:
    done = run("--plot-throughput", module="tokenclock.benchmark_serving")
    assert done.returncode == 2
    assert done.stderr.startswith("tokenclock serving: --plot-throughput is not built yet")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TokenclockError("x"), 1), (MeasurementError("x"), 1), (UsageError("x"), 2), (GateMissed("x"), 3),
        (KeyboardInterrupt(), 130), (MemoryError("std::bad_alloc"), 1), (BrokenPipeError(), 141),
    ],
)  # fmt: skip
def test_exit_codes(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: list[str]) -> int:
        raise error

    monkeypatch.setattr("tokenclock.cli.serving.main", fail)
    assert program.main(["serving"]) == code
    out = capsys.readouterr()
    assert out.out == ""
    line = "x"
    if isinstance(error, MemoryError):
        line = "out of memory; ask for less, or run it where there is more"
    assert out.err == ("" if code in (130, 141) else f"tokenclock serving: {line}\n")


def test_a_reader_that_goes_away_leaves_no_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stdout:
        done = subprocess.run([sys.executable, "-m", "tokenclock"], stdout=stdout, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 141
    assert done.stderr == b""


@pytest.mark.parametrize("arguments", [(), ("--version",)])
def test_a_full_stdout_is_said_in_one_line(arguments: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "tokenclock", *arguments]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "tokenclock: cannot write to standard output: No space left on device\n"


def test_a_closed_stdout_is_said_in_one_line() -> None:
    command = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "tokenclock"]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        0, "tokenclock: standard output is closed: nothing is printed there\n"
    )  # fmt: skip


@pytest.mark.parametrize("name", program.COMMANDS)
def test_help_needs_only_the_standard_library(name: str) -> None:
    code = (
        "import sys\nfrom tokenclock.__main__ import main\n"
        f"try:\n    main([{name!r}, '--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "heavy = [m for m in ('numpy', 'rich', 'tokenizers', 'tokenclock._core') if m in sys.modules]\n"
        "sys.exit(','.join(heavy) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: tokenclock {name}")


@pytest.mark.timing
@pytest.mark.parametrize("name", program.COMMANDS)
def test_help_is_instant(name: str) -> None:
    """Under 0.2 s. Without `site`, whose editable-install hooks are not ours."""
    source = Path(program.__file__).resolve().parent.parent
    command = [sys.executable, "-S", "-m", "tokenclock", name, "--help"]
    took_s = []
    for _ in range(5):
        start_s = time.monotonic()
        subprocess.run(command, capture_output=True, check=True, env={"PYTHONPATH": str(source)})
        took_s.append(time.monotonic() - start_s)
    assert statistics.median(took_s) < 0.2


def test_an_interrupt_while_it_is_loaded_is_no_traceback() -> None:
    code = """
import sys
class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == "tokenclock.cli.group_options":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
from tokenclock.__main__ import main
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
