"""What the numbers of an offline case mean: the table that results and documentation are written from."""

from __future__ import annotations

from tokenclock.metrics.definitions import Definition

__all__ = ["OFFLINE_DEFINITIONS"]

_TABLE = (
    Definition(
        "latency",
        "Latency",
        "ns",
        "iteration",
        "t_done - t_start: from just before the call of the runtime to just after it, host clock; of several ranks the "
        "slowest",
        "lower",
    ),
    Definition(
        "device_latency",
        "Device latency",
        "ns",
        "iteration",
        "between two CUDA events around the call, on the stream that the runtime works on; of several ranks the "
        "longest",
        "lower",
    ),
    Definition(
        "ttft",
        "Time to First Token",
        "ns",
        "iteration",
        "first step - t_start: when the first tokens of the batch were there; the prefill",
        "lower",
    ),
    Definition(
        "tpot",
        "Time per Output Token (excl. 1st token)",
        "ns",
        "iteration",
        "(last step - first step) / (steps - 1), for iterations of two steps or more",
        "lower",
    ),
    Definition(
        "itl", "Inter-token Latency", "ns", "gap", "gap between successive steps, pooled over iterations", "lower"
    ),
    Definition(
        "generation",
        "Generation time",
        "ns",
        "iteration",
        "last step - first step, by CUDA events where they have them; without steps by the runtime itself",
        "lower",
    ),
    Definition(
        "setup",
        "Set-up",
        "ns",
        "iteration",
        "what is set up before each iteration, not in the latency",
        "lower",
    ),
    Definition(
        "rank_skew",
        "Skew of the ranks",
        "ns",
        "iteration",
        "latency of the slowest rank - latency of the fastest",
        "lower",
    ),
    Definition(
        "output_throughput", "Output token throughput", "1/s", "case", "mean tokens generated / mean latency", "higher"
    ),
    Definition("row_throughput", "Row throughput", "1/s", "case", "batch size / mean latency", "higher"),
    Definition(
        "prefill_throughput", "Prefill throughput", "1/s", "case", "batch size * input length / mean TTFT", "higher"
    ),
    Definition(
        "decode_throughput",
        "Decode throughput",
        "1/s",
        "case",
        "batch size * (steps - 1) / mean generation time, steps summed over iterations",
        "higher",
    ),
)

OFFLINE_DEFINITIONS: dict[str, Definition] = {entry.tag: entry for entry in _TABLE}
"""tag -> definition, in the order of the reports."""
