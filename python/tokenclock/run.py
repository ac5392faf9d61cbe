"""Runs a plan: the only place where plan, workload, client, metrics, quality and result meet."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tokenclock import environment
from tokenclock.calibration_store import kept_calibration
from tokenclock.event_log import EventLog
from tokenclock.findings import SideResults, side_results
from tokenclock.interrupts import deferred_interrupts
from tokenclock.metrics.client_cost import event_rate
from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.summary import summarise
from tokenclock.of_ranks import ranks_block, records_of_all
from tokenclock.output_place import prepare_output, set_aside, temporary_log
from tokenclock.parallel import connect
from tokenclock.plan import ServingPlan
from tokenclock.plan_facts import facts_of
from tokenclock.quality import assess
from tokenclock.records import Records
from tokenclock.result import Result, build_result
from tokenclock.result_files import save_result_files
from tokenclock.result_sections import certainty_sections
from tokenclock.serving.around import Around, Findings
from tokenclock.serving.client import FinalEvents, LoadRequests, Observer, run_load
from tokenclock.serving.endpoint import Prompt
from tokenclock.serving.gpu_watch import GpuWatch
from tokenclock.serving.preflight import explain_failure, send_test_request, send_warmups, wait_until_up
from tokenclock.serving.probe import Probes
from tokenclock.serving.ranks import RankPart, Ranks
from tokenclock.serving.server import ServerModels, ask_models
from tokenclock.serving.transport import reach
from tokenclock.standard_error import say_on_stderr
from tokenclock.workload.arrivals import mean_rate
from tokenclock.workload.build import build_workload, needs_vocabulary
from tokenclock.workload.realised import Workload

__all__ = ["run_serving"]

_FINAL_EVENTS_UP_TO = 100_000  # requests whose last event is kept raw beside the columns

Progress = Callable[[Mapping[str, int]], None]


def run_serving(
    plan: ServingPlan,
    *,
    on_progress: Progress | None = None,
    say: Callable[[str], None] = say_on_stderr,
    ends_process: bool = False,
) -> Result:
    """Measure an OpenAI-compatible server and return the result; files are written as the plan's output group says.

    Args:
        plan: the whole run.
        on_progress: told the counters 20 times a second (`n_requests n_sent n_done n_failed n_in_flight n_events`).
        say: told one line at a time what the user should know; default: stderr.
        ends_process: the caller exits after this run: once a signal has stopped it, later ones are ignored.

    Returns:
        The Result; `incomplete` after Ctrl-C, with everything that had been measured. Where every request failed it
        has no latencies: `result.requests["ok"]` is 0.

    Raises:
        UsageError: bad input, before the first request.
        MeasurementError: the server cannot be reached, or refuses the test request.
    """
    ranks = Ranks(connect(), plan, say)
    say = ranks.say
    started = ranks.same(datetime.now(timezone.utc))
    date = started.astimezone().strftime("%Y%m%d-%H%M%S")
    path = ranks.same(prepare_output(plan, date) if ranks.is_first else None)
    addresses = reach(plan)
    deadline_s = time.monotonic() + plan.load.ready_check_timeout_s
    wait_until_up(plan, deadline_s, say)
    workload = _realise(plan)
    own_plan, own_workload = ranks.share(plan, workload)
    has_usage = ranks.same(ranks.is_first and _prepare_server(plan, workload, addresses, deadline_s))
    for note in workload.notes:  # only now: a server that is not there deserves one line
        say(f"tokenclock serving: {note}")
    if plan.generation.temperature is None and "temperature" not in plan.generation.extra_body:
        say("tokenclock serving: no --temperature: the server's own default holds (0 is greedy)")
    count_tokens = None if has_usage else workload.count_tokens
    with deferred_interrupts(
        lambda line: say(f"tokenclock serving: {line}"), ends_process=ends_process
    ) as stop_requested:
        place = ranks.same(_log_place(plan, path, say) if ranks.is_first else None)
        log = None if place is None else _open_log(plan, own_workload, place, ranks)
        probes = Probes(own_plan, addresses) if own_plan.load.probe_request_rate > 0 else None
        observer = _Watcher(on_progress, log, probes, stop_requested, len(own_workload))
        whole = True

        def finish(
            parts: list[RankPart],
            findings: Findings,
            probe_columns: dict[str, Any] | None,
            gpu: dict[str, Any] | None = None,
        ) -> Result:
            """On rank 0: one result of all ranks, in its files."""
            nonlocal whole
            records = records_of_all(parts, workload)
            side = side_results(plan, findings, probe_columns, records, gpu)
            incomplete = bool(records.client["interrupted"])
            result = _conclude(plan, workload, records, started, incomplete, side, parts)
            if path is not None:
                whole = save_result_files(plan, result, records, side, path=path, date=date, say=say)
            if result.requests["ok"] == 0 and not result.incomplete:
                why = explain_failure(plan, records, _first_failure(records))
                say(f"tokenclock serving: every request failed: {why}")
            return result

        def finish_from_logs() -> None:
            """In place of a rank 0 that was killed."""
            parts = ranks.from_logs(place) if place is not None else []
            if any(part.facts["n_seen"] for part in parts):
                say("tokenclock serving: ended from outside; keeping what the event logs hold")
                finish(parts, Findings(), None, None)

        with ranks.guarded(finish_from_logs, needed=path is not None) as done:
            own_records, findings, probe_columns, gpu = _measure(
                own_plan, own_workload, addresses, count_tokens, observer, ranks
            )
            if log is not None:
                log.finish(own_records, incomplete=bool(own_records.client["interrupted"]))
            parts = ranks.collect(own_records, place)
            result = None if parts is None else finish(parts, findings, probe_columns, gpu)
            done()
        handed, whole = ranks.hand_out((result.to_dict() if result is not None and ranks.several else {}, whole))
        result = result or Result.from_dict(handed)
        if place is not None and plan.output.save_events is None:
            if whole:
                ranks.clear_log(place)
            elif log is not None and not log.broken:
                say(f"tokenclock serving: everything that was measured is kept in {place}")
    return result


def _measure(
    plan: ServingPlan,
    workload: Workload,
    addresses: list[tuple[str, int]],
    count_tokens: Callable[[str], int] | None,
    observer: _Watcher,
    ranks: Ranks,
) -> tuple[Records, Findings, dict[str, Any] | None, dict[str, Any] | None]:
    """The load, with what is asked of the server before and after it and the probes beside it."""
    around, probes = Around(plan, ranks.say, asks=ranks.is_first), observer.probes
    gpus = GpuWatch(plan, addresses, ranks.say, asks=ranks.is_first)
    try:
        gpus.start()
        around.before()
        if probes is not None:
            probes.start()
        gpus.begin()
        records = _load(plan, workload, addresses, count_tokens, observer, ranks)
        gpus.end()
        probe_columns = _afterwards(around, probes, bool(records.client["interrupted"]), ranks.say)
    finally:
        around.stop_profile()
        gpus.stop()
        if probes is not None:
            probes.abandon()
    return records, around.findings, probe_columns, gpus.found


def _realise(plan: ServingPlan) -> Workload:
    models = ask_models(plan) if needs_vocabulary(plan) else ServerModels()
    workload = build_workload(plan, n_vocab=models.n_vocab)
    note = models.note_on(plan.endpoint.body_model)
    return replace(workload, notes=(*workload.notes, note)) if note else workload


def _prepare_server(plan: ServingPlan, workload: Workload, addresses: list[tuple[str, int]], deadline_s: float) -> bool:
    """Test request and warm-ups. True when the server reports usage, so that no text must be kept to count tokens."""
    spares = _spares(plan, workload)
    has_usage = False
    if plan.load.test_input:
        records = send_test_request(plan, spares.pop(0), addresses, deadline_s)
        has_usage = bool(records.columns["osl_source"][0] == 1)
    if spares and plan.load.ramp_up_s == 0:
        send_warmups(plan, spares, addresses)
    return has_usage


def _spares(plan: ServingPlan, workload: Workload) -> list[tuple[Prompt, int]]:
    """Prompts and lengths of the test request and the warm-ups, in this order."""
    n_spares = int(plan.load.test_input) + plan.load.num_warmups
    return workload.spare_prompts(n_spares) if n_spares else []


def _handed_over(plan: ServingPlan, workload: Workload) -> list[tuple[Prompt, int]]:
    """The warm-ups that take the first turns of a ramp's slots, and leave them to the measured requests."""
    return _spares(plan, workload)[int(plan.load.test_input) :] if plan.load.ramp_up_s > 0 else []


