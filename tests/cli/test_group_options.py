"""trtllm-bench's options before a command: both spellings, every command, and what is refused."""

from __future__ import annotations

import pytest

import tokenclock.__main__ as program
from tokenclock.cli.group_options import GroupOptions, split_group_options, starts_with_group_option
from tokenclock.errors import UsageError


@pytest.mark.parametrize(
    ("argv", "options", "rest"),
    [
        (["throughput", "--tp", "2"], GroupOptions(), ["throughput", "--tp", "2"]),
        (["--model=a/b", "--model_path=/d", "throughput", "--model", "x"],
         GroupOptions(model="a/b", model_path="/d"), ["throughput", "--model", "x"]),
        (["-m", "a/b", "-w", "/t", "--log_level", "debug", "--revision", "r1", "latency"],
         GroupOptions(model="a/b", workspace="/t", log_level="debug", revision="r1"), ["latency"]),
        (["-ma/b", "--workspace=/x=y", "prepare-dataset"],
         GroupOptions(model="a/b", workspace="/x=y"), ["prepare-dataset"]),
        (["--model", "throughput", "latency"], GroupOptions(model="throughput"), ["latency"]),
        (["--model", "a"], GroupOptions(model="a"), []),
        ([], GroupOptions(), []),
    ],
)  # fmt: skip
def test_options_end_where_the_command_begins(argv: list[str], options: GroupOptions, rest: list[str]) -> None:
    assert split_group_options(argv) == (options, rest)
    assert starts_with_group_option(argv) is (options != GroupOptions())


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["--model"], "--model needs a value"),
        (["--model=", "latency"], "--model must not be empty; leave it out for the default"),
        (["-m", "a", "--model", "b", "latency"], "--model must be given once before the command, got a and b"),
        (["--log_level", "loud", "latency"], "--log_level must be one of internal_error, error, warning, info, "
         "verbose, debug, trace, got loud"),
    ],
)  # fmt: skip
def test_wrong_options_are_one_line(argv: list[str], line: str) -> None:
    with pytest.raises(UsageError) as caught:
        split_group_options(argv)
    assert str(caught.value) == line


def test_given_names_what_was_typed() -> None:
    assert GroupOptions(model="a", log_level="info").given() == ["--model", "--log_level"]


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["--model", "x"], "tokenclock: a command must follow --model: throughput, latency or prepare-dataset\n"),
        (["--model", "x", "serving"], "tokenclock: --model must follow the command serving; only throughput, latency "
         "and prepare-dataset take it before their name\n"),
        (["-w/tmp", "xyzzy"], "tokenclock: unknown command xyzzy; `tokenclock` alone lists them\n"),
    ],
)  # fmt: skip
def test_only_three_commands_take_them(argv: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(argv) == 2
    assert capsys.readouterr().err == line
