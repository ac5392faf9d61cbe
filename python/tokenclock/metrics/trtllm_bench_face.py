"""The numbers as `trtllm-bench` names them: ms and per second, percentiles at index floor(n * p), as its report has.

Requests that failed are in no number; the original gave up at the first one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock import units
from tokenclock.metrics import latency
from tokenclock.metrics.summary import Distribution, distribution
from tokenclock.records import MISSING_NS, Records

__all__ = ["RULE", "BenchFacts", "request_rows", "trtllm_bench_face"]

Array = npt.NDArray[Any]

RULE = "floor"
_PERCENTILES = (50.0, 90.0, 95.0, 99.0)


@dataclass(frozen=True)
class BenchFacts:
    """What the report says beside the measurement.

    Args:
        engine, world: of the sections `engine` and `world_info`; None where this target has no such value.
        streaming: single tokens were stamped.
        dataset_path: of the file.
        isl, osl: int (n,), of the file's requests that the run was to send; -1 where nobody knows.
        world_size: GPUs that throughput is divided by; None: there are none, or nobody says how many.
        why_missing: key -> why this target has no such value, for the keys that are None.
    """

    engine: Mapping[str, Any]
    world: Mapping[str, Any]
    streaming: bool
    dataset_path: str
    isl: Array
    osl: Array
    world_size: int | None = 1
    why_missing: Mapping[str, str] = field(default_factory=dict)


def trtllm_bench_face(records: Records, facts: BenchFacts) -> dict[str, Any]:
    """What report and log show, computed once.

    Returns:
        ``percentile_rule``; ``sections``, the keys of the report, None for what has no value; ``left_out``, the path of
        each of those with the reason.
    """
    ok = records.ok
    e2el = latency.e2el_ns(records)[ok]
    ends, starts = (records.columns[name][ok] for name in ("t_last_token_ns", "t_sent_ns"))
    known = (ends != MISSING_NS) & (starts != MISSING_NS)
    total_ns = float(ends[known].max() - starts[known].min()) if known.any() else None
    isl, osl = _lengths(records, facts)
    n = int(ok.sum())
    per_user = _per_s(records.columns["osl"][ok], e2el)
    sections: dict[str, Any] = {
        "engine": dict(facts.engine),
        "world_info": {**facts.world, "issue_rate": _issue_rate(records)},
        "request_info": {
            "num_requests": n,
            "avg_num_concurrent_requests": None if not total_ns else float(np.nansum(e2el)) / total_ns,
            "avg_input_length": None if isl is None or not n else isl / n,
            "avg_output_length": osl / n if n else None,
        },
        "performance": {
            "total_latency_ms": _ms(total_ns),
            "avg_request_latency_ms": _ms(_mean(e2el)),
            "request_throughput_req_s": _rate(n, total_ns),
            "system_output_throughput_tok_s": _rate(osl, total_ns),
            "system_total_throughput_tok_s": None if isl is None else _rate(isl + osl, total_ns),
            "output_throughput_per_user_tok_s": _mean(per_user),
            "output_throughput_per_gpu_tok_s": None
            if facts.world_size is None
            else _rate(osl / facts.world_size, total_ns),
            "request_latency_percentiles_ms": _percentiles(e2el, units.NS_PER_MS),
        },
    }
    if facts.streaming:
        sections["streaming_metrics"] = _streaming(records)
    sections["dataset"] = _dataset(facts)
    return {"percentile_rule": RULE, "sections": sections, "left_out": _left_out(sections, facts.why_missing)}


def _streaming(records: Records) -> dict[str, Any]:
    ok = records.ok
    ttft, tpot = latency.ttft_ns(records)[ok], latency.tpot_ns(records)[ok]
    speed = _generation_speed(records)[ok]
    return {
        "token_output_speed_tok_s": _mean(speed),
        "avg_ttft_ms": _ms(_mean(ttft)),
        "avg_tpot_ms": _ms(_mean(tpot)),
        "tpot_percentiles": _percentiles(tpot, units.NS_PER_MS),
        "ttft_percentiles": _percentiles(ttft, units.NS_PER_MS),
        "gen_tps_percentiles": _percentiles(speed, 1.0),
    }


def _dataset(facts: BenchFacts) -> dict[str, Any]:
    known = bool((facts.isl >= 0).all())
    columns: dict[str, Array | None] = {
        "isl": facts.isl if known else None,
        "osl": facts.osl,
        "sequence_length": facts.isl.astype(np.int64) + facts.osl if known else None,
    }
    stats = {name: None if column is None else _percentiles(column, 1.0) for name, column in columns.items()}
    found: dict[str, Any] = {f"{name}_stats": stats[key] for name, key in _STATS}
    found |= {"num_requests": len(facts.osl), "dataset_path": facts.dataset_path}
    found |= {f"max_{name}": None if column is None else int(column.max()) for name, column in columns.items()}
    found |= {f"avg_{name}": None if column is None else int(column.mean()) for name, column in columns.items()}
    return found


_STATS = (("isl", "isl"), ("osl", "osl"), ("seq_len", "sequence_length"))


def _lengths(records: Records, facts: BenchFacts) -> tuple[int | None, int]:
    """Prompt and answer tokens of all ok requests; the prompts' None where neither file nor server says."""
    ok = records.ok
    server, asked = (records.columns[name][ok].astype(np.int64) for name in ("isl_server", "isl_requested"))
    isl = np.where(server >= 0, server, asked)
    return (None if (isl < 0).any() else int(isl.sum())), int(np.maximum(records.columns["osl"][ok], 0).sum())


