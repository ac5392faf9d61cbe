"""Traces of every format: what is read, and what is said of files that are wrong, with their line."""

from __future__ import annotations

import json
import math
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tokenclock.errors import UsageError
from tokenclock.workload.datasets import reading
from tokenclock.workload.datasets.trace_reading import read_trace
from tokenclock.workload.messages import Messages


def written(directory: Path, *lines: Any, name: str = "t") -> str:
    path = directory / name
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines), "utf-8")
    return str(path)


def test_mooncake(tmp_path: Path) -> None:
    rows = [{"timestamp": 27, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47, 0]},
            {"timestamp": 3052, "input_length": 900, "output_length": 26, "hash_ids": [46, 5]}]  # fmt: skip
    for form in ("auto", "mooncake"):
        trace = read_trace(written(tmp_path, *rows), form)
        assert (trace.isl.tolist(), trace.osl.tolist(), trace.t_ms.tolist()) == ([6955, 900], [52, 26], [27.0, 3052.0])
        assert trace.hash_ids == [[46, 47, 0], [46, 5]]


def test_burstgpt_and_azure(tmp_path: Path) -> None:
    header = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type"
    trace = read_trace(written(
        tmp_path, header, "5,ChatGPT,472,18,490,API log",
        "45,GPT-4,1087,230,1317,Conversation log", "50,GPT-4,10,0,10,API log",
    ))  # fmt: skip
    assert trace.form == "burstgpt"
    assert (trace.isl.tolist(), trace.osl.tolist(), trace.t_ms.tolist()) == ([472, 1087], [18, 230], [5e3, 45e3])
    assert "1 rows without tokens are left out" in trace.notes[0]
    trace = read_trace(written(
        tmp_path, "TIMESTAMP,ContextTokens,GeneratedTokens", "2023-11-16 18:17:03.9799600,4808,10",
        "2023-11-16 18:17:04.0319600,3180,8", "2023-11-16T18:17:05Z,1,1", "2023-11-16 19:17:06+01:00,1,2",
    ))  # fmt: skip
    assert trace.form == "azure"
    assert trace.t_ms.tolist() == pytest.approx([0, 52, 1020.04, 2020.04], abs=1e-3)


def test_our_own_lines(tmp_path: Path) -> None:
    rows = [
        {"task_id": 0, "input_ids": [5, 6, 7], "output_tokens": 4, "session_id": "a", "timestamp": 0.5,
         "lora_request": {"lora_name": "lora_1", "lora_int_id": 1, "lora_path": "x/1"}},
        {"task_id": 1, "input_ids": [8], "output_tokens": 2, "session_id": "a", "delay": 250},
        {"task_id": 2, "input_ids": [9], "output_tokens": 2, "timestamp": 3},
        {"tokenclock_manifest": {"version": "0"}},
    ]  # fmt: skip
    trace = read_trace(written(tmp_path, *rows))
    assert trace.prompts == [[5, 6, 7], [8], [9]]
    assert trace.isl.tolist() == [3, 1, 1]
    assert trace.session is not None
    assert trace.session.tolist() == [0, 0, -1]
    assert trace.delay_ms is not None
    assert [trace.delay_ms[1], math.isnan(trace.delay_ms[0])] == [250, True]
    assert trace.lora == ["lora_1", None, None]
    chats = read_trace(written(tmp_path, {"messages": [{"role": "user", "content": "hi"}], "output_length": 3}))
    assert chats.prompts == [Messages.of([{"role": "user", "content": "hi"}])]
    assert chats.isl.tolist() == [-1]


def test_rows_out_of_order_are_sorted_and_it_is_said(tmp_path: Path) -> None:
    rows = [{"timestamp": t, "input_length": n + 1, "output_length": 1} for n, t in enumerate((5, 0, 5, 2))]
    trace = read_trace(written(tmp_path, *rows))
    assert trace.isl.tolist() == [2, 4, 1, 3]
    assert "not in the order of their time stamps" in trace.notes[0]


