"""From the records of a run to its result and files. Imported when the load has ended: nothing here delays the first
request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tokenclock import environment
from tokenclock.calibration_store import kept_calibration
from tokenclock.findings import SideResults, side_results
from tokenclock.measured_windows import MeasuredWindows
from tokenclock.metrics.client_cost import event_rate
from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.genai_perf_face import genai_perf_face
from tokenclock.metrics.summary import RunSummary, summarise
from tokenclock.metrics.telemetry import nvml_statistics
from tokenclock.of_ranks import ranks_block, records_of_all
from tokenclock.plan import ServingPlan
from tokenclock.plan_facts import facts_of
from tokenclock.plan_windows import KEPT_WINDOWS
from tokenclock.profile_files import Payloads
from tokenclock.quality import assess
from tokenclock.quality_words import in_words_of_profile
from tokenclock.records import Records
from tokenclock.result import Result, build_result
from tokenclock.result_files import save_result_files
from tokenclock.result_sections import certainty_sections
from tokenclock.serving.around import Findings
from tokenclock.serving.preflight import explain_failure
from tokenclock.serving.ranks import RankPart
from tokenclock.workload.arrivals import mean_rate
from tokenclock.workload.realised import Workload

__all__ = ["conclude"]


def conclude(
    plan: ServingPlan,
    workload: Workload,
    parts: Sequence[RankPart],
    findings: Findings,
    probe_columns: Mapping[str, Any] | None,
    gpu: Mapping[str, Any] | None,
    *,
    started: datetime,
    path: Path | None,
    say: Callable[[str], None],
    on_records: Callable[[Records], None] | None = None,
    windows: MeasuredWindows | None = None,
    payloads: Payloads | None = None,
) -> tuple[Result, bool]:
    """One result of what all ranks saw, written to its files.

    Args:
        plan, workload: of the whole run.
        parts: what each rank saw; one for a run without MPI.
        findings, probe_columns, gpu: of the server, the probes and the GPUs; None where none were asked.
        started: when the run began, with its time zone.
        path: of the result's file; None: no files are written.
        say: told one line at a time.
        on_records: given the columns of all ranks before the result is made of them.
        windows: those that were measured, where the run was to end by them: the last of them are reported.
        payloads: what each request sent, for the files of ``profile``.

    Returns:
        The result, and whether every file of it was written.
    """
    records = records_of_all(parts, workload)
    if on_records is not None:
        on_records(records)
    if windows is not None:
        records = windows.trimmed(records)
        say(f"tokenclock serving: {_said_of_windows(windows)}")
    side = side_results(plan, findings, probe_columns, records, gpu)
    result = _result(plan, workload, records, started, side, parts)
    whole = True
    if path is not None:
        date = started.astimezone().strftime("%Y%m%d-%H%M%S")
        whole = save_result_files(plan, result, records, side, path=path, date=date, say=say, payloads=payloads)
    if windows is not None and not records.n_requests and not result.incomplete:
        say(f"tokenclock serving: {_said_of_empty(windows)}")
        return result, False  # so that what was measured stays in the event log
    if result.requests["ok"] == 0 and records.n_requests and not result.incomplete:
        why = explain_failure(plan, records, int((~records.ok).argmax()))
        say(f"tokenclock serving: every request failed: {why}")
    return result, whole


def _result(
    plan: ServingPlan,
    workload: Workload,
    records: Records,
    started: datetime,
    side: SideResults,
    parts: Sequence[RankPart],
) -> Result:
    facts, environment_facts = _facts(plan, workload), environment.collect()
    incomplete = bool(records.client["interrupted"])
    if plan.load.windows is not None:
        facts = replace(facts, num_prompts=records.n_requests)
    summary = summarise(records, facts)
    quality, told = assess(records, facts, summary, incomplete=incomplete), plan.to_dict()
    return build_result(
        summary,
        in_words_of_profile(quality, told) if plan.command == "profile" else quality,
        facts,
        plan=told,
        environment=environment_facts,
        workload={
            "sha256": workload.sha256,
            "dataset": workload.dataset,
            "tokenizer": workload.tokenizer,
            "notes": list(workload.notes),
            "prompt_tokens": workload.asked_and_got(),
            "lora": workload.lora_counts(),
        },
        client=_with_ceiling(records, environment_facts),
        created=started,
        incomplete=incomplete,
        server=side.server,
        probes=side.probes,
        ranks=ranks_block(parts, facts),
        gpu=side.gpu,
        faces=_other_faces(plan, records, facts, summary, side),
        **certainty_sections(records, facts, summary, seed=plan.load.seed),
    )


def _other_faces(
    plan: ServingPlan, records: Records, facts: RunFacts, summary: RunSummary, side: SideResults
) -> dict[str, Any]:
    """What further tools would have shown of this run, for the commands that stand in for them."""
    if plan.command != "profile":
        return {}
    telemetry = side.dcgm or nvml_statistics(side.gpu)
    return {"profile": {**genai_perf_face(records, facts, summary), "telemetry": telemetry}}


def _said_of_windows(windows: MeasuredWindows) -> str:
    n, end = len(windows.windows), "agree" if windows.stable else "do not agree within --stability-percentage"
    return f"{n} windows were measured; the last {min(n, KEPT_WINDOWS)} {end} and are reported"


def _said_of_empty(windows: MeasuredWindows) -> str:
    n = min(len(windows.windows), KEPT_WINDOWS)
    return f"no answer ended in the last {n} windows of {windows.interval_s * 1e3:g} ms; raise --measurement-interval"


def _with_ceiling(records: Records, machine: Mapping[str, Any]) -> dict[str, Any]:
    """The client's counters; where this machine was calibrated, also how close to its ceiling the run came."""
    calibration, rate = kept_calibration(machine), event_rate(records)
    ceiling = None if calibration is None else calibration.ceiling_events_per_s
    if calibration is None or ceiling is None or rate is None:
        return records.client
    found = {"events_per_s": rate, "ceiling_events_per_s": ceiling, "share_of_ceiling": rate / ceiling}
    found["ceiling_was_met"] = calibration.ceiling_was_met
    return {**records.client, "calibration": {**found, "calibrated": calibration.created}}


def _facts(plan: ServingPlan, workload: Workload) -> RunFacts:
    rate = workload.mean_rate or mean_rate(plan.load, len(workload))
    pauses = workload.think_ns is not None and bool(workload.think_ns.any())
    return replace(facts_of(plan, len(workload), rate, shared_prefix=workload.shared_prefix), pauses=pauses)
