"""What several ranks saw of a load test, as one client's records, and what the result says of each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tokenclock.dealing import share_of_slots
from tokenclock.merge import merge_records
from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.summary import summarise
from tokenclock.quality import assess
from tokenclock.records import Records
from tokenclock.serving.ranks import RankPart
from tokenclock.workload.realised import Workload

__all__ = ["ranks_block", "records_of_all"]


def records_of_all(parts: Sequence[RankPart], workload: Workload) -> Records:
    """The records of all ranks, in the order of the whole workload; what quality needs to know of the ranks is among
    the counters: ``n_ranks``, ``ranks_lost``, ``rank_clock_uncertainty_ns``."""
    if len(parts) == 1 and parts[0].part is not None:
        return parts[0].part.records
    asked = {"isl_requested": workload.isl_requested, "osl_requested": workload.osl_requested}
    records = merge_records([part.part for part in parts if part.part is not None], asked)
    of_ranks = {
        "n_ranks": len(parts),
        "ranks_lost": [part.facts["rank"] for part in parts if part.facts["ended"] != "well"],
        "rank_clock_uncertainty_ns": max(part.facts["clock_uncertainty_ns"] for part in parts),
        "interrupted": bool(records.client.get("interrupted", True)),  # a log has counters only once its run has ended
    }
    return replace(records, client=records.client | of_ranks)


def ranks_block(parts: Sequence[RankPart], facts: RunFacts) -> dict[str, Any] | None:
    """What the result says of each rank, its own measurement quality included; None for one process.

    facts: of the whole run.
    """
    if len(parts) == 1:
        return None
    of = []
    for part in parts:
        quality = None
        if part.part is not None:
            records, slots = part.part.records, facts.max_concurrency
            share = None if slots is None else share_of_slots(slots, part.facts["rank"], len(parts))
            own = replace(facts, num_prompts=records.n_requests, max_concurrency=share)
            quality = assess(records, own, summarise(records, own)).to_dict()
        of.append({**part.facts, "quality": quality})
    return {"world_size": len(parts), "n": len(parts), "kind": "client", "of": of}
