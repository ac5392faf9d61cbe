"""Runs a plan: the only place where plan, workload, client, metrics, quality and result meet."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenclock.errors import UsageError
from tokenclock.event_log import EventLog, is_whole
from tokenclock.interrupts import deferred_interrupts
from tokenclock.output_place import prepare_output, set_aside, temporary_log
from tokenclock.parallel import connect
from tokenclock.plan import ServingPlan
from tokenclock.plan_windows import WindowPlan
from tokenclock.records import Records
from tokenclock.serving.around import Around, Findings
from tokenclock.serving.client import FinalEvents, LoadRequests, Observer, run_load
from tokenclock.serving.dcgm import DcgmWatch
from tokenclock.serving.descriptors import allow_connections, most_connections
from tokenclock.serving.endpoint import Prompt
from tokenclock.serving.gpu_watch import GpuWatch
from tokenclock.serving.preflight import send_test_request, send_warmups, wait_until_up
from tokenclock.serving.probe import Probes
from tokenclock.serving.ranks import RankPart, Ranks
from tokenclock.serving.server import ServerModels, ask_models
from tokenclock.serving.sessions import check_conversations
from tokenclock.serving.silence import SilenceWatch
from tokenclock.serving.transport import reach
from tokenclock.standard_error import say_on_stderr
from tokenclock.workload.build import build_workload, needs_vocabulary
from tokenclock.workload.realised import Workload

if TYPE_CHECKING:
    from tokenclock.measured_windows import MeasuredWindows
    from tokenclock.profile_files import Payloads
    from tokenclock.result import Result

__all__ = ["run_serving"]

_FINAL_EVENTS_UP_TO = 100_000  # requests whose last event is kept raw beside the columns

Progress = Callable[[Mapping[str, int]], None]


def run_serving(
    plan: ServingPlan,
    *,
    on_progress: Progress | None = None,
    say: Callable[[str], None] = say_on_stderr,
    ends_process: bool = False,
    on_records: Callable[[Records], None] | None = None,
    keep_texts: bool = False,
    on_saved: Callable[[bool], None] | None = None,
) -> Result:
    """Measure an OpenAI-compatible server and return the result; files are written as the plan's output group says.

    Args:
        plan: the whole run.
        on_progress: told the counters 20 times a second (`n_requests n_sent n_done n_failed n_in_flight n_events`).
        say: told one line at a time what the user should know; default: stderr.
        ends_process: the caller exits after this run: once a signal has stopped it, later ones are ignored.
        on_records: given the columns of all ranks, on rank 0, before the result is made of them.
        keep_texts: keep all generated text in the records.
        on_saved: told at the end, on every rank, whether all files of the result were written.

    Returns:
        The Result; `incomplete` after Ctrl-C, with everything that had been measured. Where every request failed it
        has no latencies: `result.requests["ok"]` is 0.

    Raises:
        UsageError: bad input, before the first request.
        MeasurementError: the server cannot be reached, or refuses the test request.
    """
    ranks = Ranks(connect(), plan, say)
    say = ranks.say
    if plan.load.cache_bust == "auto":
        nonce = ranks.same(secrets.token_hex(4))
        plan = replace(plan, load=replace(plan.load, cache_bust=nonce))
        say(f"tokenclock serving: prompts of this run alone: --cache-bust {nonce} sends the same ones again")
    started = ranks.same(datetime.now(timezone.utc))
    date = started.astimezone().strftime("%Y%m%d-%H%M%S")
    path = ranks.same(prepare_output(plan, date) if ranks.is_first else None)
    addresses = reach(plan)
    deadline_s = time.monotonic() + plan.load.ready_check_timeout_s
    wait_until_up(plan, deadline_s, say)
    workload = _realise(plan)
    _check_sessions(plan, workload, several=ranks.several)
    if workload.lora_modules != plan.endpoint.lora_modules:  # named by the rows
        plan = replace(plan, endpoint=replace(plan.endpoint, lora_modules=workload.lora_modules))
    own_plan, own_workload = ranks.share(plan, workload)
    # for the whole load, so that no smaller number is asked for first
    most = most_connections(len(own_workload), own_plan.load.max_concurrency)
    allow_connections(most, certain=not own_workload.t_due_ns.any())
    has_usage = ranks.same(ranks.is_first and _prepare_server(plan, workload, addresses, deadline_s, say))
    payloads = None if path is None or plan.command != "profile" else _write_inputs(plan, workload, path, say)
    for note in workload.notes:  # only now: a server that is not there deserves one line
        say(f"tokenclock serving: {note}")
    asks_temperature = plan.endpoint.backend not in ("embeddings", "rerank")  # which generate nothing
    if asks_temperature and plan.generation.temperature is None and "temperature" not in plan.generation.extra_body:
        missing = "--temperature" if plan.command == "serving" else "--extra-inputs temperature:T"
        say(f"tokenclock serving: no {missing}: the server's own default holds (0 is greedy)")
    count_tokens = None if has_usage else workload.count_tokens
    with deferred_interrupts(
        lambda line: say(f"tokenclock serving: {line}"), ends_process=ends_process
    ) as stop_requested:
        place = ranks.same(_log_place(plan, path, say) if ranks.is_first else None)
        log = None if place is None else _open_log(plan, own_workload, place, ranks)
        probes = Probes(own_plan, addresses) if own_plan.load.probe_request_rate > 0 else None
        windows = None if plan.load.windows is None else _windows(plan.load.windows)
        silence = SilenceWatch(own_plan.load, say)
        observer = _Watcher(on_progress, log, probes, stop_requested, len(own_workload), silence, windows)
        whole = True

        def finish(
            parts: list[RankPart],
            findings: Findings,
            probe_columns: dict[str, Any] | None,
            gpu: dict[str, Any] | None = None,
        ) -> Result:
            """On rank 0: one result of all ranks, in its files."""
            nonlocal whole
            from tokenclock.conclusion import conclude  # only now: it delays no request

            result, whole = conclude(
                plan,
                workload,
                parts,
                findings,
                probe_columns,
                gpu,
                started=started,
                path=path,
                say=say,
                on_records=on_records,
                windows=windows,
                payloads=payloads,
            )
            return result

        def finish_from_logs() -> None:
            """In place of a rank 0 that was killed."""
            parts = ranks.from_logs(place) if place is not None else []
            if any(part.facts["n_seen"] for part in parts):
                say("tokenclock serving: ended from outside; keeping what the event logs hold")
                finish(parts, Findings(), None, None)

        with ranks.guarded(finish_from_logs, needed=path is not None) as done:
            own_records, findings, probe_columns, gpu = _measure(
                own_plan, own_workload, addresses, count_tokens, observer, ranks, keep_texts
            )
            if log is not None:
                stopped = bool(own_records.client["interrupted"])
                log.finish(own_records, incomplete=stopped and not (windows is not None and windows.ended))
            parts = ranks.collect(own_records, place)
            result = None if parts is None else finish(parts, findings, probe_columns, gpu)
            done()
        handed, whole = ranks.hand_out((result.to_dict() if result is not None and ranks.several else {}, whole))
        if result is None:
            from tokenclock.result import Result

            result = Result.from_dict(handed)
        if place is not None and plan.output.save_events is None:
            if whole:
                ranks.clear_log(place)
            elif is_whole(ranks.log_directory(place)):
                say(f"tokenclock serving: everything that was measured is kept in {place}")
        if on_saved is not None:
            on_saved(whole)
    return result


def _measure(
    plan: ServingPlan,
    workload: Workload,
    addresses: list[tuple[str, int]],
    count_tokens: Callable[[str], int] | None,
    observer: _Watcher,
    ranks: Ranks,
    keep_texts: bool,
) -> tuple[Records, Findings, dict[str, Any] | None, dict[str, Any] | None]:
    """The load, with what is asked of the server before and after it and the probes beside it."""
    around, probes = Around(plan, ranks.say, asks=ranks.is_first), observer.probes
    gpus = GpuWatch(plan, addresses, ranks.say, asks=ranks.is_first)
    dcgm = DcgmWatch(plan.server.dcgm_urls if ranks.is_first else (), ranks.say)
    try:
        gpus.start()
        around.before()
        if probes is not None:
            probes.start()
        dcgm.begin()
        gpus.begin()
        loaded = _load(plan, workload, addresses, count_tokens, observer, ranks, keep_texts)
        records = observer.silence.settled_records(loaded)
        gpus.end()
        dcgm.end()
        around.findings.dcgm = dcgm.readings
        probe_columns = _afterwards(around, probes, bool(loaded.client["interrupted"]), ranks.say)
    finally:
        around.stop_profile()
        gpus.stop()
        dcgm.end()
        if probes is not None:
            probes.abandon()
    return records, around.findings, probe_columns, gpus.found


def _realise(plan: ServingPlan) -> Workload:
    models = ask_models(plan) if needs_vocabulary(plan) else ServerModels()
    workload = build_workload(plan, n_vocab=models.n_vocab)
    note = models.note_on(plan.endpoint.body_model)
    return replace(workload, notes=(*workload.notes, note)) if note else workload


def _prepare_server(
    plan: ServingPlan,
    workload: Workload,
    addresses: list[tuple[str, int]],
    deadline_s: float,
    say: Callable[[str], None],
) -> bool:
    """Test request and warm-ups. True when the server reports usage, so that no text must be kept to count tokens."""
    spares = _spares(plan, workload)
    has_usage = False
    try:
        if plan.load.test_input:
            records = send_test_request(plan, spares.pop(0), addresses, deadline_s, say)
            has_usage = bool(records.columns["osl_source"][0] == 1)
        if spares and plan.load.ramp_up_s == 0:
            send_warmups(plan, spares, addresses, say)
    except KeyboardInterrupt:
        say("tokenclock serving: stopped before the first measured request: nothing was measured")
        raise
    return has_usage


def _write_inputs(plan: ServingPlan, workload: Workload, path: Path, say: Callable[[str], None]) -> Payloads:
    from tokenclock.profile_files import Payloads, write_inputs

    payloads = Payloads(plan, workload)
    write_inputs(payloads, path, say)
    return payloads


def _windows(plan: WindowPlan) -> MeasuredWindows:
    from tokenclock.measured_windows import MeasuredWindows

    return MeasuredWindows(plan)


def _check_sessions(plan: ServingPlan, workload: Workload, *, several: bool) -> None:
    """What conversations cannot be measured with."""
    if workload.session is None:
        return
    backend = plan.endpoint.backend
    if backend not in ("openai", "openai-chat"):
        raise UsageError(f"sessions need --backend openai or openai-chat, got {backend}: answers must be fed back")
    if several:
        raise UsageError(
            "sessions are measured by one process: start it without mpirun, or one for each client machine with a "
            "part of the conversations"
        )
    if plan.load.ramp_up_s > 0:
        raise UsageError("--ramp-up-seconds must be left out with sessions, which begin one by one by themselves")
    check_conversations(workload.session, workload.t_due_ns, plan.load.max_concurrency)


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
    keep_texts: bool,
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
            session=workload.session,
            think_ns=workload.think_ns,
            answer_ids=workload.answer_ids,
        ),
        addresses=addresses,
        keep_text=count_tokens is not None,
        keep_all_text=keep_texts or (output.save_result and output.save_detailed),
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
    flag = "--result-dir" if plan.output.save_events is None else "--save-events"
    return EventLog(ranks.log_directory(place), plan.to_dict(), asked, warn=warn, flag=flag)


class _Watcher(Observer):
    """Passes progress on, keeps the probes going and writes the event log while the run goes on."""

    def __init__(
        self,
        on_progress: Progress | None,
        log: EventLog | None,
        probes: Probes | None,
        stop_requested: Callable[[], bool],
        n_requests: int,
        silence: SilenceWatch,
        windows: MeasuredWindows | None = None,
    ) -> None:
        self._on_progress = on_progress
        self._n_requests = n_requests
        self._log = log
        self.probes = probes
        self._stop_requested = stop_requested
        self.silence = silence
        self._windows = windows

    def stop_requested(self) -> bool:
        return (
            self._stop_requested()
            or self.silence.stop_requested()
            or (self._windows is not None and self._windows.ended)
        )

    def on_progress(self, progress: Mapping[str, int]) -> None:
        self.silence.on_progress(progress)
        if self._windows is not None:
            self._windows.begin()
        if self.probes is not None:
            self.probes.feed()
        if self._on_progress is not None:
            self._on_progress({**progress, "n_requests": self._n_requests})

    def on_final(self, client: FinalEvents, *, ended: bool) -> None:
        if self._log is not None and (ended or self._log.due()):
            self._log.write(client.take_final(), self.silence.settled(client.columns()))
        if self._windows is not None and self._windows.due():
            self._windows.look(client.columns())
