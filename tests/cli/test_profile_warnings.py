"""Flags of `profile` that change nothing are said, and so is what the others entail."""

from __future__ import annotations

import shlex

import pytest

from tokenclock.cli.perf_analyzer_flags import read_pass_through, split_pass_through
from tokenclock.cli.profile import plan_from_argv
from tokenclock.cli.profile_flags import build_parser
from tokenclock.cli.profile_warnings import warnings_of

CHAT = "-m m --endpoint-type chat --streaming --num-prompts 100"


def lines(flags: str) -> list[str]:
    own, passed = split_pass_through(shlex.split(flags))
    return warnings_of(build_parser().read(own), read_pass_through(passed), plan_from_argv(shlex.split(flags), {}))


def test_a_plain_run_has_nothing_to_say() -> None:
    assert lines(CHAT) == []
    assert lines(f"{CHAT} --osl 5 --extra-inputs ignore_eos:true") == []
    assert lines("-m m --endpoint-type embeddings") == []


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        ("-m m --endpoint-type chat", "no --streaming: whole answers show no token times"),
        (
            "-m m --endpoint-type chat -g inter_token_latency:5",
            "--goodput inter_token_latency is N/A without --streaming",
        ),
        (f"{CHAT} --request-count 101", "--num-prompts 100 is less than --request-count 101"),
        (f"{CHAT} --osl 5", "--output-tokens-mean is a limit"),
        (f"{CHAT} --tokenizer no/such-model", "--tokenizer no/such-model is no directory and not in the hub's cache"),
        (f"{CHAT} --session-turns-mean 3", "--session-turns-mean changes nothing without --num-sessions"),
        (f"{CHAT} -s 10", "--stability-percentage changes nothing without --measurement-interval"),
        (f"{CHAT} --num-sessions 2 --num-prompts 5", "--num-dataset-entries changes nothing with --num-sessions"),
        (f"{CHAT} --input-file f --isl 5", "--synthetic-input-tokens-mean changes nothing with --input-file"),
        (
            f"{CHAT} --input-file payload:f --osl 5",
            "--output-tokens-mean changes nothing with --input-file payload:FILE",
        ),
        (f"{CHAT} --backend vllm", "--backend vllm changes nothing"),
        (f"{CHAT} --prefix-prompt-length 5", "--prefix-prompt-length changes nothing without --num-prefix-prompts"),
        (f"{CHAT} --model-selection-strategy random", "--model-selection-strategy changes nothing with one --model"),
        (f"{CHAT} --tokenizer-revision x", "--tokenizer-revision changes nothing without --tokenizer"),
        (f"{CHAT} --tokenizer-trust-remote-code", "--tokenizer-trust-remote-code changes nothing without"),
        (f"{CHAT} --vocab-size 500", "--vocab-size changes nothing with --endpoint-type chat"),
        (f"{CHAT} --num-sessions 2 --workers 2", "--workers changes nothing with --num-sessions"),
        (f"{CHAT} --generate-plots", "--generate-plots draws nothing here"),
        (f"{CHAT} -- --max-threads 4", "--max-threads changes nothing"),
    ],
)
def test_each_is_said(flags: str, line: str) -> None:
    assert any(said.startswith(line) for said in lines(flags)), lines(flags)
