"""What the server tells of itself: counters of `/metrics`, `/energy_metrics`, and the stamps of `/perf_metrics`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokenclock.plan import ServingPlan
from tokenclock.serving.ask import ask

__all__ = ["Snapshot", "fetch_perf_metrics", "read_counters", "take_snapshot"]

_SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?")  # name{labels} value [time]
_POSITION = re.compile(r'(?:^|,)\s*position="(\d+)"')
_PER_POSITION = "vllm:spec_decode_num_accepted_tokens_per_pos"
_COUNTERS = {  # vLLM's name -> ours
    "vllm:spec_decode_num_drafts": "drafts",
    "vllm:spec_decode_num_draft_tokens": "draft_tokens",
    "vllm:spec_decode_num_accepted_tokens": "accepted_tokens",
    _PER_POSITION: "accepted_at",
}


@dataclass(frozen=True)
class Snapshot:
    """The server's counters at one moment; None where it has none."""

    spec_decode: Mapping[str, float] | None = None
    energy: Mapping[str, float] | None = None


def take_snapshot(plan: ServingPlan, earlier: Snapshot | None = None) -> Snapshot:
    """Read the counters, at most 2 s each; a server without them is no fault.

    earlier: the reading before the run; what was absent there is not asked for again.
    """
    counters, energy = None, None
    if earlier is None or earlier.spec_decode is not None:
        answer = ask(plan, "GET", "/metrics")
        counters = read_counters(answer.body.decode("utf-8", "replace")) if answer.ok else None
    if earlier is None or earlier.energy is not None:
        energy = _read_energy(ask(plan, "GET", "/energy_metrics").json())
    return Snapshot(counters, energy)


def read_counters(text: str) -> dict[str, float] | None:
    """The counters of speculative decoding in a page of Prometheus text, summed over engines; None without any.

    Keys are `drafts`, `draft_tokens`, `accepted_tokens`, and `accepted_at:0`, `accepted_at:1`, ... per position.
    """
    found: dict[str, float] = {}
    for line in text.splitlines():
        sample = _SAMPLE.fullmatch(line.strip()) if line.startswith("vllm:spec_decode") else None
        name = _COUNTERS.get(sample[1].removesuffix("_total")) if sample else None
        value = _number(sample[3]) if sample else None
        if sample is None or name is None or value is None:
            continue
        if name == "accepted_at":
            position = _POSITION.search(sample[2] or "")
            if position is None:
                continue
            name = f"accepted_at:{int(position[1])}"
        found[name] = found.get(name, 0.0) + value
    return found or None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _read_energy(answer: Any) -> dict[str, float] | None:
    """`total_energy_j` and `query_time` (s) of an answer; None for any other shape."""
    if not isinstance(answer, dict):
        return None
    found = {name: answer.get(name) for name in ("total_energy_j", "query_time")}
    values = {
        name: float(value)
        for name, value in found.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    }
    return values if len(values) == len(found) else None


def fetch_perf_metrics(plan: ServingPlan, *, timeout_s: float = 2.0) -> tuple[list[dict[str, Any]] | None, str | None]:
    """The server's record of each request since it was last asked (asking empties its list), or why there is none."""
    answer = ask(plan, "GET", "/perf_metrics", timeout_s=timeout_s)
    if not answer.ok:
        return None, answer.problem
    found = answer.json()
    if not isinstance(found, list):
        return None, "the answer is no JSON array"
    return [entry for entry in found if isinstance(entry, dict)], None
