"""`tokenclock throughput` and `latency` on a tiny model: the flow's command, its patterns, files, exit codes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tokenclock.__main__ import main
from tokenclock.report import columns_file
from tokenclock.result import Result

pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed (pip install 'tokenclock[offline]')")

Run = Callable[..., tuple[int, str, str]]

# What the performance-test flow looks for in the log: digits and dots only, the last group of each is the value.
PATTERNS = {
    "INFERENCE_TIME": r"Total Latency \(ms\):\s+([\d\.]+)",
    "SEQ_THROUGHPUT": r"Request Throughput \(req/sec\):\s+([\d\.]+)",
}
PER_GPU = {"TOKEN_THROUGHPUT": r"GPU Output Throughput \(tps/gpu\):\s+([\d\.]+)"}  # a CPU has no such value
STREAMING_PATTERNS = {
    "FIRST_TOKEN_TIME": r"Average time-to-first-token \[TTFT\] \(ms\):\s+([\d\.]+)",
    "OUTPUT_TOKEN_TIME": r"Average time-per-output-token \[TPOT\] \(ms\):\s+([\d\.]+)",
}
N_ROWS = 24


def write_rows(path: Path, n: int = N_ROWS, *, osl: int = 12, **more: Any) -> Path:
    draws = np.random.default_rng(3)
    rows = [
        {"task_id": i, "input_ids": draws.integers(3, 2048, 20 + i).tolist(), "output_tokens": osl + i % 3, **more}
        for i in range(n)
    ]
    path.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows))
    return path


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "synthetic_data.json")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: str) -> tuple[int, str, str]:
        code = main([*words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def found(patterns: dict[str, str], log: str) -> dict[str, float]:
    """As the flow searches: line by line, the first group of every line that matches, the largest of them."""
    values = {}
    for name, pattern in patterns.items():
        hits = [float(hit.group(1)) for line in log.splitlines() if (hit := re.search(pattern, line))]
        if hits:
            values[name] = max(hits)
    return values


def test_the_command_of_the_performance_test_flow(run: Run, dataset: Path, tmp_path: Path) -> None:
    """Word for word but for the program's name, the backend, and the model that is made on the spot."""
    report = tmp_path / "report.json"
    options = tmp_path / "extra-llm-api-config.yml"
    options.write_text("print_iter_log: true\n")
    code, log, _ = run(
        "--model=llama_hf",
        "--model_path=tiny:llama",
        "throughput",
        f"--dataset={dataset}",
        "--max_batch_size=512",
        "--max_num_tokens=2048",
        f"--report_json={report}",
        "--runtime=ctranslate2",
        f"--num_requests={N_ROWS}",
        "--concurrency=2",
        "--streaming",
        "--disable-tqdm",
    )
    assert code == 0
    values = found(PATTERNS | STREAMING_PATTERNS, log)
    assert values.keys() == PATTERNS.keys() | STREAMING_PATTERNS.keys()
    content = json.loads(report.read_text())
    performance, streaming = content["performance"], content["streaming_metrics"]
    assert values["INFERENCE_TIME"] == pytest.approx(performance["total_latency_ms"], abs=1e-4)
    assert found(PER_GPU, log) == {}
    assert "TP Size:" not in log
    assert "PP Size:" not in log
    assert values["SEQ_THROUGHPUT"] == pytest.approx(performance["request_throughput_req_s"], abs=1e-4)
    assert values["FIRST_TOKEN_TIME"] == pytest.approx(streaming["avg_ttft_ms"], abs=1e-4)
    assert values["OUTPUT_TOKEN_TIME"] == pytest.approx(streaming["avg_tpot_ms"], abs=1e-4)
    assert content["request_info"]["num_requests"] == N_ROWS
    assert content["request_info"]["avg_output_length"] == 13.0
    assert content["dataset"]["max_isl"] == 20 + N_ROWS - 1
    assert content["engine"]["model"] == "llama_hf"
    assert content["engine"]["version"] is None
    left_out = content["tokenclock"]["faces"]["trtllm_bench"]["left_out"]
    assert "ctranslate2" in left_out["engine.version"]
    assert left_out["world_info.kv_cache_percentage"]
    for missing in ("world_info.tp_size", "world_info.pp_size", "performance.output_throughput_per_gpu_tok_s"):
        assert left_out[missing] == "the model ran on the CPU"
    assert "KV Memory Percentage" not in log
    assert "TensorRT LLM Version" not in log
    assert "Token stamps:                            user space" in log


