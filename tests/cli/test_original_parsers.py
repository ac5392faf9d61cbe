"""What readers of the originals' files look for, typed from the published forms, in files of real runs of ours.

The patterns of the performance-test flow are in test_throughput.py, the parse of genai-perf's raw profile by the
original's rules in report/test_genai_perf_files.py.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tokenclock import PacedServer
from tokenclock.__main__ import main


@pytest.fixture(scope="module")
def server() -> Iterator[PacedServer]:
    with PacedServer(ttft_ms=4, itl_ms=1) as paced:
        yield paced


STATISTICS = ["unit", "avg", "p1", "p5", "p10", "p25", "p50", "p75", "p90", "p95", "p99", "min", "max", "std"]
UNITS = {
    "time_to_first_token": "ms", "time_to_second_token": "ms", "request_latency": "ms", "inter_token_latency": "ms",
    "output_token_throughput_per_user": "tokens/sec/user", "output_sequence_length": "tokens",
    "input_sequence_length": "tokens",
}  # fmt: skip
OF_THE_RUN = {
    "request_throughput": "requests/sec", "output_token_throughput": "tokens/sec", "request_count": "count",
    "request_goodput": "requests/sec",
}  # fmt: skip
TITLES = {
    "Time To First Token (ms)": "time_to_first_token", "Time To Second Token (ms)": "time_to_second_token",
    "Request Latency (ms)": "request_latency", "Inter Token Latency (ms)": "inter_token_latency",
    "Output Token Throughput Per User (tokens/sec/user)": "output_token_throughput_per_user",
    "Output Sequence Length (tokens)": "output_sequence_length",
    "Input Sequence Length (tokens)": "input_sequence_length",
    "Output Token Throughput (tokens/sec)": "output_token_throughput",
    "Request Throughput (per sec)": "request_throughput", "Request Goodput (per sec)": "request_goodput",
    "Request Count (count)": "request_count",
}  # fmt: skip


def test_genai_perf(server: PacedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = f"profile -m org/m -u {server.url} --endpoint-type chat --streaming --concurrency 3 --request-count 12"
    words += f" --num-prompts 12 --isl 7 --osl 6 --goodput request_latency:1000 --artifact-dir {tmp_path}"
    assert main(words.split()) == 0
    folder = tmp_path / "org_m-openai-chat-concurrency3"
    found = json.loads((folder / "profile_export_genai_perf.json").read_text())
    for tag, unit in UNITS.items():
        assert list(found[tag]) == STATISTICS
        assert found[tag]["unit"] == unit
    for tag, unit in OF_THE_RUN.items():
        assert found[tag] == {"unit": unit, "avg": found[tag]["avg"]}
    asked = found["input_config"]
    assert (asked["concurrency"], asked["endpoint_type"], asked["model"]) == (3, "chat", ["org/m"])

    with open(folder / "profile_export_genai_perf.csv", newline="") as file:
        rows = list(csv.reader(file))
    middle = rows.index([])
    header = ["Metric", "avg", "min", "max", "p99", "p95", "p90", "p75", "p50", "p25", "p10", "p5", "p1"]
    assert rows[0] == header
    assert [TITLES[row[0]] for row in rows[1:middle]] == list(UNITS)
    for title, *values in rows[1:middle]:
        exact = [found[TITLES[title]][name] for name in header[1:]]
        assert [float(value.replace(",", "")) for value in values] == pytest.approx(exact, abs=0.0051)
    assert rows[middle + 1] == ["Metric", "Value"]
    assert {TITLES[row[0]] for row in rows[middle + 2 :]} == set(OF_THE_RUN)

    lines = [line.strip("┃│|").split("│") for line in capsys.readouterr().out.splitlines() if "│" in line]
    table: dict[str, list[str]] = {}
    for first, *others in lines:
        cells = [cell.strip() for cell in others]
        if not any(cells):  # a title of two lines
            last = list(table)[-1]
            table[f"{last} {first.strip()}"] = table.pop(last)
        else:
            table[first.strip()] = cells
    assert list(table) == list(TITLES)
    shown = [float(value.replace(",", "")) for value in table["Request Latency (ms)"]]
    exact = [found["request_latency"][name] for name in ("avg", "min", "max", "p99", "p90", "p75")]
    assert shown == pytest.approx(exact, abs=0.0051)
    assert table["Request Count (count)"] == ["12.00", "N/A", "N/A", "N/A", "N/A", "N/A"]

    inputs = json.loads((folder / "inputs.json").read_text())
    assert [list(row) for row in inputs["data"]] == [["payload"]] * 12
    profile = json.loads((folder / "profile_export.json").read_text())
    assert {"experiments", "version", "service_kind", "endpoint"} <= set(profile)
    (experiment,) = profile["experiments"]
    assert set(experiment) == {"experiment", "requests", "window_boundaries"}
    for request in experiment["requests"]:
        assert {"timestamp", "request_inputs", "response_timestamps", "response_outputs"} <= set(request)
        assert request["timestamp"] < request["response_timestamps"][0]
    ends = [request["response_timestamps"][-1] for request in experiment["requests"]]
    span_s = (max(ends) - min(request["timestamp"] for request in experiment["requests"])) / 1e9
    assert found["request_throughput"]["avg"] == pytest.approx(12 / span_s, rel=1e-6)


SERVING = {
    "date": str, "backend": str, "model_id": str, "tokenizer_id": str, "num_prompts": int, "duration": float,
    "completed": int, "total_input_tokens": int, "total_output_tokens": int, "request_throughput": float,
    "request_goodput:": float, "output_throughput": float, "total_token_throughput": float, "user_throughput": float,
    "request_rate": str, "burstiness": float, "max_concurrency": int,
    **{f"{statistic}_{metric}_ms": float for metric in ("ttft", "tpot", "itl", "e2el")
       for statistic in ("mean", "median", "std", "p50", "p99", "p99.9")},
    "input_lens": list, "output_lens": list, "ttfts": list, "itls": list, "e2els": list, "generated_texts": list,
    "errors": list,
}  # fmt: skip
ROWS = {
    "Successful requests:": "completed", "Benchmark duration (s):": "duration",
    "Total input tokens:": "total_input_tokens", "Total generated tokens:": "total_output_tokens",
    "Request throughput (req/s):": "request_throughput", "Request goodput (req/s):": "request_goodput:",
    "Output token throughput (tok/s):": "output_throughput",
    "Total Token throughput (tok/s):": "total_token_throughput",
    "User throughput (tok/s):": "user_throughput",
    **{f"{name} {tag.upper()} (ms):": f"{key}_{tag}_ms" for tag in ("ttft", "tpot", "itl", "e2el")
       for name, key in (("Mean", "mean"), ("Median", "median"), ("P99", "p99"), ("P99.9", "p99.9"))},
}  # fmt: skip


def test_benchmark_serving(server: PacedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = f"serving --model org/m --base-url {server.url} --dataset-name random --random-input-len 6"
    words += " --random-output-len 5 --num-prompts 12 --max-concurrency 3 --goodput e2el:1000 --save-detailed"
    words += f" --percentile-metrics ttft,tpot,itl,e2el --metric-percentiles 50,99,99.9 --result-dir {tmp_path}"
    assert main([*words.split(), "--save-result", "--metadata", "team=a", "--disable-tqdm"]) == 0
    (path,) = tmp_path.glob("*.json")
    assert re.fullmatch(r"openai-infqps-concurrency3-m-\d{8}-\d{6}\.json", path.name)
    found = json.loads(path.read_text())
    assert {key: type(found[key]) for key in SERVING} == SERVING
    assert re.fullmatch(r"\d{8}-\d{6}", found["date"])
    assert (found["request_rate"], found["team"], found["completed"]) == ("inf", "a", 12)
    assert all(len(found[key]) == 12 for key in ("input_lens", "ttfts", "itls", "generated_texts", "errors"))
    assert found["mean_ttft_ms"] == pytest.approx(1e3 * sum(found["ttfts"]) / 12)
    pooled = [gap for gaps in found["itls"] for gap in gaps]
    assert found["mean_itl_ms"] == pytest.approx(1e3 * sum(pooled) / len(pooled))
    out = capsys.readouterr().out.splitlines()
    for label, key in ROWS.items():
        (line,) = [line for line in out if line.startswith(label)]
        assert line[:41] == label.ljust(41)
        assert float(line[41:]) == pytest.approx(found[key], abs=0.0051)
    assert out.count("=" * 50) >= 1


PERCENTILES = {"p50", "p90", "p95", "p99", "minimum", "maximum", "average"}
REPORT = {
    "engine": {"model", "model_path", "engine_dir", "version", "backend", "dtype", "kv_cache_dtype", "quantization"},
    "world_info": {"tp_size", "pp_size", "ep_size", "world_size", "max_batch_size", "max_num_tokens",
                   "scheduling_policy", "kv_cache_percentage", "issue_rate"},
    "request_info": {"num_requests", "avg_num_concurrent_requests", "avg_input_length", "avg_output_length"},
    "performance": {"total_latency_ms", "avg_request_latency_ms", "request_throughput_req_s",
                    "system_output_throughput_tok_s", "system_total_throughput_tok_s",
                    "output_throughput_per_user_tok_s", "output_throughput_per_gpu_tok_s",
                    "request_latency_percentiles_ms"},
    "streaming_metrics": {"token_output_speed_tok_s", "avg_ttft_ms", "avg_tpot_ms", "tpot_percentiles",
                          "ttft_percentiles", "gen_tps_percentiles"},
    "dataset": {"isl_stats", "osl_stats", "seq_len_stats", "num_requests", "dataset_path", "max_isl", "max_osl",
                "max_sequence_length", "avg_isl", "avg_osl", "avg_sequence_length"},
}  # fmt: skip
RECORD = {
    "id", "num_input_tokens", "error_tokens", "start_timestamp", "first_token_timestamp", "end_timestamp",
    "decode_iteration", "end_to_end_latency", "time_to_first_token", "generation_time", "num_total_output_tokens",
    "num_generated_tokens", "intertoken_latency", "generation_token_throughput", "output", "output_tokens",
}  # fmt: skip
LABELS = {
    "Number of requests:": "request_info.num_requests",
    "Number of concurrent requests:": "request_info.avg_num_concurrent_requests",
    "Average Input Length (tokens):": "request_info.avg_input_length",
    "Average Output Length (tokens):": "request_info.avg_output_length",
    "Request Throughput (req/sec):": "performance.request_throughput_req_s",
    "Total Output Throughput (tokens/sec):": "performance.system_output_throughput_tok_s",
    "Total Token Throughput (tokens/sec):": "performance.system_total_throughput_tok_s",
    "Total Latency (ms):": "performance.total_latency_ms",
    "Average request latency (ms):": "performance.avg_request_latency_ms",
    "Per User Output Throughput [w/ ctx] (tps/user):": "performance.output_throughput_per_user_tok_s",
    "Per GPU Output Throughput (tps/gpu):": "performance.output_throughput_per_gpu_tok_s",
    "Average time-to-first-token [TTFT] (ms):": "streaming_metrics.avg_ttft_ms",
    "Average time-per-output-token [TPOT] (ms):": "streaming_metrics.avg_tpot_ms",
    "Per User Output Speed (tps/user):": "streaming_metrics.token_output_speed_tok_s",
    **{f"[{short}] {name.upper():<7}:": f"{section}.{key}.{name}" for short, section, key in (
        ("TPOT", "streaming_metrics", "tpot_percentiles"), ("TTFT", "streaming_metrics", "ttft_percentiles"),
        ("GTPS", "streaming_metrics", "gen_tps_percentiles"),
        ("Latency", "performance", "request_latency_percentiles_ms")) for name in PERCENTILES},
}  # fmt: skip


def at(content: Any, place: str) -> Any:
    for key in place.split("."):
        content = content[key]
    return content


def test_trtllm_bench(server: PacedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"task_id": n, "input_ids": list(range(5, 9 + n)), "output_tokens": 3 + n % 3} for n in range(12)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = f"--model m throughput --dataset {tmp_path}/rows.jsonl --base-url {server.url} --concurrency 3 --streaming"
    words += f" --report_json {tmp_path}/report.json --request_json {tmp_path}/requests.json --disable-tqdm --tp 1"
    assert main(words.split()) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    for section, keys in REPORT.items():
        assert keys <= set(report[section]), section
    for place in (place.rpartition(".")[0] for place in LABELS.values() if place.count(".") == 2):
        assert set(at(report, place)) == PERCENTILES
    log = capsys.readouterr().out.splitlines()
    for label, place in LABELS.items():
        (line,) = [line for line in log if line.strip().startswith(label)]
        assert float(line.strip()[len(label) :]) == pytest.approx(at(report, place), abs=0.0051)
    records = json.loads((tmp_path / "requests.json").read_text())
    latencies = sorted(record["end_to_end_latency"] for record in records)
    p90 = at(report, "performance.request_latency_percentiles_ms.p90")
    assert p90 == pytest.approx(latencies[int(12 * 0.9)] / 1e6)  # the original's: element floor(n p), no interpolation
    for record, row in zip(records, rows, strict=True):
        assert set(record) >= RECORD
        assert (record["id"], record["num_input_tokens"]) == (row["task_id"], len(row["input_ids"]))
        assert record["num_generated_tokens"] == record["num_total_output_tokens"] - 1 == row["output_tokens"] - 1
        assert record["end_to_end_latency"] == record["end_timestamp"] - record["start_timestamp"]
        assert record["time_to_first_token"] == record["first_token_timestamp"] - record["start_timestamp"]