GOOD = {"task_id": 1, "input_length": 5, "output_length": 2}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([GOOD, {**GOOD, "task_id": 1}], ":2: task_id must differ from row to row, got 1 as on line 1"),
        ([{**GOOD, "timestamp": -1}], ":1: timestamp must be milliseconds >= 0, got -1"),
        ([{**GOOD, "timestamp": "soon"}], ":1: timestamp must be milliseconds >= 0, got 'soon'"),
        ([{**GOOD, "timestamp": True}], ":1: timestamp must be milliseconds >= 0, got True"),
        ([{**GOOD, "input_length": 0}], ":1: input_length must be a whole number from 1 to 10000000, got 0"),
        ([{**GOOD, "input_length": 2.5}], ":1: input_length must be a whole number from 1 to 10000000, got 2.5"),
        ([{"task_id": 1, "output_length": 2}],
         ":1: expected one of input_ids, prompt, messages, input_length, got task_id, output_length"),
        ([{"input_length": 1}], ":1: expected the key output_tokens or output_length, got input_length"),
        ([{**GOOD, "output_tokens": 2}], ":1: expected the key output_tokens or output_length, got output_tokens and "
         "output_length"),
        ([{"input_ids": [1, -2], "output_tokens": 1}],
         ":1: input_ids must be a list of token ids, each a whole number >= 0, got [1, -2]"),
        ([{"input_ids": [], "output_tokens": 1}],
         ":1: input_ids must be a list of token ids, each a whole number >= 0, got []"),
        ([{"input_ids": [1], "prompt": "x", "output_tokens": 1}],
         ":1: expected one of input_ids, logits, prompt, text_input, messages, got input_ids and prompt"),
        ([{"prompt": "", "output_tokens": 1}], ":1: prompt is empty; servers refuse an empty prompt"),
        ([{**GOOD, "hash_ids": [1, 2]}], ":1: hash_ids must be 1 at most for 5 tokens in blocks of 512, got 2"),
        ([{**GOOD, "delay": 5}], ":1: delay must stand in a row with session_id, got none"),
        ([{**GOOD, "session_id": 1.5}], ":1: session_id must be text or a whole number, got 1.5"),
        ([{**GOOD, "lora_request": {}}], ":1: lora_request must be an object with lora_name, got {}"),
        ([{**GOOD, "timestmp": 1}], ":1: unknown key timestmp (did you mean timestamp?)"),
        (["Timestamp,Request tokens"], ":1: expected the column Response tokens, got Timestamp, Request tokens"),
        (["TIMESTAMP,ContextTokens,GeneratedTokens", "now,1,1"],
         ":2: TIMESTAMP must be like 2023-11-16 18:17:03.9799600, got 'now'"),
        (["TIMESTAMP,ContextTokens,GeneratedTokens", "2023-13-16 18:17:03,1,1"],
         ":2: TIMESTAMP must be like 2023-11-16 18:17:03.9799600, got '2023-13-16 18:17:03'"),
        (["Timestamp,Request tokens,Response tokens", "-4,1,1"], ":2: Timestamp must be seconds >= 0, got '-4'"),
        (["Timestamp,Request tokens,Response tokens", "4,1"], ":2: expected 3 values, got 2"),
        (["Timestamp,Request tokens,Response tokens", "4,1,-1"],
         ":2: Response tokens must be a whole number from 0 to 10000000, got '-1'"),
        (["hello"], ":1: expected a trace: JSON lines, or CSV with the columns Timestamp, Request tokens, Response "
         "tokens or TIMESTAMP, ContextTokens, GeneratedTokens; got hello"),
        ([""], " is empty; expected a trace: JSON lines, or CSV with a header"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, lines: list[Any], said: str) -> None:
    path = written(tmp_path, *lines)
    with pytest.raises(UsageError) as caught:
        read_trace(path)
    assert str(caught.value) == path + said


@pytest.mark.parametrize("head", [b'{"input_length": 5, "output_length": 2}\n', b"TIMESTAMP,ContextTokens,Gen\n"])
def test_bad_utf8_is_said_with_its_line(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "t"
    path.write_bytes(head + b'{"prompt": "\xff"}\n')
    with pytest.raises(UsageError, match=r"t:2: not UTF-8 text \(invalid start byte\); is it the right file for trace"):
        read_trace(str(path))


@pytest.mark.parametrize("head", ["", "Timestamp,Request tokens,Response tokens\n", '{"input_length": 5, '])
def test_a_line_without_end_is_not_read_into_memory(tmp_path: Path, head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_LONGEST", 1000)
    path = tmp_path / "t"
    path.write_text(head + '{"prompt": "' + "x" * 5000, "utf-8")
    line = 2 if head.endswith("\n") else 1
    with pytest.raises(UsageError, match=rf"t:{line}: expected a line of at most 0 Mi characters, got a longer one"):
        read_trace(str(path))


def test_sessions_may_leave_time_stamps_to_their_first_row(tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, {**GOOD, "task_id": 2, "timestamp": 1, "session_id": 1},
                               {**GOOD, "session_id": 1, "delay": 0}))  # fmt: skip
    assert np.isnan(trace.t_ms).tolist() == [False, True]
    with pytest.raises(UsageError, match=":2: expected the key timestamp, as line 1 has it, got none; give all"):
        read_trace(written(tmp_path, {**GOOD, "task_id": 2, "timestamp": 1}, GOOD))


def test_a_pipe_needs_its_format(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(UsageError, match="--trace-format must be named for a pipe, which can be read once only"):
        read_trace(str(path))
    text = json.dumps(GOOD) + "\n"
    writer = threading.Thread(target=path.write_text, args=(text,))
    writer.start()
    assert read_trace(str(path), "jsonl").isl.tolist() == [5]
    writer.join()
