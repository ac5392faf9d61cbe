"""Where a run's files go: named and made ready before the first request, so that a typo costs a second, not an hour."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from tokenclock.errors import UsageError
from tokenclock.plan import ServingPlan
from tokenclock.plan_checks import shown

__all__ = ["companion", "prepare_output", "result_path"]


def result_path(plan: ServingPlan, date: str) -> Path:
    """The JSON file of a run; `date` is YYYYMMDD-HHMMSS in local time.

    --result-filename, else `{label}-{rate}qps[-concurrency{N}]-{end of the model name}-{date}.json`; the label is the
    backend where none was given, and with a ramp-up the rate reads `ramp-up-{strategy}-{start}qps-{end}qps`.
    """
    output, load = plan.output, plan.load
    name = output.result_filename
    if not name:
        limit = f"-concurrency{load.max_concurrency}" if load.max_concurrency is not None else ""
        model = plan.endpoint.model.rstrip("/").rpartition("/")[2]
        ramp, label = load.ramp_up, output.label or plan.endpoint.backend
        rate = f"{float(load.request_rate)}qps"
        if ramp is not None:
            rate = f"ramp-up-{ramp.strategy}-{float(ramp.start_rps)}qps-{float(ramp.end_rps)}qps"
        name = f"{label}-{rate}{limit}-{model}-{date}.json"
    return Path(output.result_dir or ".") / name


def prepare_output(plan: ServingPlan, date: str) -> Path | None:
    """Create the directories the run will write to, and try them; returns the result's path, or None if none is saved.

    Raises UsageError when a directory cannot be made or written to.
    """
    if plan.output.save_events is not None:
        _usable_directory(Path(plan.output.save_events), "--save-events")
    if not plan.output.save_result:
        return None
    path = result_path(plan, date)
    if os.path.isdir(path):
        raise UsageError(f"--result-filename must name a file, got the directory {path}")
    _usable_directory(path.parent, "--result-dir")
    _usable_name(path, companion(plan, path, date))
    return path


def companion(plan: ServingPlan, path: Path, date: str) -> Path:
    """The path that names of files beside the result are made from; runs that share a file each have their own."""
    shared = plan.output.append_result and plan.output.result_filename is not None  # a generated name has the date
    return path.with_name(f"{path.stem}-{date}{path.suffix}") if shared else path


def _usable_name(path: Path, beside: Path) -> None:
    """Try the longest name that is made of the result's: a file beside it, while it is being written."""
    longest = beside.with_name(f".{beside.stem}-perf_metrics.json.{os.getpid()}.part")
    try:
        longest.touch()
        longest.unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"--result-filename must be a name that files beside the result can be named after, got {shown(path.name)} "
            f"of {len(os.fsencode(path.name))} bytes ({reason}); give a shorter one"
        ) from error


def _usable_directory(directory: Path, flag: str) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"{flag} must be a directory that can be written to, got {directory} ({reason}); give another"
        ) from error
