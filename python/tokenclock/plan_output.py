"""The part of a serving plan that says what is printed and saved, and what makes the command fail."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from tokenclock.plan_checks import is_number, require

__all__ = ["GOODPUT_METRICS", "LATENCY_METRICS", "OutputPlan"]

LATENCY_METRICS = ("ttft", "tpot", "itl", "e2el")  # in the order reports print them
GOODPUT_METRICS = ("ttft", "tpot", "e2el")
_PROFILE_METRICS = ("ttst",)  # time to second token: a limit that genai-perf has besides
# What the result's JSON has at its top, beside a pair of --metadata; `label` too where --label is given.
_RESULT_KEYS = {
    "date", "backend", "model_id", "tokenizer_id", "num_prompts", "request_rate", "burstiness", "max_concurrency",
    "duration", "completed", "failed", "total_input_tokens", "total_output_tokens", "request_throughput",
    "request_goodput:", "request_goodput", "output_throughput", "total_token_throughput", "user_throughput",
    "avg_decoded_tokens_per_iter", "energy", "request_time_breakdown", "tokenclock", "input_lens", "output_lens",
    "ttfts", "itls", "e2els", "generated_texts", "errors", "request_ids", "perf_metrics_index",
}  # fmt: skip
_RESULT_KEY = re.compile(
    r"(mean|median|std|min|max|p[0-9.]+)_(ttft|tpot|itl|e2el)_ms|ramp_up_\w+|spec_decode_\w+|"
    r"probe_(completed|failed|unfinished|(median|p99|max)_e2el_ms)"
)


@dataclass(frozen=True)
class OutputPlan:
    """What is printed and saved, and what makes the command fail."""

    percentile_metrics: tuple[str, ...] = ("ttft", "tpot", "itl")
    metric_percentiles: tuple[float, ...] = (99.0,)
    percentiles_named: bool = False  # the user asked for these percentiles, so too few samples for one are a fault
    goodput_ms: dict[str, float] = field(default_factory=dict)  # metric -> limit in ms
    save_result: bool = False
    save_detailed: bool = False
    save_columns: bool = True
    save_events: str | None = None
    result_dir: str | None = None
    result_filename: str | None = None
    append_result: bool = False  # add a line of JSON to the file rather than replace it
    label: str | None = None  # in place of the backend at the start of the generated name; stored
    metadata: dict[str, str] = field(default_factory=dict)
    console: str = "classic"  # classic | full
    plot_timeline: bool = False  # a page of plots beside the result
    intervals: bool = False  # print the 95 % intervals too; the file always has them
    progress: bool = True
    strict: bool = False
    max_failure_share: float = 0.0

    def __post_init__(self) -> None:
        allowed = "some of " + ",".join(LATENCY_METRICS)
        require(self.result_dir != "", "--result-dir", "a directory", "an empty name", "leave it out for this one")
        require(bool(self.percentile_metrics), "--percentile-metrics", allowed, "none")
        require(bool(self.metric_percentiles), "--metric-percentiles", "numbers in (0, 100]", "none")
        for metric in self.percentile_metrics:
            require(metric in LATENCY_METRICS, "--percentile-metrics", allowed, metric)
        for percentile in self.metric_percentiles:
            require(
                is_number(percentile) and 0 < percentile <= 100,
                "--metric-percentiles",
                "numbers in (0, 100]",
                percentile,
            )
        for metric, limit_ms in self.goodput_ms.items():
            require(
                metric in (*GOODPUT_METRICS, *_PROFILE_METRICS),
                "--goodput",
                "KEY:VALUE with KEY one of " + ",".join(GOODPUT_METRICS),
                metric,
            )
            require(
                is_number(limit_ms) and 0 <= limit_ms < math.inf,
                "--goodput",
                "KEY:MILLISECONDS >= 0",
                f"{metric}:{limit_ms:g}",
            )
        for key in self.metadata:
            taken = key in _RESULT_KEYS or _RESULT_KEY.fullmatch(key) or (key == "label" and self.label is not None)
            require(not taken, "--metadata", "a key that the result does not use itself", key, "give it another name")
        require(
            self.label is None or (bool(self.label) and self.label.isprintable() and "/" not in self.label),
            "--label",
            "text without / that can stand in a file name",
            self.label,
        )
        require(self.console in ("classic", "full"), "--console", "classic or full", self.console)
        require(
            is_number(self.max_failure_share) and 0 <= self.max_failure_share <= 1,
            "--max-failure-share",
            "a share in [0, 1]",
            self.max_failure_share,
            "0.01 lets one request in a hundred fail",
        )
