"""sonnet: shared lines, lengths never past the limit, prompts that differ."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tokenclock.errors import UsageError
from tokenclock.plan import ServingPlan, SonnetDataset
from tokenclock.workload import build_workload

MakePlan = Callable[..., ServingPlan]
Lines = Callable[..., str]
POEM = [" ".join(f"w{number}" for _ in range(5)) for number in range(20)]  # 5 tokens a line
OPENING = "Go on in the manner of these lines:"  # 8 tokens


def test_lines_by_hand(lines_file: Lines, make_plan: MakePlan, word_tokenizer: str) -> None:
    """`<s>` and the opening are 9 tokens, so 20 hold two shared lines (19), and 40 hold four more of 21 left."""
    dataset = SonnetDataset(lines_file(*POEM), input_len=40, output_len=6, prefix_len=20, chat_template=False)
    workload = build_workload(make_plan(dataset, 12, tokenizer=word_tokenizer))
    for prompt in workload.prompts:
        lines = str(prompt).split("\n")
        assert lines[:3] == [OPENING, *POEM[:2]]
        assert len(lines) == 7
        assert set(lines[3:]) <= set(POEM)
    assert set(workload.isl_requested.tolist()) == {39}
    assert set(workload.osl_requested.tolist()) == {6}
    assert len(set(workload.prompts)) == 12
    assert workload.shared_prefix


def test_the_template_counts_towards_the_limit(lines_file: Lines, make_plan: MakePlan, word_tokenizer: str) -> None:
    """The roles around the prompt are 6 tokens more: three lines fit where four did."""
    dataset = SonnetDataset(lines_file(*POEM), input_len=40, prefix_len=20)
    for backend in ("openai", "openai-chat"):
        workload = build_workload(make_plan(dataset, 4, backend=backend, tokenizer=word_tokenizer))
        assert set(workload.isl_requested.tolist()) == {40}


def test_without_a_prefix_nothing_is_shared(lines_file: Lines, make_plan: MakePlan) -> None:
    workload = build_workload(make_plan(SonnetDataset(lines_file(*POEM), input_len=60, prefix_len=0), 5))
    assert not workload.shared_prefix
    assert all(len(str(prompt)) <= 240 for prompt in workload.prompts)  # 4 bytes a token
    assert any("how many lines a prompt gets follows from the text's size" in note for note in workload.notes)


def test_spares_are_further_prompts(lines_file: Lines, make_plan: MakePlan) -> None:
    workload = build_workload(make_plan(SonnetDataset(lines_file(*POEM), input_len=90, prefix_len=20), 5))
    spares = workload.spare_prompts(3)
    assert len({prompt for prompt, _ in spares} | set(workload.prompts)) == 8


def test_few_different_prompts_are_repeated_and_said(
    lines_file: Lines, make_plan: MakePlan, word_tokenizer: str
) -> None:
    dataset = SonnetDataset(lines_file("w1 w2", "w3 w4"), input_len=12, prefix_len=0, chat_template=False)
    workload = build_workload(make_plan(dataset, 5, tokenizer=word_tokenizer))  # room for one line of two
    assert len(set(workload.prompts)) == 2
    assert workload.notes[-1].startswith("3 of 5 prompts repeat another one")


def test_what_cannot_be_is_refused(lines_file: Lines, make_plan: MakePlan, word_tokenizer: str) -> None:
    with pytest.raises(UsageError, match="is empty; expected lines of text"):
        build_workload(make_plan(SonnetDataset(lines_file(" ", ""))))
    dataset = SonnetDataset(lines_file(*POEM), input_len=12, prefix_len=0)
    with pytest.raises(UsageError, match="no usable row; expected lines short enough for prompts of --sonnet-input-l"):
        build_workload(make_plan(dataset, tokenizer=word_tokenizer))
    with pytest.raises(UsageError, match="--sonnet-prefix-len must be below --sonnet-input-len 50, got 50; prompts"):
        SonnetDataset("x", input_len=50, prefix_len=50)
