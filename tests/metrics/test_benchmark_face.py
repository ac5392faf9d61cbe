from __future__ import annotations

from typing import Any

import pytest
from tests.offline.rows import rows

from tokenclock.metrics.benchmark_face import CaseFacts, benchmark_keys, benchmark_values
from tokenclock.metrics.offline_case import case_numbers

MS = 1_000_000
MODEL = {
    "num_heads": 32, "num_kv_heads": 8, "num_layers": 16, "hidden_size": 4096, "vocab_size": 32000,
    "precision": "float16", "quantization": None,
}  # fmt: skip


def facts(family: str = "dec", **values: Any) -> CaseFacts:
    given = {"batch_size": 4, "input_len": 60, "output_len": 20, "gpu_weights_percent": 1.0, **values}
    return CaseFacts(family=family, world_size=2, model=MODEL, **given)


def test_keys_and_their_order() -> None:
    common = [
        "model_name", "world_size", "num_heads", "num_kv_heads", "num_layers", "hidden_size", "vocab_size", "precision",
        "batch_size", "gpu_weights_percent", "input_length", "output_length", "gpu_peak_mem(gb)", "build_time(s)",
        "tokens_per_sec", "percentile95(ms)", "percentile99(ms)", "latency(ms)", "compute_cap", "quantization",
    ]  # fmt: skip
    own = ["generation_time(ms)", "total_generated_tokens", "generation_tokens_per_second"]
    assert list(benchmark_keys("dec")) == common + own
    assert list(benchmark_keys("enc")) == list(benchmark_keys("enc-dec")) == common
    assert list(benchmark_values(facts(), None)) == common + own


def test_percentiles_are_the_originals_order_statistics() -> None:
    """Of 40 values, P95 is the one at index 38 and P99 at 39; of 10 both are the maximum."""
    numbers = case_numbers(rows([(0, (k + 1) * MS, []) for k in range(40)]))
    values = benchmark_values(facts(), numbers)
    assert (values["percentile95(ms)"], values["percentile99(ms)"]) == (39.0, 40.0)
    numbers = case_numbers(rows([(0, (k + 1) * MS, []) for k in range(10)]))
    values = benchmark_values(facts(), numbers)
    assert values["percentile95(ms)"] == values["percentile99(ms)"] == 10.0


def test_rounding_and_rates_follow_the_original() -> None:
    numbers = case_numbers(
        rows([(0, 1_234_567, [400_000, 800_000, 1_200_000])], batch_size=4, osl_requested=20, osl_min=20, osl_max=20,
             n_tokens=80),
        num_beams=2,
    )  # fmt: skip
    values = benchmark_values(facts(), numbers)
    assert values["latency(ms)"] == 1.235
    assert values["tokens_per_sec"] == round(80 / 0.001235, 2)  # by the rounded latency, beams not counted
    assert values["generation_time(ms)"] == 0.8
    assert values["total_generated_tokens"] == 2 * 4 * 2  # steps after the first, rows, beams
    assert values["generation_tokens_per_second"] == 20_000.0


def test_throughput_counts_what_was_generated() -> None:
    numbers = case_numbers(rows([(0, 10 * MS, [])], batch_size=4, osl_requested=20, osl_min=5, osl_max=20, n_tokens=50))
    assert benchmark_values(facts(), numbers)["tokens_per_sec"] == 5000.0


def test_throughput_takes_the_requested_length_where_none_is_told() -> None:
    numbers = case_numbers(rows([(0, 10 * MS, [])], batch_size=4, osl_requested=20))
    assert benchmark_values(facts(), numbers)["tokens_per_sec"] == 8000.0


def test_a_latency_that_rounds_to_nothing_still_has_a_rate() -> None:
    numbers = case_numbers(rows([(0, 400, [])], osl_requested=20))
    values = benchmark_values(facts(), numbers)
    assert values["latency(ms)"] == 0.0
    assert values["tokens_per_sec"] == round(80 / 4e-7, 2)


@pytest.mark.parametrize(
    ("family", "output_len", "build_time", "output_length"),
    [("dec", 20, None, 20), ("enc-dec", 20, 0, 20), ("enc", None, None, "n/a")],
)
def test_families_differ(family: str, output_len: int | None, build_time: Any, output_length: Any) -> None:
    values = benchmark_values(facts(family, output_len=output_len), case_numbers(rows([(0, MS, [])])))
    assert values["model_name"] == family
    assert values["build_time(s)"] == build_time
    assert values["output_length"] == output_length
    assert (values["tokens_per_sec"] == "n/a") == (family == "enc")


def test_missing_is_missing() -> None:
    values = benchmark_values(facts(), None)
    for key in ("latency(ms)", "tokens_per_sec", "gpu_peak_mem(gb)", "compute_cap", "generation_time(ms)"):
        assert values[key] == "n/a"
    assert values["quantization"] is None
    without_steps = benchmark_values(facts(), case_numbers(rows([(0, MS, [])])))
    assert without_steps["generation_time(ms)"] == without_steps["total_generated_tokens"] == "n/a"
    one_step = benchmark_values(facts(), case_numbers(rows([(0, MS, [5])])))
    assert (one_step["generation_time(ms)"], one_step["total_generated_tokens"]) == (0.0, 0.0)
    assert one_step["generation_tokens_per_second"] == "n/a"


def test_memory_is_gib_and_the_device_is_named() -> None:
    values = benchmark_values(facts(gpu_peak_bytes=3 << 29, compute_cap="sm90"), None)
    assert values["gpu_peak_mem(gb)"] == 1.5
    assert values["compute_cap"] == "sm90"


def test_events_of_the_device_come_first() -> None:
    numbers = case_numbers(rows([(0, 10 * MS, [])], device_ns=9 * MS))
    assert benchmark_values(facts(), numbers)["latency(ms)"] == 9.0
