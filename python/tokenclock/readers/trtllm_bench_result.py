"""A run of ``trtllm-bench`` as our Result, as far as its log tells; what it does not tell is None."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from tokenclock import environment
from tokenclock.metrics.definitions import DEFINITIONS
from tokenclock.readers.trtllm_bench_log import BenchLog
from tokenclock.report.trtllm_bench_files import FACE
from tokenclock.result import SCHEMA_VERSION, Result
from tokenclock.units import NS_PER_MS
from tokenclock.verdict import WARN, Check, Quality

__all__ = ["result_of"]

_LATENCIES = {
    "ttft": ("streaming_metrics", "ttft_percentiles", "avg_ttft_ms"),
    "tpot": ("streaming_metrics", "tpot_percentiles", "avg_tpot_ms"),
    "e2el": ("performance", "request_latency_percentiles_ms", "avg_request_latency_ms"),
}


def result_of(
    log: BenchLog,
    *,
    argv: Sequence[str],
    created: datetime,
    exit_code: int,
    incomplete: bool,
    concurrency: int | None,
) -> Result:
    """The Result of a log.

    Args:
        log: with a report in it.
        argv: the command that was run.
        created: when it was started.
        exit_code: of the command.
        incomplete: it was interrupted.
        concurrency: as asked for; None: all at once.
    """
    performance = log.sections.get("performance", {})
    n = log.sections.get("request_info", {}).get("num_requests")
    total_ms = performance.get("total_latency_ms")
    total_ns = None if total_ms is None else round(total_ms * NS_PER_MS)
    rates = {
        "request_throughput": performance.get("request_throughput_req_s"),
        "output_throughput": performance.get("system_output_throughput_tok_s"),
        "total_throughput": performance.get("system_total_throughput_tok_s"),
        "user_throughput": performance.get("output_throughput_per_user_tok_s"),
    }
    reason = "trtllm-bench measured this: what its client adds to the numbers is not known"
    remedy = "measure with tokenclock's own client to know it (leave --external out)"
    return Result(
        schema_version=SCHEMA_VERSION,
        kind="serving",
        tool={"name": "trtllm-bench", "version": log.sections.get("engine", {}).get("version")},
        created=created.astimezone(timezone.utc).isoformat(timespec="seconds"),
        incomplete=incomplete,
        plan={"command": "throughput", "external": list(argv), "exit_code": exit_code},
        environment=environment.collect(("tensorrt-llm",)),
        workload={"sha256": None, "dataset": log.sections.get("dataset", {}).get("dataset_path"), "notes": []},
        requests={
            "scheduled": n,
            "ok": n,
            "failed": 0,  # it ends without a report at the first failure
            "by_status": {} if n is None else {"ok": n},
            "failure_examples": {},
            "loop": "burst" if concurrency is None else "closed",
            "streaming": "streaming_metrics" in log.sections,
        },
        tokens={"isl": None, "isl_source": "missing", "osl": None, "osl_source": "missing"},
        durations={"first_sent_to_last_token_ns": total_ns, "wall_ns": total_ns},
        latencies={
            tag: _latency(tag, log.sections.get(section, {}), percentiles, mean, n)
            for tag, (section, percentiles, mean) in _LATENCIES.items()
            if section in log.sections
        },
        throughput={"unit": "1/s", **rates, "wall": rates},
        goodput=None,
        client={},
        quality=Quality((Check("external", WARN, None, None, {}, reason, remedy),), ()),
        faces={FACE: {"percentile_rule": "floor", "sections": _whole(log), "left_out": _left_out(log)}},
    )


def _latency(tag: str, section: Mapping[str, Any], key: str, mean: str, n: int | None) -> dict[str, Any]:
    definition, found = DEFINITIONS[tag], section.get(key, {})

    def ns(value: float | None) -> float | None:
        return None if value is None else value * NS_PER_MS

    return {
        "title": definition.title,
        "unit": definition.unit,
        "better": definition.better,
        "formula": definition.formula,
        "n": n,
        "n_missing": None,
        "mean": ns(section.get(mean)),
        "std": None,
        "min": ns(found.get("minimum")),
        "max": ns(found.get("maximum")),
        "percentiles": {"floor": {name[1:]: ns(value) for name, value in found.items() if name[0] == "p"}},
    }


def _whole(log: BenchLog) -> dict[str, Any]:
    """The sections, with a None for each line that the log lacks, and its two figures of memory and build."""
    sections = {name: dict(values) for name, values in log.sections.items()}
    for name in log.missing:
        section, _, key = name.partition(".")
        sections.setdefault(section, {})[key] = None
    sections["log"] = {"kv_cache_size_gib": log.kv_cache_gib, "engine_build_s": log.build_s}
    return sections


def _left_out(log: BenchLog) -> dict[str, str]:
    left_out = dict.fromkeys(log.missing, "the log has no such line, or no number in it")
    for name, value in (("log.kv_cache_size_gib", log.kv_cache_gib), ("log.engine_build_s", log.build_s)):
        if value is None:
            left_out[name] = "the log has no such line"
    return left_out
