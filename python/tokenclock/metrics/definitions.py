"""What every number means: the one table that results, reports and documentation are written from."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFINITIONS", "LATENCY_TAGS", "Definition"]


@dataclass(frozen=True)
class Definition:
    """One metric.

    Args:
        tag: name in files, e.g. ``ttft``.
        title: heading in tables.
        unit: unit of the stored values: ns, 1/s, 1/J, tokens or share.
        per: what one sample is: a request, a gap between events, a probe, or the run.
        formula: how it is computed, in words of the columns.
        better: ``lower`` or ``higher``.
    """

    tag: str
    title: str
    unit: str
    per: str
    formula: str
    better: str


_TABLE = (
    Definition(
        "ttft",
        "Time to First Token",
        "ns",
        "request",
        "t_first_token - t_sent: from just before the first byte of the request was sent on a connected socket "
        "to the arrival of the first event that carries generated content",
        "lower",
    ),
    Definition(
        "tpot",
        "Time per Output Token (excl. 1st token)",
        "ns",
        "request",
        "(E2EL - TTFT) / (OSL - 1), for requests with OSL >= 2",
        "lower",
    ),
    Definition(
        "itl",
        "Inter-token Latency",
        "ns",
        "gap",
        "gap between successive token events of one request, pooled over all requests",
        "lower",
    ),
    Definition("e2el", "End-to-end Latency", "ns", "request", "t_last_token - t_sent", "lower"),
    Definition(
        "itl_per_token",
        "Inter-token Latency per token",
        "ns",
        "token",
        "each gap divided by the tokens of its later event, counted once per such token",
        "lower",
    ),
    Definition(
        "tpot_after_first_event",
        "Time per Output Token after the first event",
        "ns",
        "request",
        "(E2EL - TTFT) / (OSL - k), k the tokens of the first event, for requests with OSL > k",
        "lower",
    ),
    Definition(
        "response_ttft", "Time to First Token from schedule", "ns", "request", "t_first_token - t_scheduled", "lower"
    ),
    Definition(
        "response_e2el", "End-to-end Latency from schedule", "ns", "request", "t_last_token - t_scheduled", "lower"
    ),
    Definition("connect", "Connection set-up", "ns", "request", "t_sent (with TLS: t_tls) - t_connect", "lower"),
    Definition("tls_handshake", "TLS handshake", "ns", "request", "t_sent - t_tls, where one was made", "lower"),
    Definition(
        "tokens_per_iteration",
        "Tokens per iteration",
        "tokens",
        "request",
        "as the server reports it for the request; the old consoles call it Request AR",
        "higher",
    ),
    Definition("duration", "Duration", "ns", "run", "first t_sent to last t_last_token", "lower"),
    Definition("request_throughput", "Request throughput", "1/s", "run", "completed requests / duration", "higher"),
    Definition("output_throughput", "Output token throughput", "1/s", "run", "sum of OSL / duration", "higher"),
    Definition("total_throughput", "Total token throughput", "1/s", "run", "sum of ISL + OSL / duration", "higher"),
    Definition("user_throughput", "User throughput", "1/s", "run", "mean over requests of OSL / E2EL", "higher"),
    Definition(
        "goodput",
        "Request goodput",
        "1/s",
        "run",
        "requests that met every named limit / duration; a failure is a miss, a one-token answer has no TPOT to miss",
        "higher",
    ),
    Definition(
        "goodput_share",
        "Requests within every limit",
        "share",
        "run",
        "requests that met every named limit / all scheduled; with Wilson's 95 % interval, and for each limit alone",
        "higher",
    ),
    Definition(
        "probe_e2el",
        "End-to-end Latency of probes",
        "ns",
        "probe",
        "t_last_token - t_sent of the one-token requests beside the load that were due before the load ended",
        "lower",
    ),
    Definition(
        "spec_decode_acceptance_rate",
        "Acceptance rate",
        "share",
        "run",
        "accepted / drafted tokens, by the server's counters before and after the load",
        "higher",
    ),
    Definition(
        "spec_decode_acceptance_length",
        "Acceptance length",
        "tokens",
        "run",
        "1 + accepted tokens / drafts, by the same counters",
        "higher",
    ),
    Definition(
        "output_tps_per_w",
        "Output tokens per second per watt",
        "1/J",
        "run",
        "sum of OSL / energy of the server's GPUs between the readings before and after the load",
        "higher",
    ),
)

DEFINITIONS: dict[str, Definition] = {entry.tag: entry for entry in _TABLE}
"""tag -> definition, in the order of the reports."""

LATENCY_TAGS: tuple[str, ...] = ("ttft", "tpot", "itl", "e2el")
"""Metrics that ``--percentile-metrics`` may name, in the order the originals print them."""
