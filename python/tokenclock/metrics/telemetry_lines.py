"""What GPUs and the server told of themselves over time, as lines on the clock of a run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock.units import NS_PER_S

__all__ = ["TelemetryLine", "gpu_lines", "server_lines"]

Array = npt.NDArray[Any]

_AROUND_S = 2.0  # what was told so long before the first sending or after the last token still belongs to the run


@dataclass(frozen=True)
class TelemetryLine:
    """One quantity over time.

    Args:
        panel: title of what is drawn together, with its unit.
        name: of the line.
        t_s: float64 (n,), s after the run's start, rising.
        values: float64 (n,), in the panel's unit; NaN where not told.
    """

    panel: str
    name: str
    t_s: Array
    values: Array


_GPU_PANELS = (  # quantity of `device.series`, panel, factor
    ("utilization_percent", "GPU utilization (%)", 1.0),
    ("power_w", "GPU power (W)", 1.0),
    ("sm_mhz", "GPU clock, SM (MHz)", 1.0),
    ("temperature_c", "GPU temperature (C)", 1.0),
    ("used_bytes", "GPU memory in use (GiB)", 1 / (1 << 30)),
)

_GAUGES = (  # end of the metric's name, without its labels; panel, name, factor, how labels are put together
    (re.compile(r"(num_requests_running|num_running_reqs|num_active_requests|requests_processing|requests_in_flight)"),
     "Requests at the server", "running", 1.0, sum),
    (re.compile(r"(num_requests_waiting|num_queue_reqs|num_queued_requests|requests_deferred)"),
     "Requests at the server", "waiting", 1.0, sum),
    (re.compile(r"((gpu|kv)_cache_usage_perc|kv_cache_usage_ratio|kv_cache_utilization|token_usage)"),
     "Server's KV cache in use (%)", "KV cache", 100.0, max),
)  # fmt: skip
_COUNTERS = (  # the same of counters, whose rise per second is drawn
    (re.compile(r"(generation_tokens_total|generated_tokens_total|tokens_predicted_total)"), "generated"),
    (re.compile(r"(prompt_tokens_total)"), "of prompts"),
)
_TOKENS_PANEL = "Tokens/s by the server's counters"


def gpu_lines(gpu: Mapping[str, Any] | None, epoch_ns: int, end_s: float) -> list[TelemetryLine]:
    """Of the ``gpu`` section of a result; none where no series was kept.

    Args:
        gpu: the section.
        epoch_ns: CLOCK_MONOTONIC at the run's start.
        end_s: the run's end, s after its start.
    """
    found: list[TelemetryLine] = []
    for quantity, panel, factor in _GPU_PANELS:
        for one in (gpu or {}).get("series", ()):
            if quantity not in one:
                continue
            values = np.array([np.nan if value is None else value for value in one[quantity]], np.float64) * factor
            t_s = (np.array(one["t_monotonic_ns"], np.int64) - epoch_ns) / NS_PER_S
            found += _within(TelemetryLine(panel, f"GPU {one['index']}", t_s, values), end_s)
    return found


def server_lines(readings: Sequence[Mapping[str, Any]], epoch_ns: int, end_s: float) -> list[TelemetryLine]:
    """Of the readings of `/metrics` that `sweep` keeps: requests, KV cache, tokens per second.

    Names of vLLM, SGLang, TensorRT-LLM (its Prometheus text, and its iterations as JSON), llama.cpp and our paced
    server are known; of others nothing is drawn.

    Args:
        readings: in the order of time, see `sweep.metrics_series`.
        epoch_ns, end_s: as of `gpu_lines`.
    """
    t_s = np.array([(int(one["monotonic_ns"]) - epoch_ns) / NS_PER_S for one in readings], np.float64)
    values = [_values(one) for one in readings]
    found: list[TelemetryLine] = []
    for pattern, panel, name, factor, together in _GAUGES:
        column = np.array([_read(one, pattern, together) for one in values], np.float64)
        found += _within(TelemetryLine(panel, name, t_s, column * factor), end_s)
    for pattern, name in _COUNTERS:
        column = np.array([_read(one, pattern, sum) for one in values], np.float64)
        if len(column) > 1:
            rise, took = np.diff(column), np.diff(t_s)
            rate = np.where((rise >= 0) & (took > 0), rise / np.where(took > 0, took, 1), np.nan)  # less: it restarted
            found += _within(TelemetryLine(_TOKENS_PANEL, name, (t_s[1:] + t_s[:-1]) / 2, rate), end_s)
    return found


def _values(reading: Mapping[str, Any]) -> Mapping[str, Any]:
    """Name -> value; of trtllm-serve's list of iterations the last one's."""
    if isinstance(reading.get("values"), dict):
        return dict(reading["values"])
    page = reading.get("page")
    last = page[-1] if isinstance(page, list) and page and isinstance(page[-1], dict) else {}
    found = {"num_active_requests": last.get("numActiveRequests"), "num_queued_requests": last.get("numQueuedRequests")}
    cache = last.get("kvCacheStats")
    if isinstance(cache, dict) and isinstance(cache.get("usedNumBlocks"), int) and cache.get("maxNumBlocks"):
        found["kv_cache_utilization"] = cache["usedNumBlocks"] / cache["maxNumBlocks"]
    return {name: value for name, value in found.items() if isinstance(value, (int, float))}


def _read(values: Mapping[str, Any], pattern: re.Pattern[str], together: Any) -> float:
    told = [value for name, value in values.items() if _is_named(name, pattern) and isinstance(value, (int, float))]
    return float(together(told)) if told else float("nan")


def _is_named(name: str, pattern: re.Pattern[str]) -> bool:
    """The bare name ends so, after its beginning or a separator."""
    bare = name.partition("{")[0]
    found = pattern.search(bare)
    return found is not None and found.end() == len(bare) and (found.start() == 0 or bare[found.start() - 1] in "_:")


def _within(line: TelemetryLine, end_s: float) -> Iterable[TelemetryLine]:
    """The line's part during the run; nothing where it tells nothing then, as of another run or machine."""
    inside = (line.t_s >= -_AROUND_S) & (line.t_s <= end_s + _AROUND_S)
    if inside.any() and np.isfinite(line.values[inside]).any():
        yield TelemetryLine(line.panel, line.name, line.t_s[inside], line.values[inside])
