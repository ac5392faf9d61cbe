from __future__ import annotations

from tokenclock.report.benchmark_line import render

VALUES = {"model_name": "dec", "build_time(s)": None, "latency(ms)": 1.5, "gpu_peak_mem(gb)": "n/a"}


def test_keys_and_values_alternate() -> None:
    line = render(VALUES, {"status": "measured", "reason": None})
    assert line == "[BENCHMARK] model_name dec build_time(s) None latency(ms) 1.5 gpu_peak_mem(gb) n/a"


def test_a_case_that_was_not_measured_says_why_without_blanks() -> None:
    line = render({"model_name": "dec", "latency(ms)": "n/a"}, {"status": "failed", "reason": "out of\nmemory"})
    words = line.split()
    assert words[0] == "[BENCHMARK]"
    assert dict(zip(words[1::2], words[2::2], strict=True)) == {
        "model_name": "dec", "latency(ms)": "n/a", "status": "failed", "reason": "out_of_memory"
    }  # fmt: skip


def test_no_value_is_empty() -> None:
    assert render({"quantization": ""}, {"status": "measured"}) == "[BENCHMARK] quantization None"


def test_a_long_reason_is_cut() -> None:
    line = render({"model_name": "dec"}, {"status": "failed", "reason": "x" * 2000})
    assert line == f"[BENCHMARK] model_name dec status failed reason {'x' * 300}..."
