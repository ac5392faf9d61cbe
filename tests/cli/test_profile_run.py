"""`tokenclock profile` in a process of its own, against the paced server: console, files, exit codes."""

from __future__ import annotations

import csv
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.servers.scripted import Request, ScriptedServer, json_reply

from tokenclock import PacedServer
from tokenclock.report.columns_file import read as read_columns
from tokenclock.result import Result

MODEL = "deepseek-ai/DeepSeek-R1-Distill-Llama-70B"
STREAM_ROWS = ("Time To First Token (ms)", "Time To Second Token (ms)", "Inter Token Latency (ms)")
ROWS = (
    "Request Latency (ms)", "Output Sequence Length (tokens)", "Input Sequence Length (tokens)",
    "Output Token Throughput (tokens/sec)", "Request Throughput (per sec)", "Request Count (count)",
)  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[PacedServer]:
    with PacedServer(ttft_ms=10, itl_ms=2) as paced:
        yield paced


def profile(folder: Path, url: str, *flags: str, model: str = "paced") -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "tokenclock", "profile", "-m", model, "--url", url.removeprefix("http://")]
    words += ["--artifact-dir", str(folder), *flags]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def small(n: int = 20, unique: int = 20) -> list[str]:
    counts = ["--concurrency", "4", "--request-count", str(n), "--num-prompts", str(unique)]
    return [*counts, "--isl", "8", "--osl", "6"]


