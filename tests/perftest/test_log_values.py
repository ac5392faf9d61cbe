"""Values in logs of external tools: every form of a number, what is missing by name, and no text that breaks it."""

from __future__ import annotations

import math
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.perftest.case_makers import GOLDEN

from tokenclock.perftest.log_values import LABELS, read_values
from tokenclock.perftest.metrics import METRICS

BENCH = ("INFERENCE_TIME", "TOKEN_THROUGHPUT", "SEQ_THROUGHPUT", "FIRST_TOKEN_TIME", "OUTPUT_TOKEN_TIME")


def test_a_whole_log() -> None:
    log = read_values(GOLDEN.read_text().splitlines(), "throughput", BENCH)
    assert log.missing == {}
    assert log.values["INFERENCE_TIME"] == 22560.25
    assert log.values["FIRST_TOKEN_TIME"] == 1044.5


@pytest.mark.parametrize(
    ("text", "value"), [("1.2E+05", 120000.0), ("3e-2", 0.03), ("1,234.5", 1234.5), ("7", 7.0), (".5", 0.5)]
)
def test_every_form_of_a_number(text: str, value: float) -> None:
    assert read_values([f"Total Latency (ms):   {text}\n"], "throughput", ["INFERENCE_TIME"]).values == {
        "INFERENCE_TIME": value
    }


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "NaN", "1.2.3", "12ms", "", "1e999"])
def test_what_is_no_number_is_named(text: str) -> None:
    log = read_values([f"Total Latency (ms):   {text}\n"], "throughput", ["INFERENCE_TIME"])
    assert log.values == {}
    assert "Total Latency (ms):" in log.missing["INFERENCE_TIME"]
    assert (text or "empty") in log.missing["INFERENCE_TIME"]


def test_a_missing_line_is_named() -> None:
    log = read_values(["nothing"], "throughput", ["SEQ_THROUGHPUT", "KV_CACHE_SIZE"])
    assert log.missing == {
        "SEQ_THROUGHPUT": "the log lacks the line 'Request Throughput (req/sec):'",
        "KV_CACHE_SIZE": "the log has no line that tells KV_CACHE_SIZE",
    }


def test_the_last_run_counts_and_the_largest_cache() -> None:
    lines = ["Total Latency (ms): 9", "Total Latency (ms): 5", "Total Latency (ms): nan"]
    assert read_values(lines[:2], "throughput", ["INFERENCE_TIME"]).values == {"INFERENCE_TIME": 5.0}
    assert read_values(lines, "throughput", ["INFERENCE_TIME"]).values == {}
    sizes = [
        "Allocated 12.5 GiB for max tokens in paged KV cache (1).",
        "Final KV cache size after resize: 3.5 GiB",
    ]
    assert read_values(sizes, "throughput", ["KV_CACHE_SIZE"]).values == {"KV_CACHE_SIZE": 12.5}


def test_a_label_within_another_is_not_taken() -> None:
    lines = ["XMean TTFT (ms): 1", "Mean TTFT (ms): 2"]
    assert read_values(lines[:1], "serving", ["FIRST_TOKEN_TIME"]).values == {}
    assert read_values(lines, "serving", ["FIRST_TOKEN_TIME"]).values == {"FIRST_TOKEN_TIME": 2.0}


def test_benchmark_lines() -> None:
    line = "[BENCHMARK] batch_size 8 tokens_per_sec 100.5 percentile95(ms) 9.0 latency(ms) 8.25 gpu_peak_mem(gb) n/a"
    names = ["INFERENCE_TIME", "TOKEN_THROUGHPUT", "INFERENCE_PEAK_GPU_MEMORY"]
    log = read_values([line], "benchmark", names)
    assert log.values == {"INFERENCE_TIME": 8.25, "TOKEN_THROUGHPUT": 100.5}
    assert log.missing == {
        "INFERENCE_PEAK_GPU_MEMORY": "gpu_peak_mem(gb) of the [BENCHMARK] line is n/a, which is no number"
    }


def test_the_engine_s_build() -> None:
    assert read_values(["x Engine generation completed in 3.5E+01 seconds"], "build", ["BUILD_TIME"]).values == {
        "BUILD_TIME": 35.0
    }


_PIECES = st.sampled_from(
    [*(label for labels in LABELS.values() for label in labels.values()), "[BENCHMARK] ", "latency(ms) ", "Allocated "]
)
_TEXT = st.text(alphabet=string.printable + "\u0663\u2028\x00", max_size=40)


@given(
    lines=st.lists(st.tuples(_TEXT, _PIECES, _TEXT).map("".join), max_size=8),
    kind=st.sampled_from(["throughput", "serving", "benchmark", "build"]),
)
def test_any_text_gives_finite_values_or_their_names(lines: list[str], kind: str) -> None:
    log = read_values(lines, kind, list(METRICS))
    assert all(math.isfinite(value) for value in log.values.values())
    assert log.values.keys() | log.missing.keys() == METRICS.keys()
    assert not log.values.keys() & log.missing.keys()


@given(value=st.floats(min_value=0, max_value=1e12), form=st.sampled_from(["{:.4f}", "{:.4e}", "{:,.4f}", "{!r}"]))
def test_what_is_printed_is_read_back(value: float, form: str) -> None:
    text = form.format(value)
    log = read_values([f"[I] Mean ITL (ms):      {text}   "], "serving", ["INTER_TOKEN_TIME"])
    assert log.values["INTER_TOKEN_TIME"] == float(text.replace(",", ""))
