"""The table of metric types: thresholds as the flow's CSV has them, and values out of our own JSON."""

from __future__ import annotations

import pytest

from tokenclock.baselines.thresholds import TEST_METRICS
from tokenclock.perftest.metrics import (
    BENCHMARK,
    METRICS,
    SERVING,
    THROUGHPUT,
    case_status,
    metric_type_of,
    metric_types,
    value_in_result,
)


@pytest.mark.parametrize(
    ("name", "relative", "absolute"),
    [
        ("BUILD_TIME", 0.1, 30),
        ("INFERENCE_TIME", 0.1, 50),
        ("P99_INTER_TOKEN_TIME", 0.1, 50),
        ("SEQ_LATENCY", 0.1, 50),
        ("TOKEN_THROUGHPUT", -0.1, 10),
        ("SEQ_THROUGHPUT", -0.1, 10),
        ("TOTAL_TOKEN_THROUGHPUT", -0.1, 10),  # the flow has +0.1, by which more would be worse
        ("USER_THROUGHPUT", -0.1, 10),
        ("INFERENCE_PEAK_GPU_MEMORY", 0.1, 0.1),
        ("BUILD_PEAK_CPU_MEMORY", 0.1, 100),
        ("ENGINE_SIZE", 0.3, 100),
        ("CONTEXT_GPU_MEMORY", 0.1, 50),
        ("KV_CACHE_SIZE", -0.1, 50),
    ],
)
def test_thresholds_are_the_flow_s(name: str, relative: float, absolute: float) -> None:
    assert (METRICS[name].threshold, METRICS[name].absolute_threshold) == (relative, absolute)


def test_signs_and_directions_agree() -> None:
    for metric in METRICS.values():
        assert (metric.threshold < 0) == (metric.better == "higher")


def test_the_gate_has_one_table_and_it_is_the_baselines_one() -> None:
    assert METRICS.keys() <= TEST_METRICS.keys()
    fields = set(type(METRICS["BUILD_TIME"]).__dataclass_fields__)
    assert fields == {"metric_type", "threshold", "absolute_threshold", "is_optional"}  # no gate's value beside it
    for name, metric in METRICS.items():
        assert (metric.unit, metric.better) == (TEST_METRICS[name][0], TEST_METRICS[name][1].better)


def test_metric_types_of_each_kind() -> None:
    assert metric_types(THROUGHPUT, streaming=False) == (
        *("INFERENCE_TIME", "TOKEN_THROUGHPUT", "SEQ_THROUGHPUT", "KV_CACHE_SIZE"),
    )
    assert {"FIRST_TOKEN_TIME", "OUTPUT_TOKEN_TIME"} <= set(metric_types(THROUGHPUT, streaming=True))
    assert len(metric_types(SERVING, streaming=True)) == 16
    for kind in (THROUGHPUT, BENCHMARK, SERVING):
        assert set(metric_types(kind, streaming=True)) <= METRICS.keys()
    assert metric_type_of("INFERENCE_TIME[bs:1,60,20]") == "INFERENCE_TIME"


def test_values_of_a_serving_result() -> None:
    content = {"mean_ttft_ms": 1.0, "p99_e2el_ms": 2.0, "median_itl_ms": None, "output_throughput": 3}
    found = {
        name: value_in_result(SERVING, name, content, batch_size=0, lengths=(0, None))
        for name in ("FIRST_TOKEN_TIME", "P99_INFERENCE_TIME", "MEDIAN_INTER_TOKEN_TIME", "TOKEN_THROUGHPUT")
    }
    assert found == {
        "FIRST_TOKEN_TIME": 1.0,
        "P99_INFERENCE_TIME": 2.0,
        "MEDIAN_INTER_TOKEN_TIME": None,
        "TOKEN_THROUGHPUT": 3.0,
    }


def test_values_of_a_benchmark_result() -> None:
    def case(batch_size: int, **more: object) -> dict[str, object]:
        return {"batch_size": batch_size, "input_len": 60, "output_len": 20, "reason": None, **more}

    content = {
        "benchmark": [{"gpu_peak_mem(gb)": None}, {"gpu_peak_mem(gb)": 1.5}],
        "tokenclock": {
            "model": {"execution_context_bytes": 3 << 20},
            "cases": [
                case(1, status="skipped", reason="too long"),
                case(
                    8,
                    status="measured",
                    latencies={"latency": {"mean": 2.5e6}},
                    throughput={"output_throughput": 9.0},
                ),
            ],
        },
    }
    found = {
        name: value_in_result(BENCHMARK, name, content, batch_size=8, lengths=(60, 20))
        for name in metric_types(BENCHMARK, streaming=True)
    }
    assert found == {
        "INFERENCE_TIME": 2.5,
        "TOKEN_THROUGHPUT": 9.0,
        "FIRST_TOKEN_TIME": None,
        "INFERENCE_PEAK_GPU_MEMORY": 1.5,
        "CONTEXT_GPU_MEMORY": 3.0,
    }
    assert value_in_result(BENCHMARK, "INFERENCE_TIME", content, batch_size=1, lengths=(60, 20)) is None
    assert case_status(content, 1, (60, 20)) == ("skipped", "too long")
    assert case_status(content, 2, (60, 20)) == ("", "")
