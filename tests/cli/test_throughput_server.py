"""`tokenclock throughput --base-url`: a data set's rows on a server, with what the server saw of them."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.servers.scripted import Request, ScriptedServer, json_reply

from tokenclock import PacedServer
from tokenclock.__main__ import main
from tokenclock.perftest.metrics import unit_in_result, value_in_result

N_ROWS = 12


def rows_of(n: int = N_ROWS) -> list[dict[str, Any]]:
    draws = np.random.default_rng(5)
    return [
        {"task_id": 7 * i, "input_ids": draws.integers(3, 9000, 30 + i).tolist(), "output_tokens": 6 + i % 2}
        for i in range(n)
    ]


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def server() -> Iterator[PacedServer]:
    with PacedServer(ttft_ms=10, itl_ms=2) as paced:
        yield paced


def run(url: str, dataset: str, *flags: str, command: str = "throughput") -> int:
    return main(["--model", "paced", command, "--dataset", dataset, "--base-url", url, "--disable-tqdm", *flags])


def test_report_and_files_of_a_server(server: PacedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset, report = write(tmp_path / "d.jsonl", rows_of()), tmp_path / "report.json"
    requests, answers = tmp_path / "requests.json", tmp_path / "answers.json"
    files = ("--report_json", str(report), "--request_json", str(requests), "--output_json", str(answers))
    assert run(server.url, dataset, "--concurrency", "3", "--streaming", *files) == 0
    out, err = capsys.readouterr()
    content = json.loads(report.read_text())
    assert content["request_info"]["num_requests"] == N_ROWS
    assert content["request_info"]["avg_input_length"] == 35.5
    assert content["request_info"]["avg_output_length"] == 6.5
    assert content["dataset"]["max_sequence_length"] == 30 + N_ROWS - 1 + 7
    assert content["streaming_metrics"]["avg_ttft_ms"] >= 10
    assert content["streaming_metrics"]["avg_tpot_ms"] >= 2 * 0.9
    assert "= SERVER BACKEND" in out
    assert "Measurement quality" in out
    assert "tokenclock serving" not in err
    native = content["tokenclock"]
    assert native["plan"]["command"] == "throughput"
    assert native["plan"]["serving"]["dataset"]["name"] == "trtllm_bench"
    assert [row["id"] for row in json.loads(requests.read_text())] == [7 * i for i in range(N_ROWS)]
    texts = json.loads(answers.read_text())
    assert list(texts) == [str(7 * i) for i in range(N_ROWS)]
    assert all(texts.values())


def answer(request: Request, _: socket.socket) -> bytes:
    """A whole reply of the length that was asked for; the fourth adapter's requests are refused."""
    if request.method == "GET":
        return json_reply({"data": []})
    body = request.json
    if body.get("model") == "refused":
        return json_reply({"error": {"message": "no such adapter"}}, "404 Not Found")
    n = body.get("max_tokens", body.get("max_completion_tokens"))
    usage = {"prompt_tokens": 21, "completion_tokens": n}
    choice = {"index": 0, "finish_reason": "length", "text": "x" * n, "message": {"content": "x" * n}}
    return json_reply({"id": "cmpl-1", "choices": [choice], "usage": usage})


def bodies_of(server: ScriptedServer) -> list[dict[str, Any]]:
    return [request.json for request in server.requests if request.method == "POST"]


def test_rows_are_sent_as_they_are_in_the_order_of_the_file(tmp_path: Path) -> None:
    rows = rows_of(3)
    rows[1]["lora_request"] = {"lora_name": "lora_4", "lora_int_id": 4, "lora_path": "/loras/4"}
    with ScriptedServer(answer) as scripted:
        assert run(scripted.url, write(tmp_path / "d.jsonl", rows), "--concurrency", "1", "--warmup", "1") == 0
        bodies = bodies_of(scripted)
    sent = bodies[-3:]
    assert [body["prompt"] for body in sent] == [row["input_ids"] for row in rows]
    assert [body["max_tokens"] for body in sent] == [row["output_tokens"] for row in rows]
    assert [body["model"] for body in sent] == ["paced", "lora_4", "paced"]
    assert all(body["temperature"] == 0 and body["ignore_eos"] for body in sent)
    measured = [row["input_ids"] for row in rows]
    assert len(bodies) == 5, "a test request and a warm-up before them"
    assert all(body["prompt"] not in measured for body in bodies[:2])


def test_an_end_token_and_sampling_options_reach_the_server(tmp_path: Path) -> None:
    options = tmp_path / "sampling.yml"
    options.write_text("temperature: 0.5\ntop_p: 0.9\n")
    with ScriptedServer(answer) as scripted:
        dataset = write(tmp_path / "d.jsonl", rows_of(2))
        assert run(scripted.url, dataset, "--eos_id", "2", "--sampler_options", str(options)) == 0
        body = bodies_of(scripted)[-1]
    assert (body["temperature"], body["top_p"], body["stop_token_ids"]) == (0.5, 0.9, [2])
    options.write_text("seed: 3\n")
    with ScriptedServer(answer) as scripted:
        assert run(scripted.url, dataset, "--sampler_options", str(options)) == 2
        assert not scripted.requests


