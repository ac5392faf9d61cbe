from __future__ import annotations

from pathlib import Path

from tokenclock.readers.benchmark_serving import recognises, result_of

PATH = Path("concurrency_16.json")
# the keys of TensorRT-LLM's client, the colon included
FILE = {
    "date": "20250304-050607", "backend": "openai", "model_id": "m", "num_prompts": 80, "duration": 10.0,
    "completed": 78, "total_input_tokens": 39936, "total_output_tokens": 9984, "request_throughput": 7.8,
    "request_goodput:": 5.0, "output_throughput": 998.4, "total_token_throughput": 4992.0, "user_throughput": 70.0,
    "mean_ttft_ms": 50.5, "median_ttft_ms": 49.0, "std_ttft_ms": 3.0, "p99_ttft_ms": 80.0, "p99.9_ttft_ms": 90.0,
    "mean_tpot_ms": 9.5, "mean_itl_ms": 0.0, "median_itl_ms": 0.0, "p99_itl_ms": 0.0,
    "request_rate": "inf", "burstiness": 1.0, "max_concurrency": 16,
}  # fmt: skip


def test_values_come_in_ns_and_per_second() -> None:
    found = result_of(FILE, PATH)
    assert found.values == {
        "ttft.mean": 50.5e6, "ttft.p50": 49e6, "ttft.p99": 80e6, "ttft.p99.9": 90e6, "tpot.mean": 9.5e6,
        "request_throughput": 7.8, "output_throughput": 998.4, "total_throughput": 4992.0, "user_throughput": 70.0,
        "goodput": 5.0,
    }  # fmt: skip
    assert (found.tool, found.model, found.created) == ("benchmark_serving", "m", "20250304-050607")
    assert found.asked == {"concurrency": 16, "request_rate": "inf", "num_prompts": 80, "isl": 512.0, "osl": 128.0}
    assert (found.n_requests, found.n_failed) == (78, 2)


def test_a_metric_of_zeros_was_not_measured() -> None:
    assert not [name for name in result_of(FILE, PATH).values if name.startswith("itl")]


def test_vllm_says_itself_how_many_failed() -> None:
    found = result_of({**FILE, "endpoint_type": "openai", "failed": 1, "label": "new"}, PATH)
    assert (found.tool, found.n_failed, found.label) == ("vllm", 1, "new")


def test_sglang_has_another_name_for_e2el() -> None:
    found = result_of({**FILE, "mean_e2e_latency_ms": 700.0, "median_e2e_latency_ms": 690.0}, PATH)
    assert (found.values["e2el.mean"], found.values["e2el.p50"]) == (700e6, 690e6)


def test_what_is_no_such_file_is_not_taken_for_one() -> None:
    assert recognises(FILE)
    assert not recognises({"completed": 3})


def test_nothing_is_guessed_where_keys_are_absent() -> None:
    found = result_of({"completed": 3, "request_throughput": None, "duration": 1}, PATH)
    assert found.values == {}
    assert (found.asked, found.n_failed, found.model) == ({}, None, "")
