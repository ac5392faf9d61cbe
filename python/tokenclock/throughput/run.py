"""Runs a plan of `throughput` or `latency`: where data set, target, face and files meet."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tokenclock.atomic_file import clear_stale_parts, refuse_irregular
from tokenclock.errors import UsageError
from tokenclock.event_log import is_whole
from tokenclock.metrics.trtllm_bench_face import request_rows
from tokenclock.output_place import temporary_log, usable_directory
from tokenclock.parallel import connect
from tokenclock.plan_throughput import ThroughputPlan
from tokenclock.report import columns_file, trtllm_bench_files
from tokenclock.result import Result
from tokenclock.standard_error import say_on_stderr
from tokenclock.throughput.load import Progress
from tokenclock.throughput.measured import Measured, with_face
from tokenclock.workload.datasets.trtllm_bench import BenchRows, read_bench_rows

__all__ = ["run_throughput"]

Say = Callable[[str], None]


def run_throughput(
    plan: ThroughputPlan,
    *,
    on_progress: Progress | None = None,
    say: Say = say_on_stderr,
    ends_process: bool = False,
    on_saved: Callable[[bool], None] | None = None,
) -> Result:
    """Send a data set's requests to a runtime or a server; files are written as the plan's output group says.

    Args:
        plan: the whole run.
        on_progress: told the counters 20 times a second.
        say: told one line at a time what the user should know; default: stderr.
        ends_process: the caller exits after this run: once a signal has stopped it, later ones are ignored.
        on_saved: told at the end whether all files that were asked for were written.

    Returns:
        The Result, with the face ``trtllm_bench``; `incomplete` after Ctrl-C, with everything that had been measured.

    Raises:
        UsageError: bad input, with the line of the file, or no such model.
        MeasurementError: the model does not load, the server cannot be reached, or the first request fails.
    """

    def voice(line: str) -> None:
        say(f"tokenclock {plan.command}: {line}")

    _prepare_files(plan)
    rows = read_bench_rows(plan.dataset, plan.num_requests)
    if connect().rank == 0:
        for note in rows.notes if plan.server is None else rows.too_few:  # on a server the workload says the others
            voice(note)
    place = _log_place(plan, voice)
    try:
        measured = _measure(plan, rows, on_progress, voice, ends_process, place)
    except UsageError as error:
        _clear_unused(plan, place)
        if plan.output.save_events is not None:
            raise
        raise UsageError(str(error).replace("--save-events", "--report_json")) from error  # nobody asked for the log
    except BaseException:
        _clear_unused(plan, place)
        raise
    result = with_face(plan, rows, measured)
    whole, all_files = _write_files(plan, rows, measured, result, voice)
    if place is not None and plan.output.save_events is None:
        if whole:
            shutil.rmtree(place, ignore_errors=True)
        elif is_whole(place):
            voice(f"everything that was measured is kept in {place}")
    if on_saved is not None:
        on_saved(all_files)
    return result


def _log_place(plan: ThroughputPlan, say: Say) -> Path | None:
    """Where the event log goes: as asked for, or a temporary one beside the report, so that a killed run loses a second
    at most; None without either, on ranks that only help, and for several ranks of one client."""
    ranks = connect()
    if plan.output.save_events is not None:
        return Path(plan.output.save_events)
    if plan.output.report_json is None or ranks.rank or (ranks.size > 1 and plan.server is not None):
        return None
    return temporary_log(Path(plan.output.report_json), say)


def _clear_unused(plan: ThroughputPlan, place: Path | None) -> None:
    """Take a temporary log away in which nothing was measured yet."""
    if place is not None and plan.output.save_events is None and len(list(place.glob("part-*.npz"))) <= 1:
        shutil.rmtree(place, ignore_errors=True)


def _measure(
    plan: ThroughputPlan,
    rows: BenchRows,
    on_progress: Progress | None,
    say: Say,
    ends_process: bool,
    place: Path | None,
) -> Measured:
    if plan.server is None:
        from tokenclock.throughput.in_process import measure_in_process

        return measure_in_process(
            plan, rows, on_progress=on_progress, say=say, ends_process=ends_process, log_place=place
        )
    from tokenclock.throughput.on_server import measure_on_server

    return measure_on_server(plan, rows, on_progress=on_progress, say=say, ends_process=ends_process, log_place=place)


def _prepare_files(plan: ThroughputPlan) -> None:
    """Try the places that will be written to, so that a typo costs a second and not an hour."""
    output = plan.output
    if output.save_events is not None and connect().rank == 0:
        usable_directory(Path(output.save_events), "--save-events")
        if any(Path(output.save_events).glob("part-*.npz")):
            raise UsageError(
                f"--save-events {output.save_events} holds the events of another run: name a new directory"
            )
    flags = {
        "--report_json": output.report_json,
        "--request_json": output.request_json,
        "--output_json": output.output_json,
        "--iteration_log": output.iteration_log,
    }
    for flag, name in flags.items():
        if name is None:
            continue
        path = Path(name)
        if path.is_dir():
            raise UsageError(f"{flag} must name a file, got the directory {path}")
        if os.path.exists(name) and os.path.exists(plan.dataset) and os.path.samefile(name, plan.dataset):
            raise UsageError(f"{flag} must be another file than --dataset {plan.dataset}, which it would replace")
        try:
            refuse_irregular(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=os.path.dirname(os.path.realpath(path))):
                pass
            clear_stale_parts(path.parent, path.stem)
        except OSError as error:
            raise UsageError(
                f"{flag} must be a file that can be written, got {path} ({error.strerror or error}); give another"
            ) from error
    named = [os.path.abspath(name) for name in flags.values() if name is not None]
    if len(set(named)) < len(named):
        raise UsageError("--report_json, --request_json, --output_json and --iteration_log must be files of their own")


def _write_files(
    plan: ThroughputPlan, rows: BenchRows, measured: Measured, result: Result, say: Say
) -> tuple[bool, bool]:
    """Each by itself: one that cannot be written takes no other with it, and is said. Whether the report is there,
    with its columns; whether all files are."""
    output, records = plan.output, measured.records
    ids = np.array([row.task_id for row in rows.rows], np.int64)
    texts: list[str | None] = list(records.texts) if records.texts is not None else [None] * records.n_requests
    files: list[tuple[str, str, Callable[[], Any]]] = []
    if output.report_json is not None:
        files.append(("result", output.report_json, lambda: trtllm_bench_files.report(result)))
    if output.request_json is not None:
        files.append(("requests", output.request_json, lambda: request_rows(records, ids, texts, measured.isl)))
    if output.output_json is not None:
        answered = sorted((int(ids[row]), texts[row]) for row in np.flatnonzero(records.ok).tolist())
        files.append(("answers", output.output_json, lambda: {str(number): text for number, text in answered}))
    if output.iteration_log is not None:
        files.append(("iterations", output.iteration_log, lambda: measured.iterations or []))
    whole = all_files = True
    for what, name, content in files:
        write = trtllm_bench_files.write_lines if name == output.iteration_log else trtllm_bench_files.write_json
        try:
            write(content(), name)
        except OSError as error:
            say(f"cannot write {name}: {error.strerror or error}")
            whole, all_files = whole and name != output.report_json, False
        else:
            say(f"{what} in {name}")
    if output.report_json is not None and output.save_columns:
        path = columns_file.columns_path(output.report_json)
        try:
            if not columns_file.write(records, path):
                say(f"too many token events for {path}: only the request columns are in it")
        except OSError as error:
            say(f"cannot write {path}: {error.strerror or error}")
            whole = all_files = False
    return whole, all_files
