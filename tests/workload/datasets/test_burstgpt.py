"""burstgpt: rows and lengths of the trace, its times when asked, contents that never repeat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tokenclock.errors import UsageError
from tokenclock.plan import BurstGptDataset, RampUp, ServingPlan
from tokenclock.units import NS_PER_S
from tokenclock.workload import build_workload

MakePlan = Callable[..., ServingPlan]
Lines = Callable[..., str]
HEADER = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type"


def trace(lines_file: Lines, *rows: str) -> str:
    return lines_file(HEADER, *rows, name="trace.csv")


ROWS = (
    "5,ChatGPT,472,18,490,Conversation log",
    "45,GPT-4,10,20,30,Conversation log",
    "50,GPT-4,11,0,11,Conversation log",  # failed
    "52,GPT-4,0,7,7,API log",  # no prompt
    "65,GPT-4,12,22,34,API log",
    "125,GPT-4,13.0,23,36,API log",
)


def test_gpt_4_rows_with_an_answer_give_the_lengths(lines_file: Lines, make_plan: MakePlan) -> None:
    workload = build_workload(make_plan(BurstGptDataset(trace(lines_file, *ROWS), shuffle=False), 3))
    assert workload.isl_requested.tolist() == [len(prompt) for prompt in workload.prompts] == [10, 12, 13]
    assert workload.osl_requested.tolist() == [20, 22, 23]
    assert workload.t_due_ns.tolist() == [0, 0, 0]
    drawn = build_workload(make_plan(BurstGptDataset(trace(lines_file, *ROWS)), 3))
    assert sorted(drawn.osl_requested.tolist()) == [20, 22, 23]


def test_too_few_rows_give_their_lengths_again_with_other_contents(lines_file: Lines, make_plan: MakePlan) -> None:
    path = trace(lines_file, *ROWS)
    workload = build_workload(make_plan(BurstGptDataset(path), 7))
    assert sorted(workload.osl_requested.tolist()) in ([20, 20, 20, 22, 22, 23, 23], [20, 20, 22, 22, 22, 23, 23],
                                                       [20, 20, 22, 22, 23, 23, 23])  # fmt: skip
    assert len({tuple(prompt) for prompt in workload.prompts}) == 7
    assert "3 usable rows of the 7 asked for: lengths are used again, with other contents" in workload.notes[-1]
    fewer = build_workload(make_plan(BurstGptDataset(path, oversample=False), 7))
    assert len(fewer) == 3
    assert "3 requests are sent" in fewer.notes[-1]


def test_the_trace_s_own_times(lines_file: Lines, make_plan: MakePlan) -> None:
    dataset = BurstGptDataset(trace(lines_file, *ROWS), self_timed=True)
    workload = build_workload(make_plan(dataset, 9))
    assert workload.t_due_ns.tolist() == [0, 20 * NS_PER_S, 80 * NS_PER_S]
    assert workload.osl_requested.tolist() == [20, 22, 23]
    assert workload.mean_rate == pytest.approx(2 / 80)
    stretched = build_workload(make_plan(dataset, 9, request_rate=4.0))
    assert stretched.t_due_ns.tolist() == [0, NS_PER_S // 8, NS_PER_S // 2]  # 2 gaps in half a second
    assert stretched.mean_rate == 4.0
    first = build_workload(make_plan(dataset, 1))
    assert (first.t_due_ns.tolist(), first.mean_rate) == ([0], None)


def test_drawn_gaps_and_the_trace_s_exclude_each_other(lines_file: Lines, make_plan: MakePlan) -> None:
    dataset = BurstGptDataset(trace(lines_file, *ROWS), self_timed=True)
    with pytest.raises(UsageError, match="--burstiness must be left out with --self-timed, got 2; the gaps are the"):
        make_plan(dataset, burstiness=2.0)
    with pytest.raises(UsageError, match="--ramp-up-strategy must be left out with --self-timed, got linear; the trac"):
        make_plan(dataset, ramp_up=RampUp("linear", 1.0, 2.0))


def test_text_is_fitted_where_a_tokenizer_is_named(lines_file: Lines, make_plan: MakePlan, word_tokenizer: str) -> None:
    dataset = BurstGptDataset(trace(lines_file, *ROWS), shuffle=False)
    workload = build_workload(make_plan(dataset, 3, tokenizer=word_tokenizer))
    assert [1 + len(str(prompt).split()) for prompt in workload.prompts] == [10, 12, 13]  # `<s>` is one of them
    spares = workload.spare_prompts(5)
    assert not {prompt for prompt, _ in spares} & set(workload.prompts)
    assert {osl for _, osl in spares} <= {20, 22, 23}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["Timestamp,Model,Request tokens"], ":1: expected the column Response tokens, got Timestamp, Model, Req"),
        ([HEADER, ROWS[1], "1,GPT-4,5"], ":3: expected 6 values, got 3"),
        ([HEADER, "1,GPT-4,five,6,11,x"], ":2: Request tokens must be a whole number from 0 to 10000000, got 'five'"),
        ([HEADER, "1,GPT-4,5,6.5,11,x"], ":2: Response tokens must be a whole number from 0 to 10000000, got '6.5'"),
        ([HEADER, "1,GPT-4,5,-6,11,x"], ":2: Response tokens must be a whole number"),
        ([HEADER, '1,GPT-4,5,6,11,"x'], ":2: not CSV: unexpected end of data"),
        ([HEADER, "1,ChatGPT,5,6,11,x"], " holds no usable row; expected Model GPT-4 and Response tokens above 0"),
        ([HEADER, "9,GPT-4,5,6,11,x", "8,GPT-4,5,6,11,x"], ":3: Timestamp must not fall: 8 after 9"),
        ([HEADER, "soon,GPT-4,5,6,11,x"], ":2: Timestamp must be seconds, got 'soon'"),
    ],
)
def test_wrong_traces_are_refused_with_their_line(
    lines_file: Lines, make_plan: MakePlan, lines: list[Any], said: str
) -> None:
    path = lines_file(*lines, name="trace.csv")
    with pytest.raises(UsageError) as caught:
        build_workload(make_plan(BurstGptDataset(path, self_timed=True)))
    assert str(caught.value).startswith(path + said)


def test_an_empty_trace_is_refused(lines_file: Lines, make_plan: MakePlan) -> None:
    with pytest.raises(UsageError, match="is empty; expected CSV with the columns Model, Request tokens"):
        build_workload(make_plan(BurstGptDataset(lines_file(name="trace.csv"))))
