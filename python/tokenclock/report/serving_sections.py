"""Sections of the ``serving`` table that are there only when asked for, or when the server tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tokenclock.report.format import fixed, heading, row

__all__ = ["energy_section", "probe_section", "spec_decode_section", "time_breakdown_section"]


def probe_section(values: Mapping[str, Any]) -> Iterator[str]:
    """Rows of the probes, as vLLM's client prints them."""
    if "probe_completed" not in values:
        return
    yield heading("Probe Requests")
    yield row("Probe requests completed:", values["probe_completed"])
    yield row("Probe requests failed:", values["probe_failed"])
    if values["probe_unfinished"]:
        yield row("Probe requests unfinished:", values["probe_unfinished"])
    yield row("Median probe E2EL (ms):", fixed(values["probe_median_e2el_ms"]))
    yield row("P99 probe E2EL (ms):", fixed(values["probe_p99_e2el_ms"]))
    yield row("Max probe E2EL (ms):", fixed(values["probe_max_e2el_ms"]))


def spec_decode_section(values: Mapping[str, Any]) -> Iterator[str]:
    """Rows of speculative decoding, as vLLM's client prints them."""
    if "spec_decode_acceptance_rate" not in values:
        return
    yield heading("Speculative Decoding")
    yield row("Acceptance rate (%):", fixed(values["spec_decode_acceptance_rate"]))
    yield row("Acceptance length:", fixed(values["spec_decode_acceptance_length"]))
    yield row("Drafts:", values["spec_decode_num_drafts"])
    yield row("Draft tokens:", values["spec_decode_draft_tokens"])
    yield row("Accepted tokens:", values["spec_decode_accepted_tokens"])
    rates = values["spec_decode_per_position_acceptance_rates"]
    if rates:
        yield "Per-position acceptance (%):"
        for position, rate in enumerate(rates):
            yield row(f"  Position {position}:", fixed(100 * rate))


def energy_section(values: Mapping[str, Any]) -> Iterator[str]:
    """Rows of the server's energy, as the newest original prints them."""
    found = values.get("energy")
    if found is None:
        return
    yield heading(" Energy Metrics ")
    yield row("Total Energy (J):", fixed(found["total_energy_j"], 4))
    yield row("Output Tokens per Second per Watt (tps/W):", fixed(found["output_tps_per_w"], 4))
    yield row("Total GPU Power (W):", fixed(found["total_gpu_power_w"], 4))


def time_breakdown_section(values: Mapping[str, Any]) -> Iterator[str]:
    """The median of each step inside the server, and how its records were joined to ours."""
    found = values.get("request_time_breakdown")
    if found is None:
        return
    yield heading("Request Time Breakdown")
    for name, median_ms in found["median_ms"].items():
        yield row(f"Median {name} (ms):", fixed(median_ms))
    yield row("Joined to requests by:", found["join"])
