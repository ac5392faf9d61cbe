"""Writes the files of a run: each by itself, so that one that cannot be written takes no other with it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tokenclock.findings import SideResults, own_ids
from tokenclock.metrics.series import run_series
from tokenclock.metrics.serving_face import detailed_arrays
from tokenclock.metrics.telemetry_lines import gpu_lines
from tokenclock.output_place import companion, reserve
from tokenclock.plan import ServingPlan
from tokenclock.profile_files import Payloads, profile_files
from tokenclock.records import Records
from tokenclock.report import columns_file, json_file, pytorch_benchmark_file, run_page
from tokenclock.result import Result

__all__ = ["save_result_files"]


def save_result_files(
    plan: ServingPlan,
    result: Result,
    records: Records,
    side: SideResults,
    *,
    path: Path,
    date: str,
    say: Callable[[str], None],
    payloads: Payloads | None = None,
) -> bool:
    """Write the result to `path` and what goes beside it; each file that cannot be written is said, with the reason.

    Args:
        payloads: of `profile`, whose files are other ones.

    Returns:
        Whether all were written. A failure is no error: the measurement stands and is still to be printed.
    """
    path, beside = _own_names(plan, path, date)
    columns = columns_file.columns_path(beside)

    def write_result() -> None:
        write = json_file.append if plan.output.append_result else json_file.write
        write(result, path, _detailed(plan, records, side))
        say(f"tokenclock serving: result in {path}")

    def write_columns() -> None:
        if not columns_file.write(records, columns):
            say(f"tokenclock serving: too many token events for {columns}: only the request columns are in it")

    files: list[tuple[Path, Callable[[], None]]] = [(path, write_result)]
    if payloads is not None:
        files = profile_files(payloads, result, records, path, say)
    if plan.output.save_columns:
        files.append((columns, write_columns))
    if plan.output.plot_timeline:
        timeline = beside.with_name(f"{beside.stem}.timeline.html")
        files.append((timeline, lambda: _draw_timeline(result, records, timeline)))
    if side.perf_metrics is not None:
        perf_metrics = beside.with_name(f"{beside.stem}-perf_metrics.json")
        files.append((perf_metrics, lambda: json_file.write_plain(side.perf_metrics, perf_metrics)))
    if pytorch_benchmark_file.is_wanted():
        pytorch = pytorch_benchmark_file.pytorch_path(beside)
        files.append((pytorch, lambda: pytorch_benchmark_file.write(result, pytorch)))
    written = [_written(file, write, say) for file, write in files]
    return all(written)


def _draw_timeline(result: Result, records: Records, path: Path) -> None:
    series = run_series(records)
    told = tuple(gpu_lines(result.gpu, records.epoch_ns, series.end_s))
    run_page.write([run_page.ShownRun(path.stem, result, series, records, told)], path)


def _own_names(plan: ServingPlan, path: Path, date: str) -> tuple[Path, Path]:
    """The result's path and the one that names beside it are made from; those the user did not name are new."""
    beside = companion(plan, path, date)
    columns = columns_file.columns_path
    try:
        if not plan.output.result_filename:
            path = beside = reserve(path, lambda name: (name, columns(name)))
        elif beside != path and plan.output.save_columns:
            beside = reserve(beside, lambda name: (columns(name),))
    except OSError:  # said where it is written
        pass
    return path, beside


def _written(file: Path, write: Callable[[], None], say: Callable[[str], None]) -> bool:
    try:
        write()
    except OSError as error:
        say(f"tokenclock serving: cannot write {file}: {error.strerror or error}")
        with suppress(OSError):
            if file.stat().st_size == 0:  # it only held the name
                file.unlink()
        return False
    return True


def _detailed(plan: ServingPlan, records: Records, side: SideResults) -> dict[str, Any] | None:
    if not plan.output.save_detailed:
        return None
    arrays = detailed_arrays(records)
    ids = own_ids(plan, records.n_requests)
    if ids is not None:
        arrays["request_ids"] = ids
    if side.record_rows is not None:
        arrays["perf_metrics_index"] = [row if row >= 0 else None for row in side.record_rows]
    return arrays
