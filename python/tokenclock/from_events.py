"""Results computed again from event logs: of load tests, of one process or of several ranks, and of offline runs.

A log holds the plan and what was seen. What a result says besides (the hash of the requests, the server's own counters,
GPUs, the machine, what the loop costs) is not in it, and stays absent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from tokenclock import event_log, iteration_log
from tokenclock.errors import UsageError
from tokenclock.iteration_records import TIMED, IterationRecords, whole_iterations
from tokenclock.merge import Part, merge_records
from tokenclock.metrics.benchmark_face import CaseFacts, benchmark_values
from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.offline_case import case_numbers
from tokenclock.metrics.summary import summarise
from tokenclock.plan import ServingPlan
from tokenclock.plan_benchmark import BenchmarkPlan
from tokenclock.plan_facts import bench_facts, facts_of
from tokenclock.plan_throughput import ThroughputPlan
from tokenclock.quality import assess
from tokenclock.quality_benchmark import CaseFindings, assess_benchmark
from tokenclock.records import Records
from tokenclock.result import Result, build_result
from tokenclock.result_benchmark import build_benchmark_result, case_entry, case_label
from tokenclock.result_sections import certainty_sections
from tokenclock.serving.split import rows_of_rank
from tokenclock.workload.arrivals import mean_rate

__all__ = ["rebuild"]

_NOTE = "computed again from an event log: the start is when the log was last written, the hash of requests is unknown"


def rebuild(directory: str | Path) -> tuple[Result, Records | None, IterationRecords | None]:
    """The result of an event log, with its records: of a load test, else the iterations of an offline run.

    Args:
        directory: of ``--save-events``; of a load test under mpirun the one that holds ``rank-0000`` and so on.

    Raises:
        UsageError: no event log, a damaged one, or a rank's part is not there.
    """
    folder = Path(directory)
    ranks = sorted(folder.glob("rank-[0-9][0-9][0-9][0-9]")) if folder.is_dir() else []
    header = _header(ranks[0] if ranks else folder)
    if header.get("command") == "benchmark":
        result, iterations = _offline(folder)
        return result, None, iterations
    if header.get("command") in ("throughput", "latency"):
        plan, records, incomplete = event_log.read(folder)
        return _in_process(plan, records, incomplete, _written(folder)), records, None
    plan, records, incomplete = _of_ranks(ranks) if ranks else event_log.read(folder)
    return _serving(plan, records, incomplete, _written(ranks[0] if ranks else folder)), records, None


def _header(folder: Path) -> Mapping[str, Any]:
    """The plan in a log."""
    try:
        plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))["plan"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{folder} is no event log: expected plan.json and parts of --save-events ({error})"
        ) from error
    return plan if isinstance(plan, dict) else {}


def _written(folder: Path) -> datetime:
    return datetime.fromtimestamp((folder / "plan.json").stat().st_mtime, timezone.utc)


def _of_ranks(ranks: Sequence[Path]) -> tuple[dict[str, Any], Records, bool]:
    """The logs of all ranks of one load test as that of one client."""
    numbers = [int(re.sub(r"\D", "", folder.name)) for folder in ranks]
    if numbers != list(range(len(ranks))):
        lost = next(i for i in range(len(ranks) + 1) if i not in numbers)
        raise UsageError(f"{ranks[0].parent} has no rank-{lost:04d}: copy the logs of all hosts into one place first")
    read = [event_log.read(folder) for folder in ranks]
    n = sum(records.n_requests for _, records, _ in read)
    slots = ServingPlan.from_dict(read[0][0]).load.max_concurrency  # each log has the plan of the whole
    parts = [Part(rows_of_rank(n, rank, len(ranks), slots), records) for rank, (_, records, _) in enumerate(read)]
    asked = {name: np.full(n, -1, np.int32) for name in ("isl_requested", "osl_requested")}
    for part in parts:
        for name, column in asked.items():
            column[part.rows] = part.records.columns[name]
    return read[0][0], merge_records(parts, asked), any(incomplete for _, _, incomplete in read)


def _in_process(plan_dict: dict[str, Any], records: Records, incomplete: bool, written: datetime) -> Result:
    """Of `throughput` or `latency` on a runtime in its own process."""
    plan = ThroughputPlan.from_dict(plan_dict)
    facts = bench_facts(plan, records.n_requests, None)
    records = replace(records, client={"transport": "in process", **records.client})  # a killed run could not say so
    return _of_requests(plan_dict, "trtllm_bench", plan.seed, facts, records, incomplete, written)


def _serving(plan_dict: dict[str, Any], records: Records, incomplete: bool, written: datetime) -> Result:
    plan = ServingPlan.from_dict(plan_dict)
    n = records.n_requests
    shared_prefix = bool(getattr(plan.dataset, "prefix_len", 0))
    facts = facts_of(plan, n, mean_rate(plan.load, n), shared_prefix=shared_prefix)
    dataset = plan_dict.get("dataset", {}).get("name")
    return _of_requests(plan_dict, dataset, plan.load.seed, facts, records, incomplete, written)


def _of_requests(
    plan_dict: dict[str, Any],
    dataset: str | None,
    seed: int,
    facts: RunFacts,
    records: Records,
    incomplete: bool,
    written: datetime,
) -> Result:
    summary = summarise(records, facts)
    return build_result(
        summary,
        assess(records, facts, summary, incomplete=incomplete),
        facts,
        plan=plan_dict,
        environment={},
        workload={"sha256": None, "dataset": dataset, "notes": [_NOTE]},
        client=records.client,
        created=written,
        incomplete=incomplete,
        **certainty_sections(records, facts, summary, seed=seed),
    )


def _offline(folder: Path) -> tuple[Result, IterationRecords]:
    plan_dict, rows, ended, incomplete = iteration_log.read(folder)
    plan = BenchmarkPlan.from_dict(plan_dict)
    told = {entry["index"]: entry for entry in ended}
    world_size = max(1, len(np.unique(rows.columns["rank"])))
    entries, face, findings, has_device_times = [], [], [], False
    for case in plan.cases():
        of_case = rows.take(rows.columns["case"] == case.index)
        numbers, status, reason = None, "not_run", "the run ended before"
        if case.index in told:
            status, reason = str(told[case.index]["status"]), told[case.index]["reason"]
        whole = whole_iterations(of_case)
        if (whole.columns["phase"] == TIMED).any() and (case.index not in told or status == "measured"):
            numbers = case_numbers(whole, num_beams=case.num_beams, percentiles=plan.output.percentiles)
            status, reason = "measured", reason if case.index in told else "the run ended before the case did"
            has_device_times |= "device_latency" in numbers.series
        facts = CaseFacts(
            plan.family, world_size, {}, case.batch_size, case.input_len, case.output_len, case.gpu_weights_percent
        )
        entries.append(case_entry(case, status=status, reason=reason, numbers=numbers))
        face.append(benchmark_values(facts, numbers))
        findings.append(CaseFindings(case_label(case), status, numbers))
    result = build_benchmark_result(
        plan,
        cases=entries,
        face=face,
        latency_source="cuda events" if has_device_times else "host clock",
        # the cost of the loop is not in a log: is_null leaves its two checks out
        quality=assess_benchmark(
            findings,
            per_iteration_ns=0,
            per_step_ns=0,
            named_percentiles=plan.output.percentiles,
            incomplete=incomplete,
            is_null=True,
        ),
        model={},
        ranks={"world_size": world_size, "n": world_size, "kind": None, "of": []},
        loop={},
        environment={},
        notes=[_NOTE],
        created=_written(folder),
        incomplete=incomplete,
    )
    return result, rows
