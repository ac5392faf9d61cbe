"""The plan of a sweep as text: what `--dry-run` prints."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from tokenclock.plan_checks import shown
from tokenclock.report.format import counted
from tokenclock.sweep.commands import Settled
from tokenclock.sweep.comparison import said_of_compare
from tokenclock.sweep.flags import masked
from tokenclock.sweep.option_checks import OptionReport
from tokenclock.sweep.plan import SweepPlan
from tokenclock.sweep.points import Variant
from tokenclock.sweep.schema import Probe

__all__ = ["expected_minutes", "render"]


def expected_minutes(plan: SweepPlan) -> float:
    """Starts of servers, points and pauses, by the guesses in `expected`."""
    sweep = plan.sweep
    starts = sum(visit.variant.server.command is not None for visit in plan.visits)
    points = plan.points
    load_s = sum(point.expected_s for point in points)
    return (starts * sweep.expected.start + load_s + max(0, len(points) - 1) * sweep.cooldown) / 60.0


def render(plan: SweepPlan, reports: dict[str, OptionReport | None], done: Sequence[str] = ()) -> str:
    """Servers with their effective options, points in order, and the minutes.

    Args:
        plan: the plan.
        reports: folder -> what was found about the server's options; None: not a trtllm-serve.
        done: keys of points that are there already.
    """
    sweep, points = plan.sweep, plan.points
    lines = [f"Sweep of {plan.file.name}: {counted(len(points), 'point')}, results in {plan.result_dir}/"]
    lines += [f"order {sweep.order}, repeat {sweep.repeat}, cooldown {sweep.cooldown:g} s"
              + (f", at most {sweep.max_minutes:g} minutes" if sweep.max_minutes is not None else "")]  # fmt: skip
    for variant in plan.variants:
        lines += ["", *_server(variant, plan.settled[variant.folder], reports.get(variant.folder))]
        if sweep.warmup:
            lines.append(f"  warm-up: {counted(sweep.warmup, 'request')} after each start, thrown away")
    if not plan.words.known:
        lines += ["", f"note: tokenclock {plan.words.command} is not built here: its flags were not checked"]
    lines += ["", "points, in order:"]
    shown_points = points if len(points) <= 60 else [*points[:50], *points[-5:]]
    for point in shown_points:
        mark = "  (done)" if point.key in done else ""
        lines.append(f"  {point.key}: {_seconds(point.expected_s)}{mark}")
    if len(shown_points) < len(points):
        lines.append(f"  ... {len(points) - len(shown_points)} more between these")
    lines += ["", "the first one types:", f"  tokenclock {masked(points[0].argv)}"] if points else []
    if sweep.search is not None:
        lines += ["", f"search: {_search(plan)}"]
    if sweep.compare is not None:
        lines += ["", f"then: {said_of_compare(plan)}"]
    expected = sweep.expected
    minutes = expected_minutes(plan)
    lines += [
        "",
        f"expected: {minutes:.1f} minutes" + (", each load of the search counted once" if sweep.search else "")
        + f" (guesses: start {expected.start:g} s, TTFT {expected.ttft:g} ms, ITL {expected.itl:g} ms, "
        f"{expected.point:g} s around each point; set them under expected)",
    ]  # fmt: skip
    if sweep.max_minutes is not None and minutes > sweep.max_minutes:
        lines.append(
            f"warning: that is more than max_minutes: {sweep.max_minutes:g}; the first point runs all the same, the "
            "last ones would not: --resume goes on with them"
        )
    return "\n".join(lines)


def _server(variant: Variant, settled: Settled, report: OptionReport | None) -> list[str]:
    server = variant.server
    lines = [f"server {variant.folder}: {server.url}"]
    if settled.command is None:
        lines.append("  runs already: it is neither started nor stopped")
    else:
        lines.append(f"  command: {_one_line(settled.command)}")
        lines.append(f"  ready when {server.health_url} answers, within {server.ready_timeout:g} s; log {settled.log}")
        lines.append(f"  stopped by {'stop_command, then ' if settled.stop_command else ''}{server.stop_signal}")
    if settled.probe is not None:
        lines.append(f"  probe, before the first point: {_probe(settled.probe)}")
    if settled.writes_options and settled.options_file is not None:
        lines.append(f"  options written to {settled.options_file} on this machine")
    if report is not None:
        if report.effective:
            lines.append("  effective: " + ", ".join(f"{k} {shown(v)}" for k, v in report.effective.items()))
        lines += [f"  note: {text}" for text in report.notes]
        lines += [f"  warning: {text}" for text in report.warnings]
    return lines


def _probe(probe: Any) -> str:
    if isinstance(probe, Probe):
        return f"{'GET' if probe.body is None else 'POST'} {probe.path} must succeed within {probe.timeout:g} s"
    return f"{_one_line(probe)} must end with 0"


def _search(plan: SweepPlan) -> str:
    search = plan.sweep.search
    assert search is not None
    if search.kind == "knee":
        return f"saturation knee over concurrency {search.low:g} to {search.high:g}, doubling"
    limits = ", ".join(f"{name} <= {value:g} ms" for name, value in search.slo.items())
    return (
        f"highest {search.kind} from {search.low:g} to {search.high:g} at which {100 * search.share:g} % of requests "
        f"keep {limits}"
    )


def _one_line(command: str | list[str]) -> str:
    text = command if isinstance(command, str) else shlex.join(command)
    return " ".join(text.replace("\\\n", " ").split())


def _seconds(value: float) -> str:
    return f"about {value:.0f} s" if value < 90 else f"about {value / 60:.1f} min"
