"""The reader of trtllm-bench's JSON lines: what comes back, and what is refused with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokenclock.errors import UsageError
from tokenclock.workload.datasets.trtllm_bench import LoraRequest, read_bench_rows

ids = st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=30)
lora = st.none() | st.builds(
    lambda name, number: {"lora_name": name, "lora_int_id": number, "lora_path": f"/loras/{number}"},
    st.text("abc_", min_size=1),
    st.integers(0, 99),
)
rows_of_the_documented_form = st.lists(
    st.builds(lambda i, n, a: {"input_ids": i, "output_tokens": n, "lora_request": a}, ids, st.integers(1, 4096), lora),
    min_size=1,
    max_size=12,
)


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row, separators=(",", ":"), ensure_ascii=False) + "\n" for row in rows))
    return str(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(rows=rows_of_the_documented_form)
def test_rows_come_back_as_they_were_written(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    numbered = [{"task_id": number, **row} for number, row in enumerate(rows)]
    path = write(tmp_path / "rows.jsonl", numbered)
    found = read_bench_rows(path)
    assert [row.line for row in found.rows] == list(range(1, len(rows) + 1))
    for row, written in zip(found.rows, numbered, strict=True):
        assert row.task_id == written["task_id"]
        assert np.asarray(row.prompt).tolist() == written["input_ids"]
        assert row.osl == written["output_tokens"]
        asked = written["lora_request"]
        assert row.lora == (None if asked is None else LoraRequest(*asked.values()))
    limit = len(rows) // 2 + 1
    assert len(read_bench_rows(path, limit).rows) == min(limit, len(rows))


def test_other_spellings_and_lines_that_are_no_rows(tmp_path: Path) -> None:
    path = write(
        tmp_path / "rows.jsonl",
        [
            {"task_id": 4, "logits": [1, 2], "output_tokens": 3},
            {"task_id": 5, "prompt": "grüße", "output_tokens": 3, "media_paths": ["a.png"]},
            {"task_id": 6, "prompt": "text", "input_ids": [9], "output_tokens": 3},
            {"tokenclock_manifest": {"seed": 3}},
        ],
    )
    found = read_bench_rows(path)
    assert [row.isl for row in found.rows] == [2, -1, 1]
    assert found.rows[1].media_paths == ("a.png",)
    assert read_bench_rows(path, 9).notes == (
        f"{path} has 3 rows of the 9 asked for (--num_requests): each is sent once",
    )


GOOD = '{"task_id": 0, "input_ids": [5], "output_tokens": 1}'


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("not json", "expected one JSON object on the line"),
        ("[1]", "expected a JSON object, got list"),
        ('{"input_ids": [5], "output_tokens": 1}', "expected the key task_id"),
        ('{"task_id": "1", "input_ids": [5], "output_tokens": 1}', "task_id must be a whole number"),
        ('{"task_id": true, "input_ids": [5], "output_tokens": 1}', "task_id must be a whole number"),
        ('{"task_id": -1, "input_ids": [5], "output_tokens": 1}', "task_id must be a whole number from 0"),
        ('{"task_id": 1, "output_tokens": 1}', "expected prompt or input_ids, got task_id, output_tokens"),
        ('{"task_id": 1, "input_ids": [], "output_tokens": 1}', "input_ids must be a list of token ids that is not"),
        ('{"task_id": 1, "input_ids": "5", "output_tokens": 1}', "input_ids must be a list of token ids"),
        (
            '{"task_id": 1, "input_ids": [5, 1.5], "output_tokens": 1}',
            "hold whole numbers only, got 1.5",
        ),
        ('{"task_id": 1, "input_ids": [5, true], "output_tokens": 1}', "must hold whole numbers only, got True"),
        ('{"task_id": 1, "input_ids": [5, -2], "output_tokens": 1}', "from 0 to 2147483647, got -2"),
        ('{"task_id": 1, "input_ids": [5, 2147483648], "output_tokens": 1}', "from 0 to 2147483647, got 2147483648"),
        ('{"task_id": 1, "input_ids": [5], "output_tokens": 0}', "output_tokens must be a whole number from 1"),
        ('{"task_id": 1, "input_ids": [5], "output_tokens": "8"}', "output_tokens must be a whole number from 1"),
        (
            '{"task_id": 1, "input_ids": [5], "output_token": 8}',
            "unknown key output_token (did you mean",
        ),
        ('{"task_id": 1, "prompt": "", "output_tokens": 1}', "prompt must be text that is not empty"),
        ('{"task_id": 1, "prompt": "\\ud800", "output_tokens": 1}', "half a surrogate pair"),
        ('{"task_id": 1, "input_ids": [5], "output_tokens": 1, "lora_request": 3}', "lora_request must be an object"),
        (
            '{"task_id": 1, "input_ids": [5], "output_tokens": 1, "lora_request": {"lora_name": "a"}}',
            "lora_request must have the key lora_int_id",
        ),
        (
            '{"task_id": 1, "prompt": "x", "output_tokens": 1, "media_paths": "a"}',
            "media_paths must be a list of",
        ),
        ('{"task_id": 0, "input_ids": [5], "output_tokens": 1}', "task_id must be each row's own, got 0, which line 1"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{GOOD}\n{line}\n")
    with pytest.raises(UsageError) as caught:
        read_bench_rows(str(path))
    assert str(caught.value).startswith(f"{path}:2: ")
    assert said in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(GOOD.encode() + b"\n\xff\xfe\n")
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    for path, said in (
        (tmp_path / "nowhere", "nothing there"),
        (tmp_path, "got the directory"),
        (bad, f"{bad}:2: not UTF-8 text"),
        (empty, "is empty"),
    ):
        with pytest.raises(UsageError, match=r".") as caught:
            read_bench_rows(str(path))
        assert said in str(caught.value)
