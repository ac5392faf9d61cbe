"""Sections that are there only when asked for or told: words, order and decimals."""

from __future__ import annotations

import json
from typing import Any

from tokenclock.metrics.facts import RunFacts
from tokenclock.report import json_file, quality_block, serving_table
from tokenclock.result import Result

MS = 1_000_000
REQUESTS = [{"sent": 0, "tokens": [10 * MS, 30 * MS]}, {"sent": 0, "tokens": [20 * MS]}, {"status": "timeout"}]
SERVER = {
    "commands": {},
    "spec_decode": {
        "num_drafts": 20, "draft_tokens": 60, "accepted_tokens": 30, "acceptance_rate": 0.5, "acceptance_length": 2.5,
        "per_position_acceptance_rates": [0.75, 0.25],
    },
    "energy": {"total_energy_j": 600.0, "output_tps_per_w": 2.0, "total_gpu_power_w": None},
    "time_breakdown": {
        "method": "order", "n_records": 2, "n_joined": 2,
        "segments": {"ctx_queue": {"n": 2, "mean_ns": 3e6, "median_ns": 2.5e6, "p99_ns": 4e6}},
    },
}  # fmt: skip
PROBES = {
    "rate": 1.0, "completed": 3, "failed": 1, "unfinished": 2,
    "e2el_ns": {"mean": 5.0e6, "median": 4.0e6, "p99": 8.25e6, "max": 9.0e6},
}  # fmt: skip


def lines_of(result: Result, *, full: bool = False) -> list[str]:
    return [line.rstrip() for line in serving_table.render(result, full=full).splitlines()]


def made(make_result: Any, facts: RunFacts = RunFacts(), **side: Any) -> Result:  # noqa: B008
    result: Result = make_result(REQUESTS, facts, client={"wall_ns": 100 * MS}, **side)
    return result


def between(lines: list[str], first: str, last: str) -> list[str]:
    at = next(k for k, line in enumerate(lines) if line.strip("-= ") == first)
    return lines[at + 1 : next(k for k in range(at + 1, len(lines)) if lines[k].strip("-= ") == last)]


def test_probes_stand_before_the_latencies(make_result: Any) -> None:
    lines = lines_of(made(make_result, probes=PROBES))
    assert between(lines, "Probe Requests", "Time to First Token") == [
        "Probe requests completed:                3",
        "Probe requests failed:                   1",
        "Probe requests unfinished:               2",
        "Median probe E2EL (ms):                  4.00",
        "P99 probe E2EL (ms):                     8.25",
        "Max probe E2EL (ms):                     9.00",
    ]


def test_the_server_s_sections_stand_behind_them(make_result: Any) -> None:
    result = made(make_result, server=SERVER)
    assert between(lines_of(result), "Speculative Decoding", "Request Time Breakdown") == [
        "Acceptance rate (%):                     50.00",
        "Acceptance length:                       2.50",
        "Drafts:                                  20",
        "Draft tokens:                            60",
        "Accepted tokens:                         30",
        "Per-position acceptance (%):",
        "  Position 0:                            75.00",
        "  Position 1:                            25.00",
    ]
    assert between(lines_of(result), "Request Time Breakdown", "") == [
        "Median ctx_queue (ms):                   2.50",
        "Joined to requests by:                   order",
    ]
    assert between(lines_of(result, full=True), "Energy Metrics", "Request Time Breakdown") == [
        "Total Energy (J):                        600.0000",
        "Output Tokens per Second per Watt (tps/W): 2.0000",
        "Total GPU Power (W):                     n/a",
    ]


def test_nothing_asked_and_nothing_told_leaves_the_table_as_it_was(make_result: Any) -> None:
    empty = {"commands": {}, "spec_decode": None, "energy": None, "time_breakdown": None}
    assert lines_of(made(make_result, server=empty)) == lines_of(made(make_result))


def test_the_keys_of_the_file(make_result: Any) -> None:
    facts = RunFacts(label="cold", ramp_up=("linear", 1.0, 4.0), metadata={"label": "not this", "note": "kept"})
    values = json.loads(json.dumps(json_file.content(made(make_result, facts, server=SERVER, probes=PROBES))))
    expected = {
        "label": "cold", "note": "kept", "ramp_up_strategy": "linear", "ramp_up_start_rps": 1.0, "ramp_up_end_rps": 4.0,
        "probe_completed": 3, "probe_failed": 1, "probe_unfinished": 2, "probe_median_e2el_ms": 4.0,
        "probe_p99_e2el_ms": 8.25, "probe_max_e2el_ms": 9.0, "spec_decode_acceptance_rate": 50.0,
        "spec_decode_acceptance_length": 2.5, "spec_decode_num_drafts": 20, "spec_decode_draft_tokens": 60,
        "spec_decode_accepted_tokens": 30, "spec_decode_per_position_acceptance_rates": [0.75, 0.25],
        "energy": {"total_energy_j": 600.0, "output_tps_per_w": 2.0, "total_gpu_power_w": None},
        "request_time_breakdown": {"join": "order", "median_ms": {"ctx_queue": 2.5}},
    }  # fmt: skip
    assert values.items() >= expected.items()
    assert not {key for key in json_file.content(made(make_result)) if key.startswith(("probe", "spec", "energy"))}


def test_goodput_says_which_limit_was_missed_and_how_sure_that_is(make_result: Any) -> None:
    result = made(make_result, RunFacts(slos_ms={"ttft": 15, "tpot": 30.5}))
    lines = quality_block.render(result).splitlines()
    at = next(k for k, line in enumerate(lines) if line.startswith("Requests within every limit:"))
    assert [" ".join(line.split()) for line in lines[at : at + 5]] == [
        "Requests within every limit: 33.33 %",
        "of all scheduled: 1 of 3",
        "95 % interval (Wilson): 6.15 % to 79.23 %",
        "within TTFT 15 ms: 33.33 %",
        "within TPOT 30.5 ms: 66.67 %",
    ]
    lenient = quality_block.render(made(make_result, RunFacts(slos_ms={"ttft": 25, "tpot": 30})))
    assert "without a TPOT to miss:" in lenient