def _load(
    plan: ServingPlan,
    workload: Workload,
    addresses: list[tuple[str, int]],
    count_tokens: Callable[[str], int] | None,
    observer: Observer,
    ranks: Ranks,
) -> Records:
    """The measured part."""
    output = plan.output
    return run_load(
        plan,
        LoadRequests(
            workload.prompts,
            workload.isl_requested,
            workload.osl_requested,
            workload.t_due_ns,
            plan.load.request_id_prefix,
            lora=workload.lora_index,
            id_numbers=ranks.rows(),
        ),
        addresses=addresses,
        keep_text=count_tokens is not None,
        keep_all_text=output.save_result and output.save_detailed,
        keep_final_event=output.save_result and output.save_columns and len(workload) <= _FINAL_EVENTS_UP_TO,
        count_tokens=count_tokens,
        observer=observer,
        start_at=ranks.start,
        warm_ups=_handed_over(plan, workload),
    )


def _afterwards(
    around: Around, probes: Probes | None, interrupted: bool, say: Callable[[str], None]
) -> dict[str, Any] | None:
    """Ask the server what it was to be asked and end the probes; returns their columns. Ctrl-C skips what is left."""
    probe_columns = None
    try:
        around.read_counters()
        if probes is not None:
            probe_columns = probes.stop(interrupted=interrupted)
            if probes.exhausted:
                say("tokenclock serving: the probes ran out before the end; lower --probe-request-rate")
        around.after()
    except KeyboardInterrupt:
        say("tokenclock serving: stopped; the load's own measurements are whole")
    return probe_columns


