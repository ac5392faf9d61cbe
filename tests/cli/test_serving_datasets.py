"""Each dataset typed once against the paced server, and wrong files before its first request."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tokenclock import PacedServer
from tokenclock.report.columns_file import read as read_columns

TALK = [{"from": "human", "value": "tell me of the sea and its ships"}, {"from": "gpt", "value": "it is wide and deep"}]
CHAT = {"messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}], "max_tokens": 4}
TRACE = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
PICTURES = "--random-input-len 6 --random-output-len 3 --random-image-size 16"


@pytest.fixture(scope="module")
def server() -> Iterator[PacedServer]:
    with PacedServer(ttft_ms=5, itl_ms=1) as paced:
        yield paced


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("data")
    texts: dict[str, Any] = {
        "talks.json": json.dumps([{"id": f"{n}", "conversations": [{**TALK[0], "value": f"{n} {TALK[0]['value']}"},
                                                                   TALK[1]]} for n in range(12)]),
        "trace.csv": TRACE + "".join(f"{n},GPT-4,{8 + n},{2 + n % 3},0,API log\n" for n in range(12)),
        "poem.txt": "".join(f"line {n} of a poem without an end\n" for n in range(30)),
        "chats.jsonl": (json.dumps({"input": CHAT}) + "\n") * 3,
        "own.jsonl": "".join(json.dumps({"prompt": f"prompt number {n}", "output_tokens": 3}) + "\n" for n in range(9)),
        "bad.jsonl": '{"prompt": "x"}\n{"prompt": }\n',
    }  # fmt: skip
    for name, text in texts.items():
        (directory / name).write_text(text, "utf-8")
    return directory


def serving(url: str, directory: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tokenclock", "serving", "--model", "paced", "--base-url", url, "--ignore-eos",
         "--num-prompts", "8", "--max-concurrency", "4", *flags],
        capture_output=True, text=True, timeout=60, cwd=directory,
    )  # fmt: skip


RUNS = [
    ("sharegpt --dataset-path talks.json --sharegpt-output-len 4", 32),
    ("burstgpt --dataset-path trace.csv --disable-shuffle", 2 + 3 + 4 + 2 + 3 + 4 + 2 + 3),
    ("burstgpt --dataset-path trace.csv --self-timed --request-rate 100", 23),
    ("sonnet --dataset-path poem.txt --sonnet-output-len 3", 24),
    ("trtllm_custom --dataset-path chats.jsonl", 32),
    ("custom --dataset-path own.jsonl --custom-output-len -1", 24),
    ("hf --dataset-path own.jsonl --hf-output-len 2", 16),
]


@pytest.mark.parametrize(
    ("backend", "flags", "n_output"),
    [
        *(("openai", *run) for run in RUNS),
        *(("openai-chat", *run) for run in [*RUNS, (f"random_image {PICTURES}", 24)]),
    ],
)
def test_each_dataset_runs(
    server: PacedServer, files: Path, tmp_path: Path, backend: str, flags: str, n_output: int
) -> None:
    name, *rest = flags.split()
    saved = ["--save-result", "--result-dir", str(tmp_path), "--result-filename", "a.json"]
    run = serving(server.url, files, "--backend", backend, "--dataset-name", name, *rest, *saved)
    assert run.returncode == 0, run.stderr
    data = json.loads((tmp_path / "a.json").read_text("utf-8"))
    assert (data["completed"], data["total_output_tokens"]) == (8, n_output)
    assert data["tokenclock"]["workload"]["dataset"] == name
    assert "Traceback" not in run.stderr


def test_requests_are_spread_over_adapters(server: PacedServer, files: Path, tmp_path: Path) -> None:
    saved = ["--save-result", "--result-dir", str(tmp_path), "--result-filename", "a.json"]
    run = serving(
        server.url, files, "--dataset-name", "custom", "--dataset-path", "own.jsonl", "--custom-output-len", "2",
        "--lora-modules", "law", "poetry", "prose", "--lora-assignment", "round-robin", *saved,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    data = json.loads((tmp_path / "a.json").read_text("utf-8"))
    assert data["tokenclock"]["workload"]["lora"] == {"law": 3, "poetry": 3, "prose": 2}
    records = read_columns(tmp_path / "a.columns.npz")
    assert records.columns["lora"].tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert records.columns["lora"].dtype == np.int16


def test_fewer_rows_than_asked_for(server: PacedServer, files: Path) -> None:
    run = serving(
        server.url, files, "--dataset-name", "trtllm_custom", "--dataset-path", "chats.jsonl", "--no-oversample",
        "--random-input-len", "5",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "chats.jsonl has 3 usable rows of the 8 asked for: 3 requests are sent" in run.stderr
    assert "2 of 3 prompts repeat another one" in run.stderr
    assert "tokenclock serving: --random-input-len is of no use to --dataset-name trtllm_custom" in run.stderr


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        ("custom --dataset-path bad.jsonl",
         "bad.jsonl:2: expected one JSON object on the line, got Expecting value at column 12"),
        ("custom --dataset-path none.jsonl",
         "--dataset-path: there is no file none.jsonl; tokenclock never downloads data: fetch it first"),
        ("sharegpt --dataset-path own.jsonl",
         "own.jsonl:1: expected the key conversations, got prompt, output_tokens"),
    ],
)  # fmt: skip
def test_a_wrong_file_ends_the_command_before_the_first_request(files: Path, flags: str, line: str) -> None:
    name, *rest = flags.split()
    with PacedServer() as untouched:
        run = serving(untouched.url, files, "--dataset-name", name, *rest)
        assert untouched.truth().n_requests == 0
    assert (run.returncode, run.stdout, run.stderr) == (2, "", f"tokenclock serving: {line}\n")