def test_result_and_columns_can_be_read_again(run: Run, dataset: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    code, _, _ = run(
        *("--model", "tiny:llama", "throughput", "--dataset", str(dataset), "--report_json", str(report)),
        *("--concurrency", "3", "--streaming", "--disable-tqdm"),
    )
    assert code == 0
    result = Result.load(report)
    records = columns_file.read(columns_file.columns_path(report))
    assert result.plan["command"] == "throughput"
    assert result.requests["ok"] == records.n_requests == N_ROWS
    assert records.columns["osl"].tolist() == [12 + i % 3 for i in range(N_ROWS)]
    assert records.n_events == int(records.columns["osl"].sum())
    e2el = np.sort((records.columns["t_last_token_ns"] - records.columns["t_sent_ns"]) / 1e6)
    percentiles = json.loads(report.read_text())["performance"]["request_latency_percentiles_ms"]
    assert list(percentiles) == ["p50", "p90", "p95", "p99", "minimum", "maximum", "average"]
    for name, p in (("p50", 0.50), ("p90", 0.90), ("p95", 0.95), ("p99", 0.99)):
        assert percentiles[name] == pytest.approx(e2el[int(N_ROWS * p)]), "0-based floor(n * p)"
    assert result.quality.check("stamps").details["transport"] == "in process"  # type: ignore[union-attr]


def test_without_streaming_there_is_no_first_token(run: Run, dataset: Path, tmp_path: Path) -> None:
    report, requests = tmp_path / "report.json", tmp_path / "requests.json"
    code, log, _ = run(
        *("-m", "tiny:llama", "throughput", "--dataset", str(dataset), "--report_json", str(report)),
        *("--request_json", str(requests), "--disable-tqdm"),
    )
    assert code == 0
    assert found(STREAMING_PATTERNS, log) == {}
    assert found(PATTERNS, log).keys() == PATTERNS.keys()
    assert "streaming_metrics" not in json.loads(report.read_text())
    rows = json.loads(requests.read_text())
    assert [row["id"] for row in rows] == list(range(N_ROWS))
    assert all(row["first_token_timestamp"] is None and row["time_to_first_token"] is None for row in rows)
    assert all(row["end_to_end_latency"] == row["end_timestamp"] - row["start_timestamp"] for row in rows)


def test_what_the_tool_itself_costs(run: Run, dataset: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    words = ("--model", "any", "throughput", "--dataset", str(dataset), "--report_json", str(report), "--streaming")
    code, _, err = run(*words, "--runtime", "null", "--concurrency", "4", "--disable-tqdm")
    assert code == 0
    assert "these numbers are what tokenclock itself costs" in err
    content = json.loads(report.read_text())
    assert content["request_info"]["avg_output_length"] == 13.0
    assert content["tokenclock"]["tokens"]["osl_source"] == "runtime"


def test_latency_runs_one_request_at_a_time(run: Run, dataset: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    code, log, _ = run(
        *("--model", "tiny:llama", "latency", "--dataset", str(dataset), "--num_requests", "5"),
        *("--report_json", str(report), "--disable-tqdm"),
    )
    assert code == 0
    content = json.loads(report.read_text())
    assert content["request_info"]["num_requests"] == 5
    assert content["request_info"]["avg_num_concurrent_requests"] <= 1
    assert content["tokenclock"]["client"]["max_in_flight"] == 1
    assert found(STREAMING_PATTERNS, log).keys() == STREAMING_PATTERNS.keys()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"task_id": 1, "input_ids": [5, 6]}', "2: expected the key output_tokens"),
        ('{"task_id": 1, "input_ids": [5, 2048], "output_tokens": 4}', "2: token ids must be below 2048"),
        ('{"task_id": 1, "prompt": "hello", "output_tokens": 4}', "2: prompt is text, and there is no tokenizer"),
        (
            '{"task_id": 1, "input_ids": [5], "output_tokens": 4, "lora_request": {"lora_name": "a", "lora_int_id": 1'
            "}}",
            "2: lora_request needs --runtime trtllm-llm, in a release with LoRARequest, or a server",
        ),
        (
            '{"task_id": 1, "prompt": "x", "media_paths": ["a.png"], "output_tokens": 4}',
            "2: prompt is text, and there is no tokenizer",
        ),
        ('{"task_id": 0, "input_ids": [5], "output_tokens": 4}', "2: task_id must be each row's own, got 0"),
    ],
)
def test_bad_lines_end_with_their_place(run: Run, tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"task_id": 0, "input_ids": [5, 6], "output_tokens": 4}\n' + line + "\n")
    code, out, err = run("--model", "tiny:llama", "throughput", "--dataset", str(path), "--disable-tqdm")
    assert (code, out) == (2, "")
    assert f"{path}:{said}" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("throughput",), 2, "--model is needed"),
        (("--model", "m", "throughput"), 2, "--dataset is needed"),
        (("--model", "m", "throughput", "--dataset", "D"), 2, "--model m is a name and no directory"),
        (("--model", "m", "throughput", "--dataset", "D", "--backend", "vllm"), 2, "--backend must be"),
        (("--model", "tiny:llama", "throughput", "--dataset", "D", "--medusa_choices=x"), 2, "--medusa_choices is"),
        (("--model", "tiny:llama", "latency", "--dataset", "D", "--streaming"), 2, "latency always streams"),
        (("--model", "tiny:llama", "throughput", "--dataset", "nowhere"), 2, "nothing there"),
        (("--model", "tiny:llama", "throughput", "--dataset", "D", "--base-url", "ftp://x"), 2, "--base-url must be"),
        (
            ("--model", "tiny:llama", "throughput", "--dataset", "D", "--runtime", "transformers"),
            2,
            "takes no single requests",
        ),
        (
            ("--model", "tiny:llama", "throughput", "--dataset", "D", "--beam_width", "2", "--streaming"),
            2,
            "--beam_width must be 1 with streaming",
        ),
    ],
)
def test_wrong_words(run: Run, dataset: Path, words: tuple[str, ...], code: int, said: str) -> None:
    found_code, out, err = run(*(str(dataset) if word == "D" else word for word in words))
    assert (found_code, out) == (code, "")
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_row_beyond_the_limit_is_named(run: Run, dataset: Path) -> None:
    """Row i has 20 + i and 12 + i % 3 tokens: 32, 34, 36, 35 ..."""
    words = ("--model", "tiny:llama", "throughput", "--dataset", str(dataset), "--max_seq_len", "35")
    code, _, err = run(*words)
    assert code == 2
    assert f"{dataset}:3: prompt and answer must have at most 35 tokens together" in err
    assert "got 22 + 14" in err