def _issue_rate(records: Records) -> float | None:
    """Requests per second sent: the gaps between the first and the last sending over their time; None below two."""
    sent = records.columns["t_sent_ns"][records.ok & records.present("t_sent_ns")]
    span_ns = float(sent.max() - sent.min()) if len(sent) > 1 else 0.0
    return units.per_s(len(sent) - 1, span_ns) if span_ns > 0 else None


def _generation_speed(records: Records) -> Array:
    """Tokens per second after the first one, of each row with two or more."""
    tpot = latency.tpot_ns(records)
    speed = np.full(len(tpot), np.nan)
    np.divide(units.NS_PER_S, tpot, out=speed, where=tpot > 0)
    return speed


def _per_s(tokens: Array, span_ns: Array) -> Array:
    values = np.full(len(span_ns), np.nan)
    np.divide(tokens * float(units.NS_PER_S), span_ns, out=values, where=(span_ns > 0) & (tokens >= 0))
    return values


def _mean(values: Array) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def _ms(value_ns: float | None) -> float | None:
    return None if value_ns is None else units.ns_to_ms(value_ns)


def _rate(count: float, total_ns: float | None) -> float | None:
    return units.per_s(count, total_ns) if total_ns and count else None


def _percentiles(values: Array, divisor: float) -> dict[str, float] | None:
    """In the order of the original; None without a value."""
    found: Distribution = distribution("", np.asarray(values, np.float64), _PERCENTILES, rules=(RULE,))
    if found.minimum is None or found.maximum is None or found.mean is None:
        return None
    shown = {f"p{p:.0f}": found.percentile(p, RULE) for p in _PERCENTILES}
    ends = {"minimum": found.minimum, "maximum": found.maximum, "average": found.mean}
    return {name: value / divisor for name, value in (shown | ends).items() if value is not None}


def _left_out(sections: Mapping[str, Any], why: Mapping[str, str]) -> dict[str, str]:
    return {
        f"{section}.{key}": why.get(f"{section}.{key}", "no request has such a value")
        for section, values in sections.items()
        for key, value in values.items()
        if value is None
    }


def request_rows(records: Records, ids: Array, texts: list[str | None], isl: Array) -> list[dict[str, Any]]:
    """The records of ``--request_json``: instants in ns of CLOCK_MONOTONIC, times in ns, rates in tokens per ns.

    The original wrote zeros, and times from an unset stamp, for what was not measured: here it is None.

    Args:
        records: of the run, one row per request.
        ids: int64 (n,), ``task_id`` of each.
        texts: decoded answers, None where unknown.
        isl: int (n,), prompt tokens; -1 where unknown.
    """
    columns, ok = records.columns, records.ok
    ttft, e2el, tpot = latency.ttft_ns(records), latency.e2el_ns(records), latency.tpot_ns(records)
    server = columns["isl_server"]
    rows = []
    for row in range(records.n_requests):
        n_tokens = int(columns["osl"][row]) if ok[row] and columns["osl"][row] >= 0 else None
        first, whole = _known(ttft[row]), _known(e2el[row])
        generation = None if first is None or whole is None else whole - first
        n_input = int(server[row]) if server[row] >= 0 else int(isl[row])
        rows.append(
            {
                "id": int(ids[row]),
                "num_input_tokens": n_input if n_input >= 0 else None,
                "error_tokens": 0 if ok[row] else 1,
                "start_timestamp": _instant(records, "t_sent_ns", row),
                "first_token_timestamp": _instant(records, "t_first_token_ns", row),
                "end_timestamp": _instant(records, "t_last_token_ns", row),
                "decode_iteration": _decode_iteration(records, row),
                "output": texts[row],
                "output_tokens": n_tokens,
                "end_to_end_latency": whole,
                "time_to_first_token": first,
                "generation_time": generation,
                "num_total_output_tokens": n_tokens,
                "num_generated_tokens": None if n_tokens is None else max(n_tokens - 1, 0),
                "intertoken_latency": _known(tpot[row]),
                "output_token_throughput": n_tokens / whole if n_tokens is not None and whole else None,
                "generation_token_throughput": (n_tokens - 1) / generation if n_tokens and generation else None,
                "error": records.errors.get(row),
            }
        )
    return rows


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _instant(records: Records, name: str, row: int) -> int | None:
    value = int(records.columns[name][row])
    return None if value == MISSING_NS else value + records.epoch_ns


def _decode_iteration(records: Records, row: int) -> int | None:
    per_iteration = float(records.columns["tokens_per_iteration"][row])
    return None if np.isnan(per_iteration) else round(int(records.columns["osl"][row]) / per_iteration) - 1
