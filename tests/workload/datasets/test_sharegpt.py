"""sharegpt: which turns, which lengths pass, no prompt twice while there are others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tokenclock.errors import UsageError
from tokenclock.plan import ServingPlan, ShareGptDataset
from tokenclock.workload import Messages, build_workload
from tokenclock.workload.datasets.sharegpt import first_exchange

MakePlan = Callable[..., ServingPlan]
Lines = Callable[..., str]


def words(count: int, start: int = 0) -> str:
    return " ".join(f"w{(start + number) % 100}" for number in range(count))


def talk(question: str, answer: str) -> dict[str, Any]:
    return {"conversations": [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]}


def test_the_limits_by_hand(lines_file: Lines, make_plan: MakePlan, word_tokenizer: str) -> None:
    """With `<s>` a prompt of n words counts n + 1 tokens; an answer of n words counts n."""
    rows = [
        talk(words(2), words(9)),  # prompt 3: too short
        talk(words(3), words(4)),  # 4 and 4: both just long enough
        talk(words(9), words(3)),  # answer 3: too short
        talk(words(1023), words(1024)),  # 1024 and 2048 together: both just short enough
        talk(words(1024), words(9)),  # prompt 1025: too long
        talk(words(999), words(1049)),  # 1000 + 1049 = 2049: too long together
    ]
    dataset = ShareGptDataset(lines_file(*rows), shuffle=False, oversample=False)
    workload = build_workload(make_plan(dataset, 10, tokenizer=word_tokenizer))
    assert list(workload.prompts) == [words(3), words(1023)]
    assert workload.isl_requested.tolist() == [4, 1024]
    assert workload.osl_requested.tolist() == [4, 1024]
    assert "2 usable rows of the 10 asked for: 2 requests are sent" in workload.notes[-1]


def test_a_fixed_output_length_replaces_the_recorded_one(
    lines_file: Lines, make_plan: MakePlan, word_tokenizer: str
) -> None:
    rows = [talk(words(3), "w1"), talk(words(1023), words(5)), talk(words(50, 7), words(2000))]
    dataset = ShareGptDataset(lines_file(*rows), output_len=1025, shuffle=False, oversample=False)
    workload = build_workload(make_plan(dataset, 10, tokenizer=word_tokenizer))
    assert list(workload.prompts) == [words(3), words(50, 7)]  # 1024 + 1025 is too long
    assert workload.osl_requested.tolist() == [1025, 1025]


@pytest.mark.parametrize(
    ("turns", "found"),
    [
        ([("human", "q"), ("gpt", "a"), ("human", "z")], ("q", "a")),
        ([("gpt", "x"), ("human", "q"), ("gpt", "a")], ("q", "a")),
        ([("system", "s"), ("user", "q"), ("chatgpt", "a")], ("q", "a")),
        ([("human", "q")], None),
        ([("gpt", "x"), ("gpt", "y")], None),
        ([], None),
    ],
)
def test_the_first_question_and_its_answer(turns: list[tuple[str, str]], found: tuple[str, str] | None) -> None:
    assert first_exchange("f", 1, [{"from": who, "value": what} for who, what in turns]) == found


def test_turns_that_do_not_say_who_speaks_start_with_the_question() -> None:
    assert first_exchange("f", 1, [{"value": "q"}, {"value": "a"}]) == ("q", "a")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"id": "x"}, "expected the key conversations, got id"),
        ({"conversation": []}, "unknown key conversation (did you mean conversations?)"),
        ({"conversations": 3}, "conversations must be a list of turns, got int"),
        ({"conversations": [3]}, "conversations[0] must be an object, got int"),
        ({"conversations": [{"from": "human"}]}, "conversations[0] must have the key value, got from"),
        ({"conversations": [{"from": "human", "value": None}]}, "conversations[0].value must be text, got None"),
        (
            '{"conversations": [{"from": "human", "value": "\\ud800"}]}',
            "conversations[0].value holds half a surrogate pair, which is no text",
        ),
    ],
)
def test_wrong_rows_are_refused_with_their_line(lines_file: Lines, make_plan: MakePlan, row: Any, said: str) -> None:
    path = lines_file(talk(words(9), words(9)), row)
    with pytest.raises(UsageError) as caught:
        build_workload(make_plan(ShareGptDataset(path)))
    assert str(caught.value) == f"{path}:2: {said}"


def test_no_row_within_the_limits_is_an_error(lines_file: Lines, make_plan: MakePlan) -> None:
    path = lines_file(talk("a", "b"))
    with pytest.raises(UsageError, match="holds no usable row; expected a prompt of 4 to 1024 tokens, an answer of 4"):
        build_workload(make_plan(ShareGptDataset(path)))


def test_rows_are_shuffled_by_the_load_s_point_and_none_repeats_while_there_are_others(
    lines_file: Lines, make_plan: MakePlan
) -> None:
    path = lines_file(*(talk(f"question {number} " + words(9), words(20)) for number in range(40)))
    first = build_workload(make_plan(ShareGptDataset(path), 30))
    again = build_workload(make_plan(ShareGptDataset(path), 30))
    other = build_workload(make_plan(ShareGptDataset(path), 30, max_concurrency=4))
    assert len(set(first.prompts)) == 30
    assert first.sha256 == again.sha256 != other.sha256
    assert list(first.prompts) != list(other.prompts)
    in_order = build_workload(make_plan(ShareGptDataset(path, shuffle=False), 30))
    assert [str(prompt).split()[1] for prompt in in_order.prompts] == [str(number) for number in range(30)]
    spares = first.spare_prompts(14)
    assert spares[:3] == first.spare_prompts(3)
    assert not {prompt for prompt, _ in spares} & set(first.prompts)
    assert len({prompt for prompt, _ in spares}) == 14  # 10 rows are left, 4 are words


def test_too_few_rows_are_repeated_equally_often_and_said(lines_file: Lines, make_plan: MakePlan) -> None:
    path = lines_file(*(talk(f"question {number} " + words(9), words(20)) for number in range(3)))
    workload = build_workload(make_plan(ShareGptDataset(path), 8))
    counts = np.unique([str(prompt) for prompt in workload.prompts], return_counts=True)[1]
    assert sorted(counts.tolist()) == [2, 3, 3]
    assert workload.notes[-1].startswith("5 of 8 prompts repeat another one, which a prefix cache answers faster; ")


def test_without_a_tokenizer_lengths_are_estimates_and_that_is_said(lines_file: Lines, make_plan: MakePlan) -> None:
    path = lines_file(talk("x" * 40, "y" * 41), talk("x" * 4097, "y" * 40), talk("x" * 12, "y" * 40))
    workload = build_workload(make_plan(ShareGptDataset(path, oversample=False)))
    assert workload.osl_requested.tolist() == [11]  # 41 bytes; 4097 make 1025 tokens, 12 make 3
    assert workload.isl_requested.tolist() == [-1]
    assert workload.notes[0].startswith("no tokenizer: which conversations fit and how long answers are follow")


def test_chat_counts_the_template_that_the_server_will_apply(
    lines_file: Lines, make_plan: MakePlan, word_tokenizer: str
) -> None:
    path = lines_file(talk(words(10), words(20)))
    workload = build_workload(make_plan(ShareGptDataset(path), 1, backend="openai-chat", tokenizer=word_tokenizer))
    assert list(workload.prompts) == [words(10)]
    assert not isinstance(workload.prompts[0], Messages)
    assert workload.isl_requested.tolist() == [17]  # <s>, [ user ], 10 words, [ assistant ]


def test_keys_that_are_not_used_are_said_and_misspelt_ones_refused(lines_file: Lines, make_plan: MakePlan) -> None:
    row = talk(words(20), words(20))
    workload = build_workload(make_plan(ShareGptDataset(lines_file({**row, "views": 3})), 1))
    assert any(note.endswith("keys that are not used: views (1 rows)") for note in workload.notes)
    path = lines_file({"conversatons": row["conversations"]})
    with pytest.raises(UsageError, match=r":1: unknown key conversatons \(did you mean conversations\?\)"):
        build_workload(make_plan(ShareGptDataset(path), 1))
