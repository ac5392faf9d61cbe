"""`compare:` at the end of a sweep: `tokenclock compare` over the folders of its servers."""

from __future__ import annotations

import importlib.util
import shlex
import subprocess
import sys
from pathlib import Path

from tokenclock.compare.ratio import FEWEST_RUNS
from tokenclock.errors import MeasurementError, UsageError
from tokenclock.metrics.blocks import LIFETIMES, MIN_BLOCKS
from tokenclock.output_place import usable_file
from tokenclock.standard_error import say_on_stderr
from tokenclock.sweep.index import Index, folders
from tokenclock.sweep.plan import SweepPlan

__all__ = ["check_compare", "compare_words", "run_compare", "said_of_compare", "too_short"]

_GATE_MISSED = 3


def check_compare(plan: SweepPlan) -> None:
    """Whether what `compare` is to write can be drawn and written: a sweep of hours is not to end in that.

    Raises:
        UsageError: a place that cannot be written, or one file twice.
        MeasurementError: a package for drawing is not installed.
    """
    compare = plan.sweep.compare
    if compare is None:
        return
    seen: dict[Path, str] = {}
    for flag, path in _outputs(plan).items():
        place = ("compare", flag)
        if path in seen:
            raise plan.file.error(place, f"compare.{flag}: {path} is what compare.{seen[path]} writes too")
        seen[path] = flag
        if path.parent == plan.result_dir:
            continue  # made, and tried, by the sweep itself
        try:
            usable_file(path, f"compare.{flag}")
        except UsageError as error:
            raise plan.file.error(place, str(error)) from None
    for flag, package in (("png", "matplotlib"), ("html", "plotly")):
        if flag in _outputs(plan) and importlib.util.find_spec(package) is None:
            raise MeasurementError(
                f"{plan.file.at(('compare', flag))}: compare.{flag} needs {package}: pip install 'tokenclock[report]', "
                f"or write {flag}: null"
            )


def too_short(plan: SweepPlan) -> str:
    """Why `compare` will, or would, have no verdict on points of this sweep; empty where it may, or is out of place."""
    sweep = plan.sweep
    if sweep.search is not None or sweep.repeat >= FEWEST_RUNS or (sweep.compare is None and len(plan.variants) < 2):
        return ""
    needed = MIN_BLOCKS * LIFETIMES
    short = {point.stem.rpartition("_run_")[0] or point.stem: point for point in plan.points
             if point.expected_answers < needed}  # fmt: skip
    if not short:
        return ""
    name, point = min(short.items(), key=lambda item: item[1].expected_answers)
    more = f" and {len(short) - 1} more" if len(short) > 1 else ""
    who = "compare will say" if sweep.compare is not None else "tokenclock compare of these results would say"
    return (
        f"{who} `not enough data` of {name}{more}: about {point.expected_answers:.3g} answers' time long, "
        f"and {MIN_BLOCKS} windows of {LIFETIMES} median E2EL are needed; write prompts_per_concurrency: "
        f"{needed + 4}, or repeat: {FEWEST_RUNS}"
    )


def said_of_compare(plan: SweepPlan) -> str:
    """What `compare` is going to write, and when it ends with 3."""
    compare = plan.sweep.compare
    assert compare is not None
    files = ", ".join(str(path) for path in _outputs(plan).values())
    gate = f"; exit code 3 where {' or '.join(compare.fail_if)}" if compare.fail_if else ""
    return f"tokenclock compare over the servers' folders, which writes {files or 'no file'}{gate}"


def _outputs(plan: SweepPlan) -> dict[str, Path]:
    """Flag -> file; beside the servers' folders unless it names a place."""
    compare = plan.sweep.compare
    assert compare is not None
    names = {"summary": compare.summary, "png": compare.png, "html": compare.html, "markdown": compare.markdown,
             "json": compare.json_}  # fmt: skip
    return {
        flag: Path(name) if Path(name).parent != Path(".") else plan.result_dir / name
        for flag, name in names.items()
        if name is not None
    }


def compare_words(plan: SweepPlan, index: Index) -> list[str]:
    """The words after `tokenclock`; outputs lie beside the folders unless they name a place."""
    compare = plan.sweep.compare
    assert compare is not None
    words = ["compare", *(str(plan.result_dir / folder) for folder in folders(list(index.entries.values())))]
    for flag, path in _outputs(plan).items():
        words += [f"--{flag}", str(path)]
    if compare.min_effect is not None:
        words += ["--min-effect", f"{compare.min_effect:g}"]
    for condition in compare.fail_if:
        words += ["--fail-if", condition]
    return [*words, "--force"] if compare.force else words


def run_compare(plan: SweepPlan, index: Index) -> int:
    """Run it, its table on stdout; 0, or 3 when it failed or one of its conditions was met."""
    words = compare_words(plan, index)
    code = subprocess.run(
        [sys.executable, "-m", "tokenclock", *words], stdin=subprocess.DEVNULL, check=False
    ).returncode
    index.note("compare", {"command": shlex.join(["tokenclock", *words]), "exit_code": code})
    index.save(finished=True)
    if code not in (0, _GATE_MISSED):
        say_on_stderr(
            f"tokenclock sweep: compare ended with exit code {code}; typed again: tokenclock {shlex.join(words)}"
        )
    return _GATE_MISSED if code else 0
