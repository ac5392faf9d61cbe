"""The numbers as genai-perf names them: per-request statistics in ms with linear percentiles, and run values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock import units
from tokenclock.metrics import latency
from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.summary import RunSummary, distribution, percentile_label
from tokenclock.records import Records

__all__ = ["PERCENTILES", "RULE", "STATISTICS", "genai_perf_face", "per_request"]

RULE = "linear"
PERCENTILES = (1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0)
STATISTICS = ("avg", *(f"p{percentile_label(p)}" for p in PERCENTILES), "min", "max", "std")

_UNITS = {
    "request_throughput": "requests/sec",
    "request_latency": "ms",
    "request_count": "count",
    "time_to_first_token": "ms",
    "time_to_second_token": "ms",
    "inter_token_latency": "ms",
    "output_token_throughput": "tokens/sec",
    "output_token_throughput_per_user": "tokens/sec/user",
    "output_sequence_length": "tokens",
    "input_sequence_length": "tokens",
    "request_goodput": "requests/sec",
}  # in the order of the file
_RUN_METRICS = ("request_throughput", "request_count", "output_token_throughput", "request_goodput")
_NEEDS_STREAM = (
    "time_to_first_token", "time_to_second_token", "inter_token_latency", "output_token_throughput_per_user",
)  # fmt: skip
_WITHOUT_OUTPUT = ("embeddings", "rerank")
_OF_ANY = ("request_throughput", "request_latency", "request_count", "request_goodput")

Array = npt.NDArray[Any]


def genai_perf_face(records: Records, facts: RunFacts, summary: RunSummary) -> dict[str, Any]:
    """What the console, the JSON and the CSV of `profile` show, computed once.

    Requests that ended well are counted; rates divide by the time from the first send to the last token event, as the
    original's do.

    Returns:
        ``percentile_rule``, ``streaming``, and ``metrics``: tag -> ``unit`` and the statistics of
        ``STATISTICS`` (None where no request has a value), or for a value of the whole run ``unit`` and ``avg``. What
        needs a stream is left out where there was none, goodput where it was not asked for, and what needs an output
        with embeddings and rankings.
    """
    samples = per_request(records)
    values = {
        "request_throughput": summary.rates.request_throughput,
        "request_count": summary.n_ok,
        "output_token_throughput": summary.rates.output_throughput,
        "request_goodput": None if summary.goodput is None else summary.goodput.request_goodput,
    }
    metrics: dict[str, Any] = {}
    for tag, unit in _UNITS.items():
        if facts.backend in _WITHOUT_OUTPUT and tag not in _OF_ANY:
            continue
        if (tag in _NEEDS_STREAM and not facts.streaming) or (tag == "request_goodput" and not facts.slos_ms):
            continue
        if tag in _RUN_METRICS:
            metrics[tag] = {"unit": unit, "avg": values[tag]}
        else:
            metrics[tag] = {"unit": unit, **_statistics(tag, samples[tag])}
    return {"percentile_rule": RULE, "streaming": facts.streaming, "metrics": metrics}


def per_request(records: Records) -> dict[str, Array]:
    """Tag -> float64 (n,), in the unit of the file; NaN where a request has no such value, or failed."""
    itl_ns = latency.tpot_ns(records)
    per_user = np.full(records.n_requests, np.nan)
    np.divide(units.NS_PER_S, itl_ns, out=per_user, where=itl_ns > 0)
    columns, ok = records.columns, records.ok
    isl = np.where(columns["isl_server"] >= 0, columns["isl_server"], columns["isl_requested"])
    return {
        "request_latency": latency.e2el_ns(records) / units.NS_PER_MS,
        "time_to_first_token": latency.ttft_ns(records) / units.NS_PER_MS,
        "time_to_second_token": latency.ttst_ns(records) / units.NS_PER_MS,
        "inter_token_latency": itl_ns / units.NS_PER_MS,
        "output_token_throughput_per_user": per_user,
        "output_sequence_length": np.where(ok & (columns["osl"] >= 0), columns["osl"], np.nan),
        "input_sequence_length": np.where(ok & (isl >= 0), isl, np.nan),
    }


def _statistics(tag: str, values: Array) -> Mapping[str, float | None]:
    found = distribution(tag, values, PERCENTILES, rules=(RULE,))
    percentiles = {f"p{percentile_label(p)}": found.percentile(p, RULE) for p in PERCENTILES}
    return {"avg": found.mean, **percentiles, "min": found.minimum, "max": found.maximum, "std": found.std}