def test_a_backend_that_is_not_installed_names_the_runtime(run: Run, dataset: Path) -> None:
    for backend, runtime in (("pytorch", "trtllm-llm"), ("tensorrt", "trtllm-engine")):
        code, _, err = run("--model", "m", "throughput", "--dataset", str(dataset), "--backend", backend)
        assert code == 1
        assert f"--backend {backend} is --runtime {runtime}" in err


def test_flags_without_use_are_said(run: Run, dataset: Path) -> None:
    code, _, err = run(
        *("--model", "tiny:llama", "--workspace", "w", "throughput", "--dataset", str(dataset), "--num_requests", "3"),
        *("--max_num_tokens", "64", "--target_input_len", "5", "--concurrency", "2", "--disable-tqdm"),
    )
    assert code == 0
    for flag in ("--workspace", "--max_num_tokens", "--target_input_len"):
        assert re.search(rf"{flag} changes nothing", err), flag


def test_an_end_token_ends_answers(run: Run, dataset: Path, tmp_path: Path) -> None:
    """The tiny model's first answers are known to hold a token again and again: name it as the end."""
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    words = ("--model", "tiny:llama", "throughput", "--dataset", str(dataset), "--disable-tqdm", "--request_json")
    import queue

    from tokenclock.parallel import OneProcess
    from tokenclock.runtime.find import find_in_flight
    from tokenclock.runtime.in_flight import InFlightOptions, InFlightRequest, Outcome, Sampling
    from tokenclock.runtime.options import RuntimeOptions

    target = find_in_flight(
        "tiny:llama", runtime=None, options=RuntimeOptions(), sampling=Sampling(), asked=InFlightOptions(),
        world=OneProcess(),
    )  # fmt: skip
    row = json.loads(dataset.read_text().splitlines()[0])
    answers: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    target.submit(InFlightRequest(row["input_ids"], 12), None, answers.put)
    ids = answers.get(timeout=30).output_ids
    target.close()
    assert ids is not None
    code, _, _ = run(*words, str(first), "--num_requests", "1")
    assert code == 0
    code, _, _ = run(*words, str(second), "--num_requests", "1", "--eos_id", str(ids[4]))
    assert code == 0
    lengths = [json.loads(path.read_text())[0]["output_tokens"] for path in (first, second)]
    assert lengths == [12, ids.index(ids[4]) + 1]


