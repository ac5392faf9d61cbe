"""Messages name flags that the command has, and speak of what the user asked for."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from tests.servers.scripted import Request, ScriptedServer, json_reply

from tokenclock import PacedServer
from tokenclock.__main__ import main

DIGITS = "9" * 10_000
Captured = pytest.CaptureFixture[str]


def vectors(request: Request, _connection: socket.socket) -> bytes:
    if request.method != "POST":
        return json_reply({}, "404 Not Found")
    if "input" in request.json:
        return json_reply({"data": [{"index": 0, "embedding": [0.5]}], "usage": {"prompt_tokens": 5}})
    return json_reply({"results": [{"index": 0, "relevance_score": 0.5}], "rankings": [{"index": 0, "logit": 1.0}]})


def test_a_file_of_few_rows(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "say a"}\n{"text": "say b"}\n')
    with PacedServer(ttft_ms=1, itl_ms=1) as server:
        words = ["profile", "-m", "m", "--endpoint-type", "chat", "--url", server.url, "--request-count", "6"]
        assert (
            main([*words, "--input-file", f"{tmp_path}/in.jsonl", "--osl", "2", "--artifact-dir", str(tmp_path)]) == 0
        )
        serving = [
            "serving",
            "--model",
            "m",
            "--base-url",
            server.url,
            "--num-prompts",
            "6",
            "--dataset-name",
            "custom",
        ]
        (tmp_path / "in2.jsonl").write_text('{"prompt": "say a"}\n{"prompt": "say b"}\n')
        said = capsys.readouterr().err
        assert (
            main([*serving, "--dataset-name", "custom", "--dataset-path", f"{tmp_path}/in2.jsonl", "--disable-tqdm"])
            == 0
        )
    assert "4 of 6 prompts repeat another one" in said
    assert "--no-oversample" not in said
    assert "--no-oversample" in capsys.readouterr().err


def test_a_data_set_that_is_a_device(capsys: Captured) -> None:
    assert main(["--model", "m", "throughput", "--dataset", "/dev/null", "--base-url", "http://127.0.0.1:9"]) == 2
    assert "--dataset must be a file or a pipe, got /dev/null" in capsys.readouterr().err


def test_a_model_path_that_is_not_there(capsys: Captured) -> None:
    lengths = ["--input-mean", "5", "--input-stdev", "0", "--output-mean", "5", "--output-stdev", "0"]
    words = ["prepare-dataset", "--stdout", "token-norm-dist", "--num-requests", "3", *lengths]
    assert main(["--model", "NAME", "--model_path", "MISSING", *words]) == 2
    assert "--model_path MISSING is no directory" in capsys.readouterr().err
    assert main(["--model", "NAME", *words]) == 2
    assert "--model NAME is no directory" in capsys.readouterr().err


@pytest.mark.parametrize("backend", ["embeddings", "rerank"])
def test_what_generates_nothing_has_no_temperature(tmp_path: Path, capsys: Captured, backend: str) -> None:
    kind = {"embeddings": "embeddings", "rerank": "rankings"}[backend]
    with ScriptedServer(vectors) as server:
        serving = ["serving", "--model", "m", "--backend", backend, "--dataset-name", "random", "--num-prompts", "3"]
        main([*serving, "--base-url", server.url, "--disable-tqdm", "--batch-size", "1"])
        profile = ["profile", "-m", "m", "--endpoint-type", kind, "--request-count", "3", "--url", server.url]
        main([*profile, "--artifact-dir", str(tmp_path)])
    said = capsys.readouterr().err
    assert "temperature" not in said
    assert "chat prompts" not in said


def test_a_number_of_ten_thousand_digits(tmp_path: Path, capsys: Captured) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(f'{{"task_id": 1, "input_ids": [{DIGITS}], "output_tokens": 3}}\n')
    url = ["--base-url", "http://127.0.0.1:9"]
    commands = [
        ["profile", "-m", "m", "--endpoint-type", "chat", "--extra-inputs", json.dumps({"a": 1})[:-2] + f"{DIGITS}}}"],
        ["profile", "-m", "m", "--endpoint-type", "chat", "--input-file", str(rows)],
        ["--model", "m", "throughput", "--dataset", str(rows), *url],
        ["serving", "--model", "m", "--dataset-name", "custom", "--dataset-path", str(rows), *url],
        ["serving", "--model", "m", "--dataset-name", "random", "--extra-body", f'{{"a": {DIGITS}}}', *url],
    ]
    with PacedServer() as server:
        for words in commands:
            words = [word.replace("http://127.0.0.1:9", server.url) for word in words]
            words += ["--url", server.url] if words[0] == "profile" else []
            assert main(words) == 2
            said = capsys.readouterr().err
            assert "set_int_max_str_digits" not in said
            assert len(said) < 400


@pytest.mark.parametrize("name", ["mistyped", "tests/mistyped", "/mistyped", "a/b/c"])
def test_a_tokenizer_that_is_not_there_is_an_error_in_both_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tests").mkdir()
    lengths = ["--input-mean", "5", "--input-stdev", "0", "--output-mean", "5", "--output-stdev", "0"]
    made = ["prepare-dataset", "--tokenizer", name, "token-norm-dist", "--num-requests", "3", *lengths]
    assert main(made) == 2
    assert f"--tokenizer must be a directory that holds tokenizer.json, got {name}" in capsys.readouterr().err
    with PacedServer() as server:
        profile = ["profile", "-m", "m", "--endpoint-type", "chat", "--url", server.url, "--request-count", "2"]
        assert main([*profile, "--tokenizer", name]) == 2
        assert f"--tokenizer must be a directory that holds tokenizer.json, got {name}" in capsys.readouterr().err
        assert main([*profile, "--tokenizer", "org/not-cached", "--osl", "2"]) == 0
    assert "nothing is downloaded: prompts are made without it" in " ".join(capsys.readouterr().err.split())
