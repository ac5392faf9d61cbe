"""Every file format that a command reads, with every fault: exit code 2 and one line, `FILE:LINE: expected, came`."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from tokenclock.__main__ import main
from tokenclock.workload.datasets import reading

NOBODY = "http://127.0.0.1:9"  # a file is read before any server is asked
THROUGHPUT = ["--model", "m", "throughput", "--base-url", NOBODY, "--dataset"]
SERVING = ["serving", "--model", "m", "--base-url", NOBODY, "--num-prompts", "3"]
PROFILE = ["profile", "-m", "m", "-u", "127.0.0.1:9", "--endpoint-type", "completions", "--artifact-dir", "@/artifacts"]
PREPARE = ["prepare-dataset", "--stdout"]


@dataclass(frozen=True)
class Form:
    """A file of JSON objects: the command that reads it, a good row, and what may be wrong with it.

    command: with `@` for the test's directory; the file's name follows its last word.
    wrong: key -> values of a wrong type or out of range.
    """

    command: list[str]
    row: Callable[[int], dict[str, Any]]
    needed: tuple[str, ...]
    wrong: dict[str, list[Any]]
    after: tuple[str, ...] = ()
    is_list: bool = False
    unique: str | None = None
    suffix: str = ".jsonl"


IDS = [[], "5", [1.5], [True], [-1], [2**31], {"a": 1}, 7]
LENGTH = [0, -3, 1.5, "8", True, None, [4], 10**9]
TEXT = ["", 5, ["a"], "\ud800"]
MS = [-1, -0.5, "7", True, [1], float("nan"), float("inf")]
LORA = [3, "a", [1], {}, {"lora_name": 5, "lora_int_id": 1}]

FORMS = {
    "throughput": Form(
        THROUGHPUT,
        lambda n: {"task_id": n, "input_ids": [5, 6, n + 7], "output_tokens": 4},
        ("task_id", "output_tokens", "input_ids"),
        {"task_id": ["1", -1, 1.5, True, 2**70], "input_ids": IDS, "output_tokens": LENGTH,
         "lora_request": [*LORA, {"lora_name": "a"}, {"lora_name": "a", "lora_int_id": "1"}],
         "media_paths": ["a.png", 5, [7]]},
        unique="task_id",
    ),
    "throughput text": Form(
        THROUGHPUT, lambda n: {"task_id": n, "prompt": f"say {n}", "output_tokens": 4},
        ("task_id", "output_tokens", "prompt"), {"prompt": TEXT}, unique="task_id",
    ),
    "own trace": Form(
        [*SERVING, "--dataset-name", "trace", "--dataset-path"],
        lambda n: {"task_id": n, "timestamp": 10.5 * n, "input_ids": [5, n + 6], "output_tokens": 4, "session_id": n},
        ("timestamp", "input_ids", "output_tokens"),
        {"task_id": ["1", 1.5, True], "timestamp": MS, "delay": MS, "input_ids": IDS, "output_tokens": LENGTH,
         "session_id": [1.5, ["a"], True, {"a": 1}], "lora_request": LORA, "hash_ids": [5, "a", [1.5], [True]]},
        unique="task_id",
    ),
    "own trace of text": Form(
        [*SERVING, "--backend", "openai-chat", "--dataset-name", "trace", "--dataset-path"],
        lambda n: {"prompt": f"say {n}", "output_length": 4},
        ("prompt", "output_length"), {"prompt": TEXT, "media_paths": ["a", 5, [7]]},
    ),
    "own trace of messages": Form(
        [*SERVING, "--backend", "openai-chat", "--dataset-name", "trace", "--dataset-path"],
        lambda n: {"messages": [{"role": "user", "content": f"say {n}"}], "output_length": 4},
        ("messages", "output_length"),
        {"messages": [5, [], [5], [{"role": "user"}], [{"role": "boss", "content": "a"}], [{"role": []}]]},
    ),
    "mooncake": Form(
        [*SERVING, "--dataset-name", "trace", "--trace-format", "mooncake", "--dataset-path"],
        lambda n: {"timestamp": n, "input_length": 600, "output_length": 5, "hash_ids": [1, n]},
        ("timestamp", "input_length", "output_length"),
        {"timestamp": [*MS, None], "input_length": LENGTH, "output_length": LENGTH,
         "hash_ids": [5, "a", [1.5], [True], [1, 2, 3], [2**70]]},
    ),
    "sharegpt": Form(
        [*SERVING, "--dataset-name", "sharegpt", "--dataset-path"],
        lambda n: {"id": f"a{n}", "conversations": [{"from": "human", "value": "a b c d e"},
                                                     {"from": "gpt", "value": "a b c d e f"}]},
        ("conversations",),
        {"conversations": [5, "a", {"a": 1}, [5], [{"from": "human"}], [{"from": "human", "value": 5}],
                           [{"from": "human", "value": "\ud800"}], [{"from": [], "value": 3}]]},
        is_list=True, suffix=".json",
    ),
    "custom": Form(
        [*SERVING, "--dataset-name", "custom", "--custom-output-len", "-1", "--dataset-path"],
        lambda n: {"prompt": f"say {n}", "output_tokens": 5},
        ("prompt", "output_tokens"), {"prompt": TEXT, "output_tokens": LENGTH},
    ),
    "trtllm_custom": Form(
        [*SERVING, "--dataset-name", "trtllm_custom", "--dataset-path"],
        lambda n: {"input": {"messages": [{"role": "user", "content": f"say {n}"}], "max_tokens": 5}},
        ("input",),
        {"input": [5, "a", [], {}, {"messages": [], "max_tokens": 5},
                   *({"messages": [{"role": "user", "content": "a"}], "max_tokens": n} for n in LENGTH)]},
    ),
    "trtllm_custom of prepared rows": Form(
        [*SERVING, "--dataset-name", "trtllm_custom", "--dataset-path"],
        lambda n: {"task_id": n, "input_ids": [5, 6, n + 7], "output_tokens": 4},
        ("output_tokens", "input_ids"), {"task_id": ["1"], "input_ids": IDS, "output_tokens": LENGTH}, unique="task_id",
    ),
    "input file": Form(
        [*PROFILE, "--input-file"], lambda n: {"text": f"say {n}"}, ("text",), {"text": TEXT}
    ),
    "payload": Form(
        [*PROFILE, "--fixed-schedule", "--input-file"],
        lambda n: {"timestamp": n, "input_length": 20, "output_length": 5},
        ("timestamp", "input_length", "output_length"),
        {"timestamp": MS, "delay": MS, "input_length": LENGTH, "output_length": LENGTH, "hash_ids": [5, [1.5]],
         "session_id": [1.5, ["a"], True], "text_input": TEXT},
    ),
    "lengths of a trace": Form(
        [*PREPARE, "--vocab-size", "500", "token-hist-dist", "--num-requests", "5", "--trace"],
        lambda n: {"timestamp": n, "input_length": 600, "output_length": 5},
        ("input_length", "output_length"), {"timestamp": MS, "input_length": LENGTH, "output_length": LENGTH},
    ),
    "recorded data": Form(
        [*PREPARE, "--tokenizer", "@/tokenizer", "dataset", "--dataset-prompt-key", "q", "--dataset-output-key", "a",
         "--dataset-name"],
        lambda n: {"q": f"w{n + 1} w2", "a": "w3 w4"}, ("q", "a"), {"q": TEXT, "a": [5, None, ["a"], "\ud800"]},
    ),
}  # fmt: skip

GARBAGE = {
    "no JSON": b"hello",
    "cut short": b'{"a": ',
    "a list": b"[1]",
    "a number": b"5",
    "null": b"null",
    "no keys": b"{}",
    "bad UTF-8": b'{"a": "\xff"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "a number of 5000 digits": b'{"a": ' + b"9" * 5000 + b"}",
    "nested too deeply": b'{"a": ' + b"[" * 100_000,
    "a NUL": b'{"a": 1}\x00',
}


def cases() -> list[Any]:
    found = []
    for name, form in FORMS.items():
        lines: dict[str, bytes] = dict(GARBAGE)
        for key in form.needed:
            lines[f"without {key}"] = json.dumps({k: v for k, v in form.row(1).items() if k != key}).encode()
        for key, values in form.wrong.items():
            for value in values:
                lines[f"{key} {value!r}"[:60]] = json.dumps(form.row(1) | {key: value}).encode()
        if form.unique:
            lines["the same id"] = json.dumps(form.row(1) | {form.unique: form.row(0)[form.unique]}).encode()
        found += [pytest.param(form, line, id=f"{name}: {what}") for what, line in lines.items()]
    return found


def written(directory: Path, form: Form, second: bytes) -> Path:
    """Three rows, the middle one `second`, on line 2."""
    good = [json.dumps(form.row(n)).encode() for n in (0, 2)]
    path = directory / f"data{form.suffix}"
    pattern = b"[%s,\n%s,\n%s]" if form.is_list else b"%s\n%s\n%s\n"
    path.write_bytes(pattern % (good[0], second, good[1]))
    return path


def refused(form: Form, path: Path, directory: Path, capsys: pytest.CaptureFixture[str]) -> str:
    words = [word.replace("@", str(directory)) for word in form.command]
    file = f"payload:{path}" if "--fixed-schedule" in words else str(path)
    code = main([*words, file, *form.after])
    out, err = capsys.readouterr()
    assert (code, out) == (2, ""), err
    assert len(err.splitlines()) == 1, err
    return err


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of 100 words."""
    directory = tmp_path_factory.mktemp("words")
    made = Tokenizer(models.WordLevel({"[UNK]": 0} | {f"w{n}": n + 1 for n in range(100)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.save(str(directory / "tokenizer.json"))
    return directory


@pytest.fixture(autouse=True)
def tokenizer(words: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer").symlink_to(words)


@pytest.mark.parametrize(("form", "line"), cases())
def test_a_bad_row_is_one_line_that_names_it(
    form: Form, line: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, form, line)
    err = refused(form, path, tmp_path, capsys)
    assert f"{path}:2: " in err
    assert re.search(r"\b(expected|must|unknown key|not UTF-8|not JSON|is empty|nested|half a)\b", err), err


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_first_row_is_named_too_and_a_whole_file_is_none_of_these(
    form: Form, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for text, said in (
        ("", " is empty"),
        (" \n\n", " is empty"),
        ("[]", " holds no rows"),
        ('{"a": 1', ":1: "),
        ("[5]", ":1: "),
        ("5", ":1: "),
        ("\x00" * 100, ":1: "),
    ):
        path = tmp_path / f"whole{form.suffix}"
        path.write_text(text)
        assert f"{path}{said}" in refused(form, path, tmp_path, capsys)
    refused(form, tmp_path / "nowhere.jsonl", tmp_path, capsys)
    refused(form, tmp_path, tmp_path, capsys)


@pytest.mark.parametrize(
    "head", [b"", b'{"a": "', b'[{"a": "', b" " * (2 << 20)], ids=["NULs", "lines", "list", "blanks"]
)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_line_without_end_is_refused_when_it_is_too_long(
    form: Form, head: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_LONGEST", 1 << 16)
    path = tmp_path / f"endless{form.suffix}"
    with open(path, "wb") as file:
        file.write(head)
        file.truncate(2 << 30)  # takes no room on the disk
    began = time.monotonic()
    err = refused(form, path, tmp_path, capsys)
    assert f"{path}:1: " in err
    assert time.monotonic() - began < 5  # the 2 GB were not read


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_workload_file_is_told_from_rows(form: Form, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"workload{form.suffix}"
    norm = "token-norm-dist --num-requests 2 --input-mean 5 --input-stdev 0 --output-mean 3 --output-stdev 0"
    assert main(f"prepare-dataset --vocab-size 50 --manifest none --output {path} {norm}".split()) == 0
    for text in (path.read_text(), json.dumps(json.loads(path.read_text()))):
        path.write_text(text)
        err = refused(form, path, tmp_path, capsys)
        assert f"{path}:1: expected " in err
        assert "got the workload file of the C++ manager benchmark; `tokenclock prepare-dataset --stdout`" in err


CSV: dict[str, tuple[list[str], str, str, dict[str, list[str]]]] = {
    "burstgpt trace": (
        [*SERVING, "--dataset-name", "trace", "--dataset-path"],
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type",
        "5,GPT-4,472,18,490,API log",
        {"Timestamp": ["-1", "x", "", "nan", "inf"], "Request tokens": ["-1", "1.5", "x", "", "1e99", "nan"],
         "Response tokens": ["-1", "x"]},
    ),
    "burstgpt": (
        [*SERVING, "--dataset-name", "burstgpt", "--self-timed", "--dataset-path"],
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type",
        "5,GPT-4,472,18,490,API log",
        {"Timestamp": ["-1", "x", "", "nan", "inf", "4"], "Request tokens": ["-1", "1.5", "x", ""],
         "Response tokens": ["-1", "x"]},
    ),
    "azure": (
        [*SERVING, "--dataset-name", "trace", "--dataset-path"],
        "TIMESTAMP,ContextTokens,GeneratedTokens",
        "2023-11-16 18:17:03.9799600,4808,10",
        {"TIMESTAMP": ["-1", "5", "", "2023-13-16 18:17:03", "2023-11-16 18:17:03+99:00"],
         "ContextTokens": ["-1", "1.5", "x", ""], "GeneratedTokens": ["-1", "x"]},
    ),
    "lengths of a CSV": (
        [*PREPARE, "--vocab-size", "500", "token-hist-dist", "--num-requests", "5", "--trace"],
        "TIMESTAMP,ContextTokens,GeneratedTokens",
        "2023-11-16 18:17:03.9799600,4808,10",
        {"TIMESTAMP": ["x"], "ContextTokens": ["x"]},
    ),
    "payload of CSV": (
        [*PROFILE, "--fixed-schedule", "--input-file"],
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type",
        "5,GPT-4,472,18,490,API log",
        {"Timestamp": ["-1"], "Request tokens": ["x"]},
    ),
}  # fmt: skip


def csv_cases() -> list[Any]:
    found = []
    for name, (command, header, row, wrong) in CSV.items():
        values = dict(zip(header.split(","), row.split(","), strict=True))
        lines = {"too few values": row.rpartition(",")[0], "too many values": row + ",1", "an open quote": '"' + row}
        lines |= {"bad UTF-8": row + "\xff", "a NUL": "\0" + row}
        for column, bad in wrong.items():
            lines |= {f"{column} {value!r}": ",".join((values | {column: value}).values()) for value in bad}
        found += [pytest.param(command, [header, row, line], 3, id=f"{name}: {what}") for what, line in lines.items()]
        for column in wrong:
            short = header.replace(column, "Other")
            found.append(pytest.param(command, [short, row], 1, id=f"{name}: without {column}"))
    return found


@pytest.mark.parametrize(("command", "lines", "line"), csv_cases())
def test_a_bad_line_of_csv_is_named(
    command: list[str], lines: list[str], line: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trace.csv"
    path.write_bytes("\n".join([*lines, ""]).encode("latin-1"))
    form = Form(command, lambda n: {}, (), {})
    err = refused(form, path, tmp_path, capsys)
    assert f"{path}:{line}: " in err
    assert re.search(r"\b(expected|must|not UTF-8|not CSV)\b", err), err


def test_a_line_of_csv_without_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_LONGEST", 1 << 16)
    for command, header, row, _ in CSV.values():
        for head in (f"{header}\n{row}\n", f'{header}\n{row}\n"'):
            path = tmp_path / "trace.csv"
            path.write_text(head)
            with open(path, "r+b") as file:
                file.truncate(2 << 30)
            err = refused(Form(command, lambda n: {}, (), {}), path, tmp_path, capsys)
            assert f"{path}:3: expected a line of at most" in err
