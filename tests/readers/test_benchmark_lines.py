from __future__ import annotations

from pathlib import Path

from tokenclock.readers.benchmark_lines import is_csv, results_of_csv, results_of_log

PATH = Path("bench.log")
DEC = (
    "[BENCHMARK] model_name llama_7b world_size 2 num_heads 32 num_kv_heads 32 num_layers 32 hidden_size 4096 "
    "vocab_size 32000 precision float16 batch_size 8 gpu_weights_percent 1.0 input_length 128 output_length 20 "
    "gpu_peak_mem(gb) 13.2 build_time(s) None tokens_per_sec 1234.5 percentile95(ms) 130.1 percentile99(ms) 131.5 "
    "latency(ms) 129.6 compute_cap sm90 quantization None generation_time(ms) 110.0 total_generated_tokens 152.0 "
    "generation_tokens_per_second 1381.8"
)


def test_a_line_in_a_log() -> None:
    log = ["Allocated 12.00 MiB for execution context memory.", f"[2025] [I] {DEC}", "[BENCHMARK]", ""]
    (found,) = results_of_log(log, PATH)
    assert found.values == {
        "latency.mean": 129.6e6, "latency.p95": 130.1e6, "latency.p99": 131.5e6, "generation.mean": 110e6,
        "output_throughput": 1234.5, "decode_throughput": 1381.8,
    }  # fmt: skip
    assert found.asked == {
        "batch_size": 8, "isl": 128, "osl": 20, "world_size": 2, "precision": "float16", "gpu_weights_percent": "1.0",
    }  # fmt: skip
    assert (found.model, found.tool, found.percentile_rule) == ("llama_7b", "benchmark", "floor")


def test_an_encoder_has_no_output() -> None:
    (found,) = results_of_log(
        ["[BENCHMARK] model_name bert batch_size 1 output_length n/a tokens_per_sec n/a latency(ms) 3.5"], PATH
    )
    assert found.values == {"latency.mean": 3.5e6}
    assert found.asked == {"batch_size": 1}


def test_a_case_that_was_not_measured_is_no_result() -> None:
    line = "[BENCHMARK] model_name bert batch_size 1 latency(ms) n/a status skipped reason too_long"
    assert results_of_log([line], PATH) == []


def test_the_header_of_a_csv_may_come_again() -> None:
    head = "model_name,batch_size,input_length,output_length,latency(ms),tokens_per_sec"
    rows = [head, "m,1,60,20,10.0,2000", head, "m,8,60,20,20.0,8000", "m,16,60"]
    assert is_csv(head)
    found = results_of_csv(rows, PATH)
    assert [(case.asked["batch_size"], case.values["latency.mean"]) for case in found] == [(1, 10e6), (8, 20e6)]
