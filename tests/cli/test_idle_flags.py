"""Flags that change nothing beside the others are said, and only those."""

from __future__ import annotations

import pytest

from tokenclock.cli.idle_flags import idle_flags
from tokenclock.cli.serving import plan_from_argv


def lines_of(*flags: str) -> list[str]:
    return idle_flags(plan_from_argv(["--model", "m", "--dataset-name", "random", *flags], {}))


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--label", "a"], "--label without --save-result saves nothing"),
        (["--metadata", "a=b"], "--metadata without --save-result saves nothing"),
        (["--no-save-columns"], "--no-save-columns without --save-result saves nothing"),
        (["--plot-timeline"], "--plot-timeline without --save-result saves nothing"),
        (["--lora-assignment", "round-robin"], "--lora-assignment without --lora-modules assigns nothing"),
        (["--insecure"], "--insecure without https:// changes nothing"),
        (["--tokenizer-mode", "slow"], "--tokenizer-mode slow without --tokenizer changes nothing"),
        (
            ["--non-streaming", "--goodput", "ttft:10", "e2el:9"],
            "--goodput ttft is n/a with --non-streaming: a whole answer shows no token times; leave --non-streaming "
            "out, or give e2el only",
        ),
    ],
)
def test_each_is_one_line(flags: list[str], line: str) -> None:
    assert lines_of(*flags) == [line]


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--save-result", "--label", "a", "--metadata", "b=c", "--no-save-columns"],
        ["--lora-modules", "x", "--lora-assignment", "round-robin"],
        ["--non-streaming", "--goodput", "e2el:10"],
        ["--goodput", "ttft:10"],
    ],
)
def test_flags_of_use_are_not_said(flags: list[str]) -> None:
    assert lines_of(*flags) == []