def read(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(folder.read_text())
    return found


def test_the_documented_recipe(server: PacedServer, tmp_path: Path) -> None:
    run = profile(
        tmp_path, server.url, "--tokenizer", MODEL, "--service-kind", "openai", "--endpoint-type", "chat",
        "--random-seed", "223", "--num-prompts", "40", "--num-prefix-prompts", "1", "--concurrency", "8",
        "--request-count", "40", "--prefix-prompt-length", "60", "--synthetic-input-tokens-mean", "10",
        "--synthetic-input-tokens-stddev", "0", "--output-tokens-mean", "13", "--output-tokens-stddev", "0",
        "--verbose", "--warmup-request-count", "4", "--profile-export-file", "run.json", model=MODEL,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    at = [run.stdout.index(row) for row in ROWS]
    assert at == sorted(at)
    assert not any(row in run.stdout for row in STREAM_ROWS)
    assert "no --streaming: whole answers show no token times" in run.stderr
    assert "is less than --request-count" not in run.stderr
    assert "Verdict: " in run.stdout

    folder = tmp_path / "deepseek-ai_DeepSeek-R1-Distill-Llama-70B-openai-chat-concurrency8"
    names = ["inputs.json", "run.json", "run_genai_perf.columns.npz", "run_genai_perf.csv", "run_genai_perf.json"]
    assert sorted(path.name for path in folder.iterdir()) == names
    bodies = [row["payload"][0] for row in read(folder / "inputs.json")["data"]]
    assert len({body["messages"][0]["content"] for body in bodies}) == 40
    assert all(body["max_tokens"] == 13 for body in bodies)
    statistics = read(folder / "run_genai_perf.json")
    assert statistics["input_sequence_length"]["avg"] == 70
    assert statistics["output_sequence_length"]["avg"] == 13
    assert statistics["request_count"] == {"unit": "count", "avg": 40}
    assert statistics["input_config"]["concurrency"] == 8
    assert "time_to_first_token" not in statistics


def test_numbers_are_those_of_the_raw_columns(server: PacedServer, tmp_path: Path) -> None:
    run = profile(tmp_path, server.url, "--endpoint-type", "completions", "--streaming", *small())
    assert run.returncode == 0, run.stderr
    folder = tmp_path / "paced-openai-completions-concurrency4"
    found = read(folder / "profile_export_genai_perf.json")
    columns = read_columns(folder / "profile_export_genai_perf.columns.npz").columns
    ttft_ms = (columns["t_first_token_ns"] - columns["t_sent_ns"]) / 1e6
    assert found["time_to_first_token"]["avg"] == pytest.approx(ttft_ms.mean())
    assert found["time_to_first_token"]["max"] == pytest.approx(ttft_ms.max())
    assert found["tokenclock"]["faces"]["serving"]["values"]["mean_ttft_ms"] == pytest.approx(ttft_ms.mean())
    assert Result.load(folder / "profile_export_genai_perf.json").plan["command"] == "profile"

    (experiment,) = read(folder / "profile_export.json")["experiments"]
    requests = experiment["requests"]
    assert [len(request["response_timestamps"]) for request in requests] == [6] * 20
    sent, first = requests[0]["timestamp"], requests[0]["response_timestamps"][0]
    assert first - sent == columns["t_first_token_ns"][0] - columns["t_sent_ns"][0]
    inputs = [row["payload"][0] for row in read(folder / "inputs.json")["data"]]
    assert [json.loads(request["request_inputs"]["payload"]) for request in requests] == inputs
    with open(folder / "profile_export_genai_perf.csv", newline="") as file:
        assert ["Request Count (count)", "20.00"] in list(csv.reader(file))


def test_few_prompts_are_said_and_really_repeat(server: PacedServer, tmp_path: Path) -> None:
    run = profile(tmp_path, server.url, "--endpoint-type", "chat", "--streaming", *small(n=20, unique=5))
    assert run.returncode == 0, run.stderr
    assert "--num-prompts 5 is less than --request-count 20" in run.stderr
    assert all(row in run.stdout for row in STREAM_ROWS)
    folder = tmp_path / "paced-openai-chat-concurrency4"
    assert len(read(folder / "inputs.json")["data"]) == 5
    requests = read(folder / "profile_export.json")["experiments"][0]["requests"]
    assert requests[5]["request_inputs"] == requests[0]["request_inputs"]


def test_evenly_spaced_arrivals(server: PacedServer, tmp_path: Path) -> None:
    run = profile(
        tmp_path, server.url, "--endpoint-type", "chat", "--streaming", "--request-rate", "50",
        "--request-count", "20", "--num-prompts", "20", "--isl", "4", "--osl", "2", "--no-raw-export",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    folder = tmp_path / "paced-openai-chat-request_rate50.0"
    assert not (folder / "profile_export.json").exists()
    columns = read_columns(folder / "profile_export_genai_perf.columns.npz").columns
    assert set((columns["t_scheduled_ns"][1:] - columns["t_scheduled_ns"][:-1]).tolist()) == {20_000_000}


def test_a_server_that_is_not_there_is_one_line_in_our_words(tmp_path: Path) -> None:
    run = profile(tmp_path, "localhost:1", "--endpoint-type", "chat")
    assert (run.returncode, run.stdout) == (1, "")
    lines = run.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("tokenclock profile: no server at http://localhost:1/v1/chat/completions")
    assert lines[0].endswith("start it, or check --url")


def test_failures_are_counted_and_end_with_3(tmp_path: Path) -> None:
    def answer(request: Request, _connection: socket.socket) -> bytes:
        seen.append(request)
        if len(seen) % 4 == 0:
            return json_reply({"error": {"message": "no"}}, "500 Oh")
        message = {"index": 0, "message": {"role": "assistant", "content": "a b"}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 4, "completion_tokens": 2}
        return json_reply({"choices": [message], "usage": usage})

    seen: list[Request] = []
    with ScriptedServer(answer) as broken:
        run = profile(tmp_path, broken.url, "--endpoint-type", "chat", "--request-count", "12", "--num-prompts", "12")
    assert run.returncode == 3, run.stderr
    found = read(tmp_path / "paced-openai-chat-concurrency1" / "profile_export_genai_perf.json")
    assert found["request_count"]["avg"] == found["tokenclock"]["requests"]["ok"] < 12
    raw = read(tmp_path / "paced-openai-chat-concurrency1" / "profile_export.json")
    assert len(raw["experiments"][0]["requests"]) == found["request_count"]["avg"]


def test_windows_in_which_no_answer_ends_are_one_line(tmp_path: Path) -> None:
    flags = ["--concurrency", "2", "--measurement-interval", "150", "--isl", "8", "--osl", "900", "--streaming"]
    with PacedServer(ttft_ms=10, itl_ms=5) as slow:
        run = profile(tmp_path, slow.url, *flags, "--endpoint-type", "chat")
    assert run.returncode == 1, run.stderr
    assert "no answer ended in the last 3 windows of 150 ms; raise --measurement-interval" in run.stderr
    assert "Traceback" not in run.stderr
    kept = run.stderr.partition("everything that was measured is kept in ")[2].split()[0]
    assert list(Path(kept).glob("part-*.npz"))


def test_a_run_by_time_keeps_three_windows(server: PacedServer, tmp_path: Path) -> None:
    counts = ["--concurrency", "4", "--measurement-interval", "200", "--isl", "8", "--osl", "6"]
    run = profile(tmp_path, server.url, "--endpoint-type", "completions", "--streaming", *counts)
    assert run.returncode == 0, run.stderr
    assert "windows were measured; the last 3 agree and are reported" in run.stderr
    found = read(tmp_path / "paced-openai-completions-concurrency4" / "profile_export_genai_perf.json")["tokenclock"]
    windows = found["client"]["windows"]
    (raw,) = tmp_path.rglob("profile_export.json")
    boundaries = read(raw)["experiments"][0]["window_boundaries"]
    assert [int(length) for length in np.diff(boundaries)] == [200_000_000] * 3
    sent = [request["timestamp"] for request in read(raw)["experiments"][0]["requests"]]
    assert boundaries[0] - 1_000_000_000 < min(sent) < boundaries[-1]
    assert len(windows) >= 3
    assert found["requests"]["ok"] == found["requests"]["scheduled"] == sum(window["n"] for window in windows[-3:]) > 20
    assert not found["incomplete"]


def test_prompts_of_a_file(server: PacedServer, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "first one"}\n{"text": "second one"}\n')
    flags = ["--input-file", str(tmp_path / "in.jsonl"), "--request-count", "10", "--osl", "4", "--isl", "9"]
    run = profile(tmp_path, server.url, "--endpoint-type", "chat", "--streaming", *flags)
    assert run.returncode == 0, run.stderr
    assert "--synthetic-input-tokens-mean changes nothing with --input-file" in run.stderr
    bodies = [row["payload"][0] for row in read(tmp_path / "paced-openai-chat-concurrency1" / "inputs.json")["data"]]
    assert [body["messages"][0]["content"] for body in bodies] == ["first one", "second one"]


@pytest.mark.parametrize(("kind", "title"), [("embeddings", "Embeddings"), ("rankings", "Rankings")])
def test_endpoints_without_output(tmp_path: Path, kind: str, title: str) -> None:
    def answer(request: Request, _connection: socket.socket) -> bytes:
        if request.method == "GET":
            return json_reply({}, "404 Not Found")
        seen.append(request.json)
        if kind == "embeddings":
            return json_reply({"data": [{"index": 0, "embedding": [0.5]}], "usage": {"prompt_tokens": 12}})
        return json_reply({"rankings": [{"index": 0, "logit": 0.5}]})

    seen: list[dict[str, Any]] = []
    with ScriptedServer(answer) as server:
        counts = ["--request-count", "10", "--num-prompts", "10", "-b", "3", "--isl", "4"]
        run = profile(tmp_path, server.url, "--endpoint-type", kind, *counts)
    assert run.returncode == 0, run.stderr
    assert f"NVIDIA GenAI-Perf | {title} Metrics" in run.stdout
    assert "Request Latency (ms)" in run.stdout
    assert "Sequence Length" not in run.stdout
    assert "no --streaming" not in run.stderr
    posted = [body for body in seen if "model" in body]
    texts = posted[-1]["input"] if kind == "embeddings" else posted[-1]["passages"]
    assert len(texts) == 3
    found = read(tmp_path / f"paced-openai-{kind}-concurrency1" / "profile_export_genai_perf.json")
    assert found["request_count"]["avg"] == 10
    assert "output_sequence_length" not in found
    assert len(read(tmp_path / f"paced-openai-{kind}-concurrency1" / "inputs.json")["data"]) == 10


def test_ctrl_c_keeps_what_was_measured(server: PacedServer, tmp_path: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "tokenclock",
        "profile",
        "-m",
        "paced",
        "--url",
        server.url,
        "--endpoint-type",
        "chat",
    ]
    words += ["--streaming", "--request-count", "100000", "--num-prompts", "10", "--isl", "4", "--osl", "4"]
    words += ["--backend", "vllm", "--generate-plots", "--artifact-dir", str(tmp_path)]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    folder = tmp_path / "paced-openai-chat-concurrency1"
    deadline_s = time.monotonic() + 30
    while not (folder / "inputs.json").exists():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    time.sleep(1.0)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert child.returncode == 130, err
    assert "--backend vllm changes nothing" in err
    assert "--generate-plots draws nothing here" in err
    assert "Request Count (count)" in out
    found = read(folder / "profile_export_genai_perf.json")
    assert found["tokenclock"]["incomplete"]
    assert found["request_count"]["avg"] > 0
    assert len(read(folder / "profile_export.json")["experiments"][0]["requests"]) == found["request_count"]["avg"]


def test_conversations(server: PacedServer, tmp_path: Path) -> None:
    flags = ["--session-concurrency", "2", "--num-sessions", "4", "--session-turns-mean", "3"]
    flags += ["--session-turn-delay-mean", "10", "--isl", "5", "--osl", "4"]
    run = profile(tmp_path, server.url, "--endpoint-type", "chat", "--streaming", *flags)
    assert run.returncode == 0, run.stderr
    folder = tmp_path / "paced-openai-chat-session_concurrency2"
    found = read(folder / "profile_export_genai_perf.json")
    assert found["request_count"]["avg"] == 12
    assert (found["input_sequence_length"]["min"], found["input_sequence_length"]["max"]) == (5, 23)  # 3 * 5 + 2 * 4
    rows = read(folder / "inputs.json")["data"]
    assert [row["session_id"] for row in rows] == ["0"] * 3 + ["1"] * 3 + ["2"] * 3 + ["3"] * 3
    assert [row["delay"] for row in rows[:3]] == [[0], [10], [10]]
    assert read(folder / "profile_export.json")["experiments"][0]["experiment"] == {
        "mode": "session_concurrency", "value": 2,
    }  # fmt: skip
    columns = read_columns(folder / "profile_export_genai_perf.columns.npz").columns
    gaps_ms = (columns["t_sent_ns"][1:3] - columns["t_done_ns"][0:2]) / 1e6
    assert gaps_ms.min() >= 10


def test_conversations_of_a_file(server: PacedServer, tmp_path: Path) -> None:
    rows = [
        {"session_id": name, "text_input": f"{name} {turn}", "output_length": 2} for turn in range(3) for name in "ab"
    ]
    (tmp_path / "trace.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    flags = ["--input-file", f"payload:{tmp_path / 'trace.jsonl'}", "--session-concurrency", "2"]
    run = profile(tmp_path, server.url, "--endpoint-type", "chat", "--streaming", *flags)
    assert run.returncode == 0, run.stderr
    found = read(tmp_path / "paced-openai-chat-session_concurrency2" / "profile_export_genai_perf.json")
    assert found["request_count"]["avg"] == 6
    assert found["input_sequence_length"]["max"] > found["input_sequence_length"]["min"]


def test_a_file_of_payloads_keeps_its_schedule(server: PacedServer, tmp_path: Path) -> None:
    rows = [{"timestamp": 1000 + 20 * i, "text_input": f"prompt {i}", "output_length": 3 + i} for i in range(4)]
    (tmp_path / "trace.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    flags = ["--input-file", f"payload:{tmp_path / 'trace.jsonl'}", "--fixed-schedule"]
    run = profile(tmp_path, server.url, "--endpoint-type", "chat", "--streaming", *flags)
    assert run.returncode == 0, run.stderr
    folder = tmp_path / "paced-openai-chat-fixed_schedule"
    columns = read_columns(folder / "profile_export_genai_perf.columns.npz").columns
    assert columns["t_scheduled_ns"].tolist() == [0, 20_000_000, 40_000_000, 60_000_000]
    assert columns["osl"].tolist() == [3, 4, 5, 6]
    assert [row["timestamp"] for row in read(folder / "inputs.json")["data"]] == [[0], [20], [40], [60]]
    untimed = profile(tmp_path, server.url, "--endpoint-type", "chat", "--streaming", *flags[:2], "--concurrency", "2")
    assert untimed.returncode == 0, untimed.stderr
    found = read(tmp_path / "paced-openai-chat-concurrency2" / "profile_export_genai_perf.json")
    assert found["request_count"]["avg"] == 4


def test_more_conversations_than_this_client_bears_are_refused(server: PacedServer, tmp_path: Path) -> None:
    flags = ["--session-concurrency", "1001", "--num-sessions", "1200", "--isl", "5", "--osl", "4"]
    run = profile(tmp_path, server.url, "--endpoint-type", "chat", "--streaming", *flags)
    assert run.returncode == 2
    assert run.stderr == (
        "tokenclock profile: --session-concurrency must be at most 1000, as each has a thread to "
        "itself, got 1001 for 1200 of them; use several client machines\n"
    )


def test_ctrl_c_in_the_warm_up_is_one_line(tmp_path: Path) -> None:
    with PacedServer(ttft_ms=10, itl_ms=20) as slow:
        words = [sys.executable, "-m", "tokenclock", "profile", "-m", "m", "--url", slow.url, "--endpoint-type", "chat"]
        words += ["--artifact-dir", str(tmp_path), "--warmup-request-count", "50", "--isl", "8", "--osl", "20"]
        child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while slow.truth().n_requests < 2:
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)
    assert child.returncode == 130
    assert said.count("tokenclock profile: stopped before the first measured request: nothing was measured") == 1
    assert "Traceback" not in said