def write_tokenizer(folder: Path) -> Path:
    """A vocabulary within the tiny model's; every text is encoded with a begin token."""
    tokenizers = pytest.importorskip("tokenizers", reason="needs tokenizers (pip install 'tokenclock[serving]')")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    words = ["<unk>", "<s>", "</s>", *(f"w{number}" for number in range(3, 2048))]
    tokenizer.model = tokenizers.models.WordLevel({word: number for number, word in enumerate(words)}, "<unk>")
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def test_text_is_encoded_and_answers_are_decoded(run: Run, tmp_path: Path) -> None:
    path, answers, requests = tmp_path / "rows.jsonl", tmp_path / "answers.json", tmp_path / "requests.json"
    rows = [
        {"task_id": 3, "prompt": "w9 w8 w7", "output_tokens": 5},
        {"task_id": 1, "input_ids": [1, 9, 8, 7], "output_tokens": 5},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("--model", "tiny:llama", "throughput", "--dataset", str(path), "--disable-tqdm", "--concurrency", "1")
    code, _, err = run(*words, "--output_json", str(answers))
    assert code == 2
    assert ":1: prompt is text, and there is no tokenizer" in err or "--output_json needs a tokenizer" in err
    tokenizer = str(write_tokenizer(tmp_path / "tokenizer"))
    flags = ("--tokenizer", tokenizer, "--output_json", str(answers), "--request_json", str(requests))
    code, log, _ = run(*words, *flags)
    assert code == 0
    assert "Average Input Length (tokens):  4.0000" in log
    texts = json.loads(answers.read_text())
    assert list(texts) == ["1", "3"], "sorted by id"
    assert texts["1"] == texts["3"], "the same prompt, as ids and as text"
    assert len(texts["1"].split()) == 5
    assert [row["output"] for row in json.loads(requests.read_text())] == [texts["3"], texts["1"]]


def test_files_that_cannot_be_written_are_said_first(run: Run, dataset: Path, tmp_path: Path) -> None:
    words = ("--model", "tiny:llama", "throughput", "--dataset", str(dataset))
    for flags, said in (
        (("--report_json", str(tmp_path)), "--report_json must name a file, got the directory"),
        (("--report_json", str(dataset)), "--report_json must be another file than --dataset"),
        (("--report_json", "/dev/null/x"), "--report_json must be a file that can be written"),
        (("--report_json", "a.json", "--request_json", "a.json"), "must be files of their own"),
    ):
        code, out, err = run(*words, *flags)
        assert (code, out) == (2, "")
        assert said in err
    assert dataset.read_text()


def test_an_options_file_for_another_runtime_is_said(run: Run, dataset: Path, tmp_path: Path) -> None:
    flags = ["--model", "tiny:llama", "throughput", "--dataset", str(dataset), "--extra_llm_api_options"]
    code, _, err = run(*flags, str(tmp_path / "no.yml"))
    assert code == 2
    assert err.startswith("tokenclock throughput: --extra_llm_api_options must be a YAML file, got ")
    (tmp_path / "o.yml").write_text("a: 1\n")
    code, _, err = run(*flags, str(tmp_path / "o.yml"))
    assert code == 0
    assert "--extra_llm_api_options changes nothing: the runtime ctranslate2 does not read it" in err
