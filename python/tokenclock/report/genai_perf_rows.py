"""The rows of genai-perf's console table and CSV: which metrics, in which order, under which label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["NOT_MEASURED", "fixed", "request_rows", "run_rows"]

NOT_MEASURED = "N/A"  # as the original spells it
_REQUEST = {
    "time_to_first_token": "Time To First Token (ms)",
    "time_to_second_token": "Time To Second Token (ms)",
    "request_latency": "Request Latency (ms)",
    "inter_token_latency": "Inter Token Latency (ms)",
    "output_token_throughput_per_user": "Output Token Throughput Per User (tokens/sec/user)",
    "output_sequence_length": "Output Sequence Length (tokens)",
    "input_sequence_length": "Input Sequence Length (tokens)",
}
_RUN = {
    "output_token_throughput": "Output Token Throughput (tokens/sec)",
    "request_throughput": "Request Throughput (per sec)",
    "request_goodput": "Request Goodput (per sec)",
    "request_count": "Request Count (count)",
}

Row = tuple[str, Mapping[str, Any]]


def request_rows(metrics: Mapping[str, Mapping[str, Any]]) -> Iterator[Row]:
    """Label and statistics of the metrics with a value per request."""
    return ((label, metrics[tag]) for tag, label in _REQUEST.items() if tag in metrics)


def run_rows(metrics: Mapping[str, Mapping[str, Any]]) -> Iterator[Row]:
    """Label and value (``avg``) of the metrics of the whole run."""
    return ((label, metrics[tag]) for tag, label in _RUN.items() if tag in metrics)


def fixed(value: float | None) -> str:
    """``1,234.56``; ``N/A`` for None."""
    return NOT_MEASURED if value is None else f"{value:,.2f}"
