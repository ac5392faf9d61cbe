"""Round trips: a file that was prepared, or a trace, through a paced server and its event log, and back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.servers.scripted import ScriptedServer, completion_events, json_reply, sse_reply

from tokenclock import PacedServer
from tokenclock.event_log import read as read_log
from tokenclock.report.columns_file import read as read_columns
from tokenclock.workload.datasets.trace_reading import read_trace


@pytest.fixture(scope="module")
def server() -> Iterator[PacedServer]:
    with PacedServer(ttft_ms=3, itl_ms=1) as paced:
        yield paced


def tokenclock(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tokenclock", *arguments]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done


def serving(directory: Path, url: str, *flags: str) -> dict[str, Any]:
    tokenclock(directory, "serving", "--model", "m", "--base-url", url, "--ignore-eos", "--save-result",
               "--result-filename", "a.json", *flags)  # fmt: skip
    return dict(json.loads((directory / "a.json").read_text("utf-8")))


@pytest.mark.parametrize("form", ["mooncake", "azure", "burstgpt", "jsonl"])
def test_a_trace_comes_back_from_its_event_log(server: PacedServer, tmp_path: Path, form: str) -> None:
    t_s = [0.0, 0.05, 0.07, 0.2, 0.31]
    isl, osl = [600, 40, 7, 130, 1], [2, 5, 1, 3, 4]
    rows = list(zip(t_s, isl, osl, strict=True))
    if form in ("mooncake", "jsonl"):
        lengths = ("input_length", "output_length")
        lines = [json.dumps({"timestamp": 1e3 * t, lengths[0]: i, lengths[1]: o}) for t, i, o in rows]
    elif form == "burstgpt":
        lines = ["Timestamp,Request tokens,Response tokens", *(f"{t},{i},{o}" for t, i, o in rows)]
    else:
        lines = ["TIMESTAMP,ContextTokens,GeneratedTokens"]
        lines += [f"2024-05-10 00:00:00.{round(t * 1e7):07d},{i},{o}" for t, i, o in rows]
    (tmp_path / "trace").write_text("\n".join(lines) + "\n", "utf-8")
    data = serving(tmp_path, server.url, "--dataset-name", "trace", "--dataset-path", "trace", "--trace-format", form,
                   "--save-events", "events")  # fmt: skip
    assert data["completed"] == 5
    assert data["request_rate"] == pytest.approx(4 / 0.31)
    _, logged, incomplete = read_log(tmp_path / "events")
    assert not incomplete
    columns = logged.columns
    assert (columns["t_scheduled_ns"] / 1e9).tolist() == pytest.approx(t_s, abs=1e-7)
    assert columns["isl_server"].tolist() == isl
    assert columns["osl"].tolist() == osl
    assert (columns["t_sent_ns"] >= columns["t_scheduled_ns"]).all()
    again = [
        {"timestamp": t / 1e6, "input_length": i, "output_length": o}
        for t, i, o in zip(*(columns[name].tolist() for name in ("t_scheduled_ns", "isl_server", "osl")), strict=True)
    ]
    (tmp_path / "again").write_text("".join(json.dumps(row) + "\n" for row in again), "utf-8")
    first, second = read_trace(str(tmp_path / "trace"), form), read_trace(str(tmp_path / "again"))
    assert first.isl.tolist() == second.isl.tolist()
    assert first.osl.tolist() == second.osl.tolist()
    assert (first.t_ms - first.t_ms[0]).tolist() == pytest.approx(second.t_ms.tolist(), abs=1e-4)


def test_a_trace_may_run_faster(server: PacedServer, tmp_path: Path) -> None:
    rows = [{"timestamp": 1000 * n, "input_length": 5, "output_length": 1} for n in range(6)]
    (tmp_path / "t").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    serving(tmp_path, server.url, "--dataset-name", "mooncake", "--dataset-path", "t", "--trace-speedup", "50",
            "--trace-end", "4.5")  # fmt: skip
    due_s = read_columns(tmp_path / "a.columns.npz").columns["t_scheduled_ns"] / 1e9
    assert due_s.tolist() == pytest.approx([0.02 * n for n in range(5)])


def test_prepared_rows_reach_the_server_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "loras/0").mkdir(parents=True)
    (tmp_path / "loras/1").mkdir()
    lengths = "--num-requests 12 --input-mean 20 --input-stdev 5 --output-mean 4 --output-stdev 1"
    flags = "--stdout --vocab-size 900 --manifest line --rand-task-id 0 1 --lora-dir loras"
    prepared = tokenclock(tmp_path, "prepare-dataset", *f"{flags} token-norm-dist {lengths}".split())
    (tmp_path / "rows.jsonl").write_text(prepared.stdout, "utf-8")
    rows = [json.loads(line) for line in prepared.stdout.splitlines()[:-1]]

    def answer(request: Any, _: Any) -> bytes:
        if request.method != "POST":
            return json_reply({"data": []})
        n = request.json["max_tokens"]
        usage = {"prompt_tokens": len(request.json["prompt"]), "completion_tokens": n}
        return sse_reply(completion_events(["x"] * n, usage=usage))

    for name in ("trtllm_custom", "trace"):
        with ScriptedServer(answer) as scripted:
            data = serving(tmp_path, scripted.url, "--dataset-name", name, "--dataset-path", "rows.jsonl",
                           "--num-prompts", "12", "--max-concurrency", "1", "--no-test-input")  # fmt: skip
            bodies = [request.json for request in scripted.requests if request.method == "POST"]
        assert [body["prompt"] for body in bodies] == [row["input_ids"] for row in rows]
        assert [body["max_tokens"] for body in bodies] == [row["output_tokens"] for row in rows]
        assert [body["model"] for body in bodies] == [row["lora_request"]["lora_name"] for row in rows]
        assert sum(data["tokenclock"]["workload"]["lora"].values()) == 12


def test_prepared_conversations_are_held(server: PacedServer, tmp_path: Path) -> None:
    shape = "--session-turns-mean 3 --session-turn-delay-mean 20 --request-rate 40 --num-prefixes 1 --prefix-len 30"
    lengths = "--num-requests 9 --input-mean 10 --input-stdev 0 --output-mean 4 --output-stdev 0"
    asked = f"--stdout --vocab-size 900 {shape} token-norm-dist {lengths}"
    prepared = tokenclock(tmp_path, "prepare-dataset", *asked.split())
    (tmp_path / "rows.jsonl").write_text(prepared.stdout, "utf-8")
    data = serving(tmp_path, server.url, "--dataset-name", "trace", "--dataset-path", "rows.jsonl", "--save-events",
                   "events")  # fmt: skip
    assert data["completed"] == 9
    columns = read_columns(tmp_path / "a.columns.npz").columns
    assert columns["isl_server"].tolist() == [40, 54, 68] * 3  # 30 shared ones, then 10 asked and 4 answered a turn
    done, scheduled = columns["t_done_ns"].reshape(3, 3), columns["t_scheduled_ns"].reshape(3, 3)
    assert (scheduled[:, 1:] - done[:, :-1]).ravel().tolist() == [20_000_000] * 6
    stamps = [row["timestamp"] for row in map(json.loads, prepared.stdout.splitlines()) if "timestamp" in row]
    assert (scheduled[:, 0] / 1e6).tolist() == pytest.approx(stamps, abs=1e-6)
    _, logged, _ = read_log(tmp_path / "events")
    assert logged.columns["t_done_ns"].tolist() == columns["t_done_ns"].tolist()
    assert logged.t_token_ns.tolist() == read_columns(tmp_path / "a.columns.npz").t_token_ns.tolist()


def test_runs_with_a_nonce_of_their_own_share_no_prompt(server: PacedServer, tmp_path: Path) -> None:
    def sha(*flags: str) -> str:
        shape = "--dataset-name random --random-input-len 8 --random-output-len 2 --num-prompts 4 --max-concurrency 4"
        data = serving(tmp_path, server.url, *shape.split(), *flags)
        return str(data["tokenclock"]["workload"]["sha256"])

    one = sha("--cache-bust")
    plan = json.loads((tmp_path / "a.json").read_text("utf-8"))["tokenclock"]["plan"]
    assert sha("--cache-bust") != one
    assert sha("--cache-bust", plan["load"]["cache_bust"]) == one
    assert sha() == sha() != one
