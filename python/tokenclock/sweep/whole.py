"""A sweep from its file to its exit code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenclock import environment as environment_module
from tokenclock.errors import UsageError
from tokenclock.interrupts import deferred_interrupts
from tokenclock.output_place import makeable_directory
from tokenclock.standard_error import say_on_stderr
from tokenclock.sweep.comparison import check_compare, run_compare, too_short
from tokenclock.sweep.index import DONE, NOT_RUN, Index, read_entries
from tokenclock.sweep.live import shown_page
from tokenclock.sweep.option_checks import OptionReport, check_server_options
from tokenclock.sweep.pareto import pareto_lines, write_pareto
from tokenclock.sweep.plan import Commands, SweepPlan, build_plan
from tokenclock.sweep.plan_text import expected_minutes, render
from tokenclock.sweep.resume import earlier_entries, take_over
from tokenclock.sweep.runner import Runner
from tokenclock.sweep.schema import dump
from tokenclock.sweep.searches import check_search, run_searches, summary_lines

__all__ = ["dry_run", "run_sweep"]

_SECRETS = ("KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL")


def dry_run(path: str, environment: Mapping[str, str], commands: Commands, *, resume: bool, **options: Any) -> str:
    """The plan in words; nothing is started or written.

    Raises:
        UsageError: one line on what is wrong.
    """
    plan = build_plan(path, environment, commands, **options)
    check_search(plan)
    check_compare(plan)
    makeable_directory(plan.result_dir, "result_dir")
    done = []
    if resume:
        earlier = {entry.key: entry for entry in read_entries(plan.result_dir) or ()}
        done = [p.key for p in plan.points
                if p.key in earlier and earlier[p.key].status == DONE
                and earlier[p.key].fingerprint == p.fingerprint]  # fmt: skip
    text, why = render(plan, _reports(plan), done), too_short(plan)
    return f"{text}\nwarning: {why}" if why else text


def run_sweep(
    path: str,
    environment: Mapping[str, str],
    commands: Commands,
    *,
    resume: bool,
    overwrite: bool,
    continue_on_error: bool,
    **options: Any,
) -> int:
    """Run a file; returns the exit code: 0 all measured, 1 nothing, 3 some, 130 interrupted.

    Raises:
        UsageError: before anything was started.
    """
    plan = build_plan(path, environment, commands, **options)
    check_search(plan)
    check_compare(plan)
    if why := too_short(plan):
        say_on_stderr(f"tokenclock sweep: warning: {why}")
    for folder, report in _reports(plan).items():
        for text in report.warnings if report is not None else ():
            say_on_stderr(f"tokenclock sweep: server {folder}: warning: {text}")
    if not plan.words.known:
        say_on_stderr(f"tokenclock sweep: tokenclock {plan.words.command} is not built here: every point would fail")
    earlier = earlier_entries(plan.result_dir, resume=resume, overwrite=overwrite)
    index = Index(plan.result_dir, _without_secrets(dump(plan.sweep)), environment_module.collect())
    points = plan.points if plan.sweep.search is None else []  # of a search, the tries are found out on the way
    n_kept = take_over(index, plan.result_dir, points, earlier)
    index.save()
    kept = f", {n_kept} done already" if n_kept else ""
    minutes, n = expected_minutes(plan), len(plan.points)
    what = ("point" if n == 1 else "points") if plan.sweep.search is None else ("search" if n == 1 else "searches")
    say_on_stderr(f"tokenclock sweep: {n} {what}{kept}, about {minutes:.1f} minutes; results in {plan.result_dir}/")
    with deferred_interrupts(lambda text: say_on_stderr(f"tokenclock sweep: {text}"), ends_process=True) as came, \
            shown_page(plan) as page:  # fmt: skip
        page.already_done([key for key, entry in index.entries.items() if entry.status == DONE])
        runner = Runner(plan, index, page, came, continue_on_error)
        found: list[dict[str, Any]] = []
        if plan.sweep.search is not None:
            found = run_searches(runner)
        else:
            runner.run()
        interrupted = came()
    index.save(finished=not interrupted)
    _show(plan, index, found)
    code = _end(plan, index, runner, interrupted=interrupted)
    index.close()
    unmet = any(one.get("highest", 0) is None or not one["complete"] for one in found)
    return code or (3 if unmet else 0)


def _end(plan: SweepPlan, index: Index, runner: Runner, *, interrupted: bool) -> int:
    entries = list(index.entries.values())
    done = [entry for entry in entries if entry.status == DONE]
    not_run = sum(entry.status == NOT_RUN for entry in entries)
    failed = len(entries) - len(done) - not_run
    why = ""
    if runner.out_of_time:
        why = f"; max_minutes: {plan.sweep.max_minutes:g} are over{runner.too_long}"
    elif runner.stopped and not_run:
        why = "; --continue-on-error would have gone on"
    left = (
        f", {failed} failed or incomplete, {not_run} not run{why}; --resume goes on" if len(done) < len(entries) else ""
    )
    say_on_stderr(f"tokenclock sweep: {len(done)} of {len(entries)} points measured{left}; {index.path}")
    if interrupted:
        return 130
    if not done:
        return 1
    code = 3 if len(done) < len(entries) or any(entry.exit_code == 3 for entry in done) else 0
    if plan.sweep.compare is not None:
        compared = run_compare(plan, index)
        code = code or compared
    return code


def _show(plan: SweepPlan, index: Index, found: list[dict[str, Any]]) -> None:
    """What a search and the Pareto front came to, on stdout."""
    front = write_pareto(plan, index)
    lines = [*summary_lines(found, plan), *(pareto_lines(front) if front is not None else [])]
    if lines:
        print("\n".join(lines), flush=True)


def _reports(plan: SweepPlan) -> dict[str, OptionReport | None]:
    found = {}
    for variant in plan.variants:
        try:
            found[variant.folder] = check_server_options(
                plan.settled[variant.folder], variant.server.release, variant.server.url
            )
        except UsageError as error:
            index = [server.name for server in plan.sweep.servers].index(variant.server.name)
            name = "release" if "release" in str(error) else "extra_llm_api_options"
            raise plan.file.error(("servers", index, name), f"{name}: {error}") from None
    return found


def _without_secrets(value: Any, name: str = "") -> Any:
    """Values whose names sound secret become `***`, and so do all headers."""
    if isinstance(value, Mapping):
        return {key: _without_secrets(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, str) and (name.lower().strip("-") == "header" or any(w in name.upper() for w in _SECRETS)):
        return value if "tokens" in name.lower() or name.lower() == "tokenizer" else "***"
    if isinstance(value, list):
        return [_without_secrets(item, name) for item in value]
    return value