def _log_place(plan: ServingPlan, path: Path | None, say: Callable[[str], None]) -> Path | None:
    """Where the event log goes: as asked for, or a temporary one beside the result, so that a killed run loses a second
    at most; None without either."""
    if plan.output.save_events is not None:
        return Path(plan.output.save_events)
    return None if path is None else temporary_log(path, lambda line: say(f"tokenclock serving: {line}"))


def _open_log(plan: ServingPlan, workload: Workload, place: Path, ranks: Ranks) -> EventLog:
    if plan.output.save_events is None:
        set_aside(ranks.log_directory(place))
    asked: dict[str, Any] = {"isl_requested": workload.isl_requested, "osl_requested": workload.osl_requested}
    if workload.lora_index is not None:
        asked["lora"] = workload.lora_index
    warn = lambda line: ranks.say(f"tokenclock serving: {line}")  # noqa: E731
    return EventLog(ranks.log_directory(place), plan.to_dict(), asked, warn=warn)


class _Watcher(Observer):
    """Passes progress on, keeps the probes going and writes the event log while the run goes on."""

    def __init__(
        self,
        on_progress: Progress | None,
        log: EventLog | None,
        probes: Probes | None,
        stop_requested: Callable[[], bool],
        n_requests: int,
    ) -> None:
        self._on_progress = on_progress
        self._n_requests = n_requests
        self._log = log
        self.probes = probes
        self._stop_requested = stop_requested

    def stop_requested(self) -> bool:
        return self._stop_requested()

    def on_progress(self, progress: Mapping[str, int]) -> None:
        if self.probes is not None:
            self.probes.feed()
        if self._on_progress is not None:
            self._on_progress({**progress, "n_requests": self._n_requests})

    def on_final(self, client: FinalEvents, *, ended: bool) -> None:
        if self._log is not None and (ended or self._log.due()):
            self._log.write(client.take_final(), client.columns())


def _facts(plan: ServingPlan, workload: Workload) -> RunFacts:
    rate = workload.mean_rate or mean_rate(plan.load, len(workload))
    return facts_of(plan, len(workload), rate, shared_prefix=workload.shared_prefix)


def _conclude(
    plan: ServingPlan,
    workload: Workload,
    records: Records,
    started: datetime,
    incomplete: bool,
    side: SideResults,
    parts: list[RankPart],
) -> Result:
    facts, environment_facts = _facts(plan, workload), environment.collect()
    summary = summarise(records, facts)
    return build_result(
        summary,
        assess(records, facts, summary, incomplete=incomplete),
        facts,
        plan=plan.to_dict(),
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
        **certainty_sections(records, facts, summary, seed=plan.load.seed),
    )


def _with_ceiling(records: Records, machine: Mapping[str, Any]) -> dict[str, Any]:
    """The client's counters; where this machine was calibrated, also how close to its ceiling the run came."""
    calibration, rate = kept_calibration(machine), event_rate(records)
    ceiling = None if calibration is None else calibration.ceiling_events_per_s
    if calibration is None or ceiling is None or rate is None:
        return records.client
    found = {"events_per_s": rate, "ceiling_events_per_s": ceiling, "share_of_ceiling": rate / ceiling}
    found["ceiling_was_met"] = calibration.ceiling_was_met
    return {**records.client, "calibration": {**found, "calibrated": calibration.created}}


def _first_failure(records: Records) -> int:
    return int((~records.ok).argmax())
