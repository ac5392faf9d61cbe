"""Flags that make no sense together name each other, in one line and before any work; flags of no use are said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tokenclock.__main__ import main

CHAT = "profile -m a -u 127.0.0.1:9 --artifact-dir {here} --endpoint-type chat"
EMBED = CHAT.replace("chat", "embeddings")
TEXTS = "--input-file {here}/in.jsonl"
PAYLOAD = "--input-file payload:{here}/tr.jsonl"
BENCH = "--model tiny:llama throughput --dataset {here}/rows.jsonl"
SERVER = f"{BENCH} --base-url http://127.0.0.1:9"
NORM = "token-norm-dist --num-requests 2 --input-mean 5 --input-stdev 0 --output-mean 3 --output-stdev 0"
MADE = f"prepare-dataset --vocab-size 50 --stdout {NORM}"
REAL = "dataset --dataset-name {here}/rows.jsonl --dataset-prompt-key q --output-len-dist 5,1"

PAIRS = [
    (f"{CHAT} --concurrency 2 --request-rate 2", "--concurrency", "--request-rate"),
    (f"{CHAT} --concurrency 2 --fixed-schedule {PAYLOAD}", "--concurrency", "--fixed-schedule"),
    (f"{CHAT} --concurrency 2 --session-concurrency 2 --num-sessions 2", "--concurrency", "--session-concurrency"),
    (f"{CHAT} --concurrency 2 --num-sessions 2", "--concurrency", "--num-sessions"),
    (f"{CHAT} --request-rate 2 --fixed-schedule {PAYLOAD}", "--request-rate", "--fixed-schedule"),
    (f"{CHAT} --request-rate 2 --session-concurrency 2 --num-sessions 2", "--request-rate", "--session-concurrency"),
    (f"{CHAT} --session-concurrency 2 --fixed-schedule {PAYLOAD}", "--session-concurrency", "--fixed-schedule"),
    (f"{CHAT} --request-count 5 -p 100", "--request-count", "--measurement-interval"),
    (f"{CHAT} --request-count 5 --num-sessions 2", "--request-count", "--num-sessions"),
    (f"{CHAT} --request-count 5 --session-concurrency 2 {PAYLOAD}", "--request-count", "--session-concurrency"),
    (f"{CHAT} -p 100 --num-sessions 2", "--measurement-interval", "--num-sessions"),
    (f"{CHAT} -p 100 --session-concurrency 2 {PAYLOAD}", "--measurement-interval", "--session-concurrency"),
    (f"{CHAT} -p 100 {PAYLOAD}", "--measurement-interval", "--input-file payload:"),
    (f"{CHAT} --num-prefix-prompts 2 {TEXTS}", "--num-prefix-prompts", "--input-file"),
    (f"{CHAT} --num-sessions 2 {TEXTS}", "--num-sessions", "--input-file"),
    (f"{CHAT} --session-concurrency 2 {TEXTS}", "--session-concurrency", "--input-file"),
    (f"{CHAT} --fixed-schedule {TEXTS}", "--fixed-schedule", "--input-file payload:FILE"),
    (f"{CHAT} --osl 5 --extra-inputs max_tokens:9", "--output-tokens-mean", "--extra-inputs max_tokens"),
    (f"{CHAT} --extra-inputs stream:true", "--extra-inputs", "--streaming"),
    (f"{CHAT} --extra-inputs model:b", "--extra-inputs", "--model"),
    (f"{CHAT} --extra-inputs messages:b", "--extra-inputs", "--input-file"),
    (f"{CHAT} --insecure --cacert x", "--insecure", "--cacert"),
    (f"{CHAT} --cert x", "--cert", "--url must be https"),
    (f"{CHAT} --key x", "--key", "--cert"),
    (f"{CHAT} --output-tokens-stddev 3", "--output-tokens-stddev", "--output-tokens-mean"),
    (f"{CHAT} -- --request-distribution poisson", "--request-distribution", "--request-rate"),
    (f"{CHAT} -b 2", "--batch-size", "--endpoint-type"),
    (f"{EMBED} --streaming", "--streaming", "--endpoint-type embeddings"),
    (f"{EMBED} --osl 5", "--output-tokens-mean", "--endpoint-type embeddings"),
    (f"{EMBED} --num-sessions 2", "--num-sessions", "--endpoint-type embeddings"),
    (f"{EMBED} -g time_to_first_token:5", "--goodput", "--endpoint-type embeddings"),
    (CHAT.replace("chat", "generate") + " --num-sessions 2", "--num-sessions", "--endpoint-type generate"),
    (f"{CHAT} --sweep-list 1,2 --sweep-range 1:2", "--sweep-range", "--sweep-list"),
    (f"{CHAT} --sweep-list 1 --concurrency 4", "--concurrency", "--sweep-type concurrency"),
    (f"{SERVER} --runtime null", "--runtime", "--base-url"),
    (f"{SERVER} --iteration_log x", "--iteration_log", "--base-url"),
    (f"{SERVER} --beam_width 2", "--beam_width", "--base-url"),
    (f"{BENCH} --beam_width 2 --streaming", "--beam_width", "streaming"),
    (f"{BENCH} --enable_chunked_context --disable_chunked_context", "--enable_chunked", "--disable_chunked"),
    (f"{BENCH} --runtime ctranslate2 --iteration_log x", "--iteration_log", "--runtime trtllm-llm"),
    (f"{BENCH} --runtime ctranslate2 --tp 2", "--tp", "--runtime ctranslate2"),
    (f"{BENCH} --runtime ctranslate2 --ep 2", "--ep", "--runtime ctranslate2"),
    (f"{BENCH} --report_json x --request_json x", "--report_json", "--request_json"),
    (f"{BENCH} --model b", "--model", "before the command"),
    (f"{BENCH.replace('throughput', 'latency')} --streaming", "--streaming", "latency"),
    (f"{BENCH.replace('throughput', 'latency')} --max_batch_size 2", "--max_batch_size", "throughput"),
    (f"{MADE} --output x", "--stdout", "--output"),
    (f"{MADE} --manifest file", "--manifest file", "--output"),
    (f"prepare-dataset --vocab-size 50 --manifest line {NORM}", "--manifest line", "--stdout"),
    (f"prepare-dataset --vocab-size 50 --request-rate 3 {NORM}", "--request-rate", "--stdout"),
    (f"{MADE} --task-id 0 --rand-task-id 0 1", "--task-id", "--rand-task-id"),
    (f"{MADE} --lora-zipf 1 --task-id 1", "--lora-zipf", "--rand-task-id"),
    (f"{MADE} --num-prefixes 2", "--num-prefixes", "--prefix-len"),
    (f"{MADE} --prefix-zipf 2", "--prefix-zipf", "--num-prefixes"),
    (f"{MADE} --session-turn-delay-mean 3", "--session-turn-delay-mean", "--session-turns-mean"),
    (f"{MADE} --burstiness 3", "--burstiness", "--request-rate"),
    (f"{MADE} --max-input-len 3 --num-prefixes 1 --prefix-len 3", "--prefix-len", "--max-input-len"),
    (f"{MADE} --media-dir x", "--media-dir", "token-norm-dist"),
    (f"{MADE} --compat --num-prefixes 1 --prefix-len 3", "--compat", "--num-prefixes"),
    (f"{MADE} --compat --session-turns-mean 3", "--compat", "--session-turns-mean"),
    (f"{MADE} --compat --rand-task-id 0 3 --lora-zipf 1", "--compat", "--lora-zipf"),
    (f"{MADE} --compat".replace("norm", "lognorm"), "--compat", "token-lognorm-dist"),
    (f"prepare-dataset --input-mean 5 {NORM}", "--input-mean", "must follow its distribution"),
    *((f"prepare-dataset --stdout {flag} {value} {REAL}", flag, "dataset") for flag, value in (
        ("--vocab-size", 50), ("--eos-id", 3), ("--num-prefixes", 2), ("--prefix-len", 2), ("--prefix-zipf", 2),
        ("--session-turns-mean", 2), ("--session-turns-stddev", 2), ("--session-turn-delay-mean", 2),
        ("--session-turn-delay-stddev", 2), ("--request-rate", 2), ("--burstiness", 2))),
    (f"prepare-dataset {REAL} --dataset-prompt x", "--dataset-prompt-key", "--dataset-prompt"),
]  # fmt: skip


@pytest.fixture
def here(tmp_path: Path) -> str:
    (tmp_path / "rows.jsonl").write_text(json.dumps({"task_id": 0, "input_ids": [5], "output_tokens": 3}))
    (tmp_path / "in.jsonl").write_text(json.dumps({"text": "a b"}))
    (tmp_path / "tr.jsonl").write_text(json.dumps({"timestamp": 1, "input_length": 5, "output_length": 3}))
    return str(tmp_path)


@pytest.mark.parametrize(("words", "one", "other"), PAIRS)
def test_each_names_the_other(words: str, one: str, other: str, here: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(words.format(here=here).split())
    out, err = capsys.readouterr()
    assert (code, out) == (2, ""), err
    assert len(err.splitlines()) == 1
    assert one in err
    assert other in err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (f"{SERVER} --device cpu", "--device changes nothing with --base-url"),
        (f"{SERVER} --strict-options", "--strict-options changes nothing with --base-url"),
        (f"{SERVER} --max_batch_size 3", "--max_batch_size changes nothing with --base-url"),
        (f"{BENCH} --runtime null --request-timeout 5", "--request-timeout without --base-url changes nothing"),
        (f"{BENCH} --runtime null --strict-options", "--strict-options without --extra_llm_api_options"),
        (f"{BENCH} --runtime null --header a=b", "--header without --base-url changes nothing"),
        (f"{MADE} --trust-remote-code", "--trust-remote-code changes nothing without --tokenizer"),
        (f"{MADE} --tokenizer-mode slow", "--tokenizer-mode changes nothing without --tokenizer"),
        (f"{MADE} --eos-id 50", "--eos-id 50 changes nothing: it is beyond --vocab-size 50"),
    ],
)
def test_flags_of_no_use_are_said(words: str, line: str, here: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(words.format(here=here).split())
    assert line in capsys.readouterr().err


def test_a_server_that_is_not_there_is_said_in_the_words_of_throughput(
    here: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(SERVER.format(here=here).split()) == 1
    assert capsys.readouterr().err.endswith("(Connection refused); start it, or check --base-url\n")
