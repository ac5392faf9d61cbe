"""The command: flags, one-line errors, signals, and the truth file."""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tokenclock.cli.paced_server import build_parser, fault, main
from tokenclock.errors import UsageError
from tokenclock.serving.paced_truth import Truth

COMMAND = [sys.executable, "-m", "tokenclock", "paced-server"]


class Command:
    """The command with a free port, up to the line that names its address."""

    def __init__(self, *flags: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "--port", "0", *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.url = self.line("listening on ")

    def line(self, start: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(start):
                return line.removeprefix(start).strip()
        raise AssertionError(f"the command ended before it said {start!r}")

    def complete(self, n_tokens: int) -> dict[str, Any]:
        body = json.dumps({"prompt": [1, 2], "max_tokens": n_tokens}).encode()
        with urllib.request.urlopen(f"{self.url}/v1/completions", body, timeout=30) as reply:
            answer: dict[str, Any] = json.load(reply)
        return answer

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(30)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        return code


@pytest.fixture
def truth_file(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "truth.npz"
    assert not [path for path in tmp_path.iterdir() if path.name != "truth.npz"]  # nothing half-written stays


@pytest.mark.parametrize(("how", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it_and_the_truth_is_written(truth_file: Path, how: signal.Signals, code: int) -> None:
    command = Command("--ttft-ms", "5", "--itl-ms", "2", "--truth", str(truth_file))
    assert Truth.from_npz(truth_file).n_requests == 0  # written at once: the place is good
    assert command.complete(3)["usage"]["completion_tokens"] == 3
    assert command.end(how) == code
    truth = Truth.from_npz(truth_file)
    assert truth.max_tokens.tolist() == [3]
    assert truth.meta["options"]["mode"] == "batch"
    assert truth.meta["counters"]["n_tokens"] == 3


def test_sigusr1_writes_the_truth_so_far(truth_file: Path) -> None:
    command = Command("--mode", "flood", "--truth", str(truth_file))
    for n_requests in (1, 2):
        command.complete(3)
        command.process.send_signal(signal.SIGUSR1)
        assert command.line("truth written to ") == str(truth_file)
        assert Truth.from_npz(truth_file).n_requests == n_requests
    assert command.end(signal.SIGTERM) == 0


def test_it_ends_with_standard_input_when_asked_to() -> None:
    command = Command("--stop-with-stdin")
    assert command.process.stdin is not None
    command.process.stdin.close()
    assert command.process.wait(30) == 0
    assert command.process.stdout is not None
    command.process.stdout.close()


def failure(*flags: str, **environment: str) -> tuple[int, str]:
    # an editable install may rebuild at import; what it prints then is not the command's
    surroundings = {**os.environ, "SKBUILD_EDITABLE_VERBOSE": "0", **environment}
    done = subprocess.run([*COMMAND, *flags], capture_output=True, text=True, timeout=60, env=surroundings)
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("tokenclock paced-server: ")
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--fault", "explode"], "--fault must be one of status, cut, stall"),
        (["--fault", "status"], "--fault must be status= and an HTTP status, such as status=503, got status"),
        (["--fault", "cut=3"], "--fault must be cut without =, got cut=3"),
        (["--fault", "cut:much"], "share of 0 to 1"),
        (["--fault", "cut:2"], "at most 1, got 2"),
        (["--fault", "cut", "--fault", "stall"], "KIND:SHARE"),
        (["--fault", "status=200"], "400..599, got 200"),
        (["--ttft-ms", "-1"], "--ttft-ms must be 0..3.6e+06, got -1"),
        (["--itl-ms", "0"], "use mode flood"),
        (["--itl-std-ms", "3"], "choose normal or lognormal"),
        (["--tokens-per-event", "0"], "--tokens-per-event must be 1..4096, got 0"),
        (["--port", "70000"], "--port must be 0..65535, got 70000"),
        (["--host", "no.such.host.invalid"], "no address for host no.such.host.invalid"),
        (["--cpu", "4000"], "--cpu must be one of"),
        (["--ttft", "3"], "unknown flag --ttft"),
    ],
)
def test_bad_input_is_one_line_and_code_2(flags: list[str], message: str) -> None:
    code, text = failure("--port", "0", *flags)
    assert code == 2
    assert message in text


def test_a_port_in_use_is_one_line_and_code_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, text = failure("--port", str(taken.getsockname()[1]))
    assert code == 1
    assert "Address already in use" in text
    assert "--port" in text


def test_a_truth_that_cannot_be_written_is_found_out_before_the_first_request(tmp_path: Path) -> None:
    code, text = failure("--port", "0", "--truth", str(tmp_path / "nowhere" / "truth.npz"))
    assert code == 1
    assert "cannot write --truth" in text


def test_flags_can_come_from_the_environment() -> None:
    code, text = failure("--port", "0", TOKENCLOCK_PACED_SERVER_ITL_MS="-4")
    assert code == 2
    assert "--itl-ms" in text


def test_the_parts_of_a_fault() -> None:
    assert fault("status=503:0.25") == ("status", 503, 0.25)
    assert fault("close-idle=100") == ("close-idle", 100, 1.0)
    assert fault("comments:1") == ("comments", 0, 1.0)
    with pytest.raises(argparse.ArgumentTypeError, match="got ''"):
        fault("")


def test_the_help_states_every_flag_with_its_unit_and_default() -> None:
    text = " ".join(build_parser().format_help().split())  # however wide the terminal
    for word in (
        "--ttft-ms",
        "ms (default: 50)",
        "close-idle=N",
        "(default: 8000)",
        "SIGUSR1",
        "exit codes: 0 told to stop",
    ):
        assert word in text
    for flag in ("--ttft-std-ms MS", "--itl-std-ms MS", "--max-requests N"):
        assert flag in text


def test_the_command_line_needs_neither_numpy_nor_the_core_for_its_help() -> None:
    code = (
        "import sys, tokenclock.cli.paced_server as p; p.build_parser();"
        "print([m for m in ('numpy', 'tokenclock._core') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--cached-share", "2"], "--cached-share must be 0 to 1, got 2"),
        (["--output-share", "0"], "--output-share must be above 0 and at most 1, got 0"),
        (["--fault", "cut:1.5"], "--fault: a fault's share must be above 0 and at most 1, got 1.5"),
        (["--fault", "status=99"], "--fault: the status of a fault must be 400..599, got 99"),
    ],
)
def test_a_wrong_value_is_said_in_the_words_that_were_typed(flags: list[str], said: str) -> None:
    with pytest.raises(UsageError) as error:
        main(["--port", "0", *flags])
    assert str(error.value) == said
