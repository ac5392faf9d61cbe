"""Runs a plan: the only place where plan, workload, client, metrics, quality and result meet."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tokenclock import environment
from tokenclock._core import LoadClient
from tokenclock.errors import MeasurementError
from tokenclock.event_log import EventLog
from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.serving_face import detailed_arrays
from tokenclock.metrics.summary import summarise
from tokenclock.output_place import prepare_output
from tokenclock.plan import ServingPlan
from tokenclock.quality import assess
from tokenclock.records import Records
from tokenclock.report import columns_file, json_file, pytorch_benchmark_file
from tokenclock.result import Result, build_result
from tokenclock.serving.client import LoadRequests, Observer, run_load
from tokenclock.serving.endpoint import Endpoint
from tokenclock.serving.preflight import explain_failure, send_test_request, send_warmups
from tokenclock.serving.server import ServerModels, ask_models
from tokenclock.workload.random_workload import build_workload
from tokenclock.workload.realised import Workload
from tokenclock.workload.tokenizer import find_tokenizer

__all__ = ["run_serving"]

_FINAL_EVENTS_UP_TO = 100_000  # requests whose last event is kept raw beside the columns

Progress = Callable[[Mapping[str, int]], None]


def say_on_stderr(line: str) -> None:
    """The default voice of a run."""
    print(line, file=sys.stderr, flush=True)


def run_serving(
    plan: ServingPlan, *, on_progress: Progress | None = None, say: Callable[[str], None] = say_on_stderr
) -> Result:
    """Measure an OpenAI-compatible server and return the result; files are written as the plan's output group says.

    Args:
        plan: the whole run.
        on_progress: told the counters about 20 times a second (`n_sent n_done n_failed n_in_flight n_events`).
        say: told one line at a time what the user should know; default: stderr.

    Returns:
        The Result; `incomplete` after Ctrl-C, with everything that had been measured. Where every request failed it
        has no latencies: `result.requests["ok"]` is 0.

    Raises:
        UsageError: bad input, before the first request.
        MeasurementError: the server cannot be reached, or refuses the test request.
    """
    started = datetime.now(timezone.utc)
    date = started.astimezone().strftime("%Y%m%d-%H%M%S")
    path = prepare_output(plan, date)
    endpoint = Endpoint.parse(plan.endpoint.base_url)
    addresses = endpoint.resolve()
    workload = _realise(plan)
    has_usage = _prepare_server(plan, workload, addresses, say)
    for note in workload.notes:  # only now: a server that is not there deserves one line
        say(f"tokenclock serving: {note}")
    log = _open_log(plan, workload, path, say)
    observer = _Watcher(on_progress, log)
    output = plan.output
    count_tokens = None if has_usage else workload.count_tokens
    records = run_load(
        plan,
        LoadRequests(workload.prompts, workload.isl_requested, workload.osl_requested, workload.t_due_ns),
        addresses=addresses,
        keep_text=count_tokens is not None,
        keep_all_text=output.save_result and output.save_detailed,
        keep_final_event=path is not None and output.save_columns and len(workload) <= _FINAL_EVENTS_UP_TO,
        count_tokens=count_tokens,
        observer=observer,
    ).scrubbed(_secrets(plan))
    incomplete = bool(records.client["interrupted"])
    result = _conclude(plan, workload, records, started, incomplete)
    if log is not None:
        log.finish(records, incomplete=incomplete)
    if path is not None:
        _save(plan, result, records, path, say)
        if log is not None and plan.output.save_events is None:
            shutil.rmtree(_temporary_log(path), ignore_errors=True)
    if result.requests["ok"] == 0 and not incomplete:
        say(f"tokenclock serving: every request failed: {explain_failure(plan, records, _first_failure(records))}")
    return result


def _realise(plan: ServingPlan) -> Workload:
    models = ServerModels()
    needs_ids = not plan.endpoint.is_chat and plan.dataset.vocab_size is None and find_tokenizer(plan) is None
    if needs_ids:
        models = ask_models(plan)
    workload = build_workload(plan, n_vocab=models.n_vocab)
    note = models.note_on(plan.endpoint.body_model)
    return replace(workload, notes=(*workload.notes, note)) if note else workload


def _prepare_server(
    plan: ServingPlan, workload: Workload, addresses: list[tuple[str, int]], say: Callable[[str], None]
) -> bool:
    """Test request and warm-ups. True when the server reports usage, so that no text must be kept to count tokens."""
    n_spares = int(plan.load.test_input) + plan.load.num_warmups
    spares = workload.spare_prompts(n_spares) if n_spares else []
    has_usage = False
    if plan.load.test_input:
        records = send_test_request(plan, spares.pop(0), addresses, say)
        has_usage = bool(records.columns["osl_source"][0] == 1)
    if spares:
        send_warmups(plan, spares, addresses)
    return has_usage


def _secrets(plan: ServingPlan) -> list[str]:
    return [value for _, value in plan.endpoint.headers] + ([plan.endpoint.api_key] if plan.endpoint.api_key else [])


def _open_log(plan: ServingPlan, workload: Workload, path: Path | None, say: Callable[[str], None]) -> EventLog | None:
    """The event log asked for, or a temporary one beside the result, so that a killed run loses a second at most."""
    if plan.output.save_events is not None:
        directory = Path(plan.output.save_events)
    elif path is not None:
        directory = _temporary_log(path)
        shutil.rmtree(directory, ignore_errors=True)
    else:
        return None
    asked = {"isl_requested": workload.isl_requested, "osl_requested": workload.osl_requested}
    return EventLog(directory, plan.to_dict(), asked, warn=lambda line: say(f"tokenclock serving: {line}"))


def _temporary_log(path: Path) -> Path:
    return path.with_name(f".{path.stem}.events")


class _Watcher(Observer):
    """Passes progress on and writes the event log while the run goes on."""

    def __init__(self, on_progress: Progress | None, log: EventLog | None) -> None:
        self._on_progress = on_progress
        self._log = log

    def on_progress(self, progress: Mapping[str, int]) -> None:
        if self._on_progress is not None:
            self._on_progress(progress)

    def on_final(self, client: LoadClient, *, ended: bool) -> None:
        if self._log is not None and (ended or self._log.due()):
            self._log.write(client.take_final(), client.columns())


def _facts(plan: ServingPlan) -> RunFacts:
    output, load = plan.output, plan.load
    return RunFacts(
        backend=plan.endpoint.backend,
        model=plan.endpoint.model,
        tokenizer=plan.endpoint.tokenizer or plan.endpoint.model,
        num_prompts=load.num_prompts,
        request_rate=load.request_rate,
        burstiness=load.burstiness,
        max_concurrency=load.max_concurrency,
        streaming=load.streaming,
        percentile_metrics=output.percentile_metrics,
        metric_percentiles=output.metric_percentiles,
        percentiles_named=output.percentiles_named,
        slos_ms=output.goodput_ms,
        metadata=output.metadata,
        max_failure_share=output.max_failure_share,
        shared_prefix=plan.dataset.prefix_len > 0,
    )


def _conclude(plan: ServingPlan, workload: Workload, records: Records, started: datetime, incomplete: bool) -> Result:
    facts = _facts(plan)
    summary = summarise(records, facts)
    return build_result(
        summary,
        assess(records, facts, summary, incomplete=incomplete),
        facts,
        plan=plan.to_dict(),
        environment=environment.collect(),
        workload={
            "sha256": workload.sha256,
            "dataset": workload.dataset,
            "tokenizer": workload.tokenizer,
            "notes": list(workload.notes),
            "prompt_tokens": workload.asked_and_got(),
        },
        client=records.client,
        created=started,
        incomplete=incomplete,
    )


def _save(plan: ServingPlan, result: Result, records: Records, path: Path, say: Callable[[str], None]) -> None:
    """Write the files; what can't be written is said and does not take the console's table away."""
    try:
        json_file.write(result, path, _detailed(plan, records))
        say(f"tokenclock serving: result in {path}")
        if plan.output.save_columns:
            columns = columns_file.columns_path(path)
            if not columns_file.write(records, columns):
                say(f"tokenclock serving: too many token events for {columns}: only the request columns are in it")
        if pytorch_benchmark_file.is_wanted():
            pytorch_benchmark_file.write(result, pytorch_benchmark_file.pytorch_path(path))
    except OSError as error:
        raise MeasurementError(
            f"cannot write {path}: {error.strerror or error}; the event log beside it is kept"
        ) from error


def _detailed(plan: ServingPlan, records: Records) -> dict[str, Any] | None:
    return detailed_arrays(records) if plan.output.save_detailed else None


def _first_failure(records: Records) -> int:
    return int((~records.ok).argmax())
