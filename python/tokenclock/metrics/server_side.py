"""What the server's own counters say of a run: the difference between a reading before it and one after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["energy", "spec_decode"]


def spec_decode(before: Mapping[str, float] | None, after: Mapping[str, float] | None) -> dict[str, Any] | None:
    """Speculative decoding during the run; None when the server has no such counters, or drafted nothing.

    Args:
        before: ``drafts``, ``draft_tokens``, ``accepted_tokens`` and, for each position of a draft, ``accepted_at:0``
            and so on; those that the server has. None: not read.
        after: the same after the run.

    Returns:
        ``num_drafts``, ``draft_tokens``, ``accepted_tokens``; ``acceptance_rate`` = accepted / drafted tokens (0..1),
        ``acceptance_length`` = 1 + accepted tokens / drafts (tokens per step, None without a count of drafts),
        ``per_position_acceptance_rates`` = accepted at that place of a draft / drafts.
    """
    if before is None or after is None or "draft_tokens" not in after:
        return None
    grown = {name: value - before.get(name, 0.0) for name, value in after.items()}
    drafts, drafted, accepted = grown.get("drafts", 0.0), grown["draft_tokens"], grown.get("accepted_tokens", 0.0)
    if drafted <= 0 or min(grown.values()) < 0:  # a counter that fell: the server was started anew
        return None
    positions = sorted(int(name.partition(":")[2]) for name in grown if name.startswith("accepted_at:"))
    return {
        "num_drafts": int(drafts),
        "draft_tokens": int(drafted),
        "accepted_tokens": int(accepted),
        "acceptance_rate": accepted / drafted,
        "acceptance_length": 1 + accepted / drafts if drafts else None,
        "per_position_acceptance_rates": [grown[f"accepted_at:{k}"] / drafts for k in positions] if drafts else [],
    }


def energy(
    before: Mapping[str, float] | None, after: Mapping[str, float] | None, output_tokens: int
) -> dict[str, float | None] | None:
    """Energy of the server's GPUs during the run; None when the server does not tell, or nothing was used.

    Args:
        before: ``total_energy_j`` and ``query_time`` (s) before the run; None: not read.
        after: the same after it.
        output_tokens: of the requests that ended well.

    Returns:
        ``total_energy_j``; ``output_tps_per_w`` = output tokens per joule, which is tokens per second per watt;
        ``total_gpu_power_w`` = energy / time between the readings (None without such a time).
    """
    if before is None or after is None:
        return None
    used_j = after["total_energy_j"] - before["total_energy_j"]
    span_s = after["query_time"] - before["query_time"]
    if used_j <= 0:
        return None
    return {
        "total_energy_j": used_j,
        "output_tps_per_w": output_tokens / used_j,
        "total_gpu_power_w": used_j / span_s if span_s > 0 else None,
    }