def test_pictures_go_to_the_chat_endpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(b"jpeg")
    rows: list[dict[str, Any]] = [
        {"task_id": 0, "prompt": "what is this", "media_paths": [str(picture)], "output_tokens": 3},
        {"task_id": 1, "prompt": "and this", "media_paths": ["http://h/b.png"], "output_tokens": 3},
    ]
    with ScriptedServer(answer) as scripted:
        assert run(scripted.url, write(tmp_path / "d.jsonl", rows), "--concurrency", "1") == 0
        posts = [request for request in scripted.requests if request.method == "POST"][-2:]
    assert {post.path for post in posts} == {"/v1/chat/completions"}
    first, second = (post.json["messages"][0]["content"] for post in posts)
    assert first[0]["image_url"]["url"] == "data:image/jpeg;base64," + base64.b64encode(b"jpeg").decode()
    assert first[1] == {"type": "text", "text": "what is this"}
    assert second[0]["image_url"]["url"] == "http://h/b.png"
    capsys.readouterr()
    for media, said in (("nowhere.jpg", "cannot be read"), ("a.txt", "pictures or videos by their suffix")):
        rows[1]["media_paths"] = [media]
        dataset = write(tmp_path / "d.jsonl", rows)
        assert run("http://127.0.0.1:9", dataset) in (1, 2)
        err = capsys.readouterr().err
        assert len(err.splitlines()) == 1, said


def test_failures_are_counted_and_end_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, report = rows_of(4), tmp_path / "report.json"
    rows[2]["lora_request"] = {"lora_name": "refused", "lora_int_id": 9}
    with ScriptedServer(answer) as scripted:
        code = run(scripted.url, write(tmp_path / "d.jsonl", rows), "--report_json", str(report), "--concurrency", "2")
    assert code == 3
    assert "1 of 4 requests failed" in capsys.readouterr().err
    content = json.loads(report.read_text())
    assert content["request_info"]["num_requests"] == 3
    assert content["tokenclock"]["requests"]["failed"] == 1


def test_rows_of_two_forms_are_refused(server: PacedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [*rows_of(2), {"task_id": 99, "prompt": "words", "output_tokens": 3}]
    dataset = write(tmp_path / "d.jsonl", rows)
    assert run(server.url, dataset) == 2
    assert f"{dataset}:3: expected input_ids in every row or in none" in capsys.readouterr().err


def test_what_excludes_a_server_is_named(
    server: PacedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = write(tmp_path / "d.jsonl", rows_of(2))
    assert run(server.url, dataset, "--runtime", "ctranslate2") == 2
    assert "--runtime and --base-url exclude each other" in capsys.readouterr().err
    assert run(server.url, dataset, "--beam_width", "2") == 2
    assert "--beam_width must be 1 with --base-url" in capsys.readouterr().err
    assert run(server.url, dataset, "--backend", "pytorch", "--max_batch_size", "8", "--tp", "2") == 0
    err = capsys.readouterr().err
    assert "--backend changes nothing with --base-url" in err
    assert "--max_batch_size changes nothing with --base-url" in err


def test_nobody_listens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("http://127.0.0.1:9", write(tmp_path / "d.jsonl", rows_of(2))) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_originals_flags_for_pictures_change_nothing_with_a_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows_of(2)), "utf-8")
    words = "--no_skip_tokenizer_init --modality image --image_data_format pil --data_device cpu --max_input_len 4096"
    with ScriptedServer(answer) as server:
        command = f"--model m --no-telemetry throughput --dataset {path} --base-url {server.url} {words}"
        assert main(command.split()) == 0
    said = capsys.readouterr().err
    for flag in ("no_skip_tokenizer_init", "modality", "image_data_format", "data_device", "max_input_len"):
        assert f"tokenclock throughput: --{flag} changes nothing: " in said


@pytest.mark.parametrize(("flags", "n_gpus"), [([], None), (["--tp", "2"], 2), (["--tp", "2", "--pp", "2"], 4)])
def test_what_is_per_gpu_needs_a_number_of_gpus(
    server: PacedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], n_gpus: int | None
) -> None:
    report = tmp_path / "report.json"
    assert run(server.url, write(tmp_path / "d.jsonl", rows_of()), "--report_json", str(report), *flags) == 0
    log, content = capsys.readouterr().out, json.loads(report.read_text())
    left_out = content["tokenclock"]["faces"]["trtllm_bench"]["left_out"]
    performance = content["performance"]
    assert ("Per GPU Output Throughput" in log) == ("TP Size:" in log) == (n_gpus is not None)
    if n_gpus is None:
        assert "--tp and --pp say it" in left_out["performance.output_throughput_per_gpu_tok_s"]
        assert {"world_info.tp_size", "world_info.pp_size", "world_info.world_size"} <= left_out.keys()
        assert (
            value_in_result("throughput", "TOKEN_THROUGHPUT", content, batch_size=1, lengths=(1, 1))
            == (performance["system_output_throughput_tok_s"])
        )
        assert unit_in_result("throughput", "TOKEN_THROUGHPUT", content) == "tok/s"
        return
    assert performance["output_throughput_per_gpu_tok_s"] == pytest.approx(
        performance["system_output_throughput_tok_s"] / n_gpus
    )
    assert unit_in_result("throughput", "TOKEN_THROUGHPUT", content) == "tok/s/GPU"


def test_a_file_of_fewer_rows_than_asked_for_is_said_once(
    server: PacedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = write(tmp_path / "d.jsonl", rows_of())
    assert run(server.url, dataset, "--num_requests", "512") == 0
    assert capsys.readouterr().err.count("has 12 rows of the 512 asked for (--num_requests): each is sent once") == 1
    assert run(server.url, dataset, "--num_requests", "12") == 0
    assert "asked for (--num_requests)" not in capsys.readouterr().err
