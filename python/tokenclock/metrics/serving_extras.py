"""Keys of the ``serving`` JSON that are asked for or told by the server, named as in vLLM's client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenclock import units
from tokenclock.metrics.facts import RunFacts

__all__ = ["extra_values"]


def extra_values(facts: RunFacts, probes: Mapping[str, Any] | None, server: Mapping[str, Any] | None) -> dict[str, Any]:
    """Label, ramp-up, probes (ms), speculative decoding (rates in %), energy, and medians of the time breakdown (ms).

    Args:
        facts: what was asked.
        probes: ``metrics.probes.summarise_probes``; None without probes.
        server: ``spec_decode``, ``energy`` and ``time_breakdown`` as in the result, each None when there is none.
    """
    values: dict[str, Any] = {}
    if facts.label is not None:
        values["label"] = facts.label
    if facts.ramp_up is not None:
        for name, value in zip(("strategy", "start_rps", "end_rps"), facts.ramp_up, strict=True):
            values[f"ramp_up_{name}"] = value
    if probes is not None:
        values |= {f"probe_{name}": probes[name] for name in ("completed", "failed", "unfinished")}
        for name in ("median", "p99", "max"):
            value_ns = probes["e2el_ns"][name]
            values[f"probe_{name}_e2el_ms"] = None if value_ns is None else units.ns_to_ms(value_ns)
    server = server or {}
    spec = server.get("spec_decode")
    if spec is not None:
        values |= {
            "spec_decode_acceptance_rate": 100 * spec["acceptance_rate"],
            "spec_decode_acceptance_length": spec["acceptance_length"],
            "spec_decode_num_drafts": spec["num_drafts"],
            "spec_decode_draft_tokens": spec["draft_tokens"],
            "spec_decode_accepted_tokens": spec["accepted_tokens"],
            "spec_decode_per_position_acceptance_rates": list(spec["per_position_acceptance_rates"]),
        }
    if server.get("energy") is not None:
        values["energy"] = dict(server["energy"])
    breakdown = server.get("time_breakdown")
    if breakdown is not None:
        values["request_time_breakdown"] = {
            "join": breakdown["method"],
            "median_ms": {name: units.ns_to_ms(found["median_ns"]) for name, found in breakdown["segments"].items()},
        }
    return values
