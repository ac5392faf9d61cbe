"""Searches over loads, on the machinery of a sweep: each try is a point with a result of its own."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tokenclock.errors import UsageError
from tokenclock.result import Result
from tokenclock.sweep.bisection import KEEPS, UNDECIDED, Bisection, Tally, least_requests
from tokenclock.sweep.curves import Load, find_knee
from tokenclock.sweep.index import DONE
from tokenclock.sweep.plan import SweepPlan
from tokenclock.sweep.points import Variant, Visit
from tokenclock.sweep.runner import Runner
from tokenclock.sweep.schema import Search
from tokenclock.sweep.server_process import RunningServer

__all__ = ["check_search", "run_searches"]


def check_search(plan: SweepPlan) -> None:
    """Refuse a search that could never decide anything.

    Raises:
        UsageError: too few requests for the share that is asked for.
    """
    search = plan.sweep.search
    if search is None or search.kind == "knee":
        return
    needed = least_requests(search.share)
    for visit in plan.visits:
        for point in visit.points:
            words = list(point.argv)
            flag = plan.words.flag(plan.words.requests)
            n = int(words[words.index(flag) + 1]) if flag in words else 1000
            if search.tries * n < needed:
                raise plan.file.error(
                    ("search",),
                    f"share: {search.share:g} is shown by {needed} requests of one load at least, but tries: "
                    f"{search.tries} of {n} are {search.tries * n}; give more requests or tries, or a lower share",
                )


def run_searches(runner: Runner) -> list[dict[str, Any]]:
    """Search for every server and every combination of the other axes; what was found, ready for JSON."""
    plan, search = runner.plan, runner.plan.sweep.search
    assert search is not None
    axes = plan.maker.axes
    found: list[dict[str, Any]] = []
    for variant in plan.variants:
        if runner.must_end():
            break
        with contextlib.ExitStack() as stack:
            first = next(visit.points[0] for visit in plan.visits if visit.variant is variant)
            server = runner.started(Visit(variant, (first,)), stack)
            if server is None:
                continue
            for values in itertools.product(*axes.values()):
                others = dict(zip(axes, values, strict=True))
                one = _OneSearch(runner, search, variant, server, others)
                outcome = one.knee() if search.kind == "knee" else one.highest()
                found.append({"server": variant.folder, "axes": others, "kind": search.kind, **outcome})
                runner.index.note("search", found)
                runner.index.save()
    return found


class _OneSearch:
    """The search of one server under one combination of the other axes."""

    def __init__(
        self, runner: Runner, search: Search, variant: Variant, server: RunningServer, others: Mapping[str, Any]
    ) -> None:
        self._runner = runner
        self._search = search
        self._variant = variant
        self._server = server
        self._others = others
        self._tallies: dict[float, Tally] = {}
        self._complete = True

    def highest(self) -> dict[str, Any]:
        """Bisect, then confirm; a load that fails its confirmation makes room for the next lower one."""
        search = self._search
        bisection = Bisection(search.low, search.high, search.axis == "concurrency", search.tolerance)
        for load in bisection.loads():
            keeps = self._decide(load, search.tries)
            if keeps is None:
                break
            bisection.note(load, keeps=keeps)
        while self._complete and (best := bisection.best) is not None:
            confirmed = self._decide(best, len(self._tallies[best].runs) + search.confirm, confirming=True)
            if confirmed is not False:
                break
            bisection.note(best, keeps=False)
        return {
            "highest": bisection.best,
            "bounded": bisection.is_bound,
            "complete": self._complete,
            "share": search.share,
            "slo_ms": dict(search.slo),
            "loads": [self._described(load) for load in sorted(self._tallies)],
        }

    def knee(self) -> dict[str, Any]:
        """Every load by doubling, each `1 + confirm` times."""
        loads, concurrency = [], int(self._search.low)
        while concurrency <= self._search.high and self._complete:
            for number in range(1, 2 + self._search.confirm):
                result = self._run(float(concurrency), number)
                if result is None:
                    break
                e2el_ns = result.latencies["e2el"]["mean"]
                rate = result.throughput["output_throughput"]
                if e2el_ns and rate:
                    loads.append(Load(concurrency, float(rate), float(e2el_ns)))
            if concurrency == int(self._search.high):
                break
            concurrency = min(2 * concurrency, int(self._search.high))
        knee = find_knee(loads)
        return {
            "knee": None if knee is None else asdict(knee),
            "complete": self._complete,
            "loads": [asdict(load) for load in loads],
        }

    def _decide(self, load: float, most_runs: int, *, confirming: bool = False) -> bool | None:
        """Run a load until its verdict is clear, `most_runs` times at most; None when the sweep has to end.

        Confirming, all the runs are made, whatever the first of them say.
        """
        tally = self._tallies.setdefault(load, Tally(self._search.share))
        while len(tally.runs) < most_runs and (confirming or tally.verdict == UNDECIDED):
            result = self._run(load, len(tally.runs) + 1)
            if result is None:
                return None
            goodput = result.goodput or {}
            if goodput.get("n_good") is None:
                raise UsageError("the limits of slo cannot be judged by these runs: without streaming give e2el alone")
            tally.runs.append((int(goodput["n_good"]), int(result.requests["scheduled"])))
        return tally.verdict == KEEPS

    def _run(self, load: float, number: int) -> Result | None:
        runner = self._runner
        point = runner.plan.maker.a_try(self._variant, self._others, load, number)
        entry = runner.index.taken_over(point)
        if entry is None:
            if runner.must_end(point):
                self._complete = False
                return None
            entry = runner.run_point(point, self._server)
        if entry.status != DONE:
            self._complete = False
            return None
        return Result.load(runner.plan.result_dir / entry.file)

    def _described(self, load: float) -> dict[str, Any]:
        tally = self._tallies[load]
        return {"load": load, "verdict": tally.verdict, "runs": tally.runs, "interval_95": tally.interval}


def summary_lines(found: list[dict[str, Any]], plan: SweepPlan) -> list[str]:
    """The searches' answers, one line each."""
    lines = []
    for one in found:
        where = ", ".join([one["server"], *(f"{name} {value}" for name, value in one["axes"].items())])
        if one["kind"] == "knee":
            lines.append(f"{where}: {_knee_words(one['knee'])}")
            continue
        limits = ", ".join(f"{name} <= {value:g} ms" for name, value in one["slo_ms"].items())
        goal = f"{one['kind']} with {100 * one['share']:g} % of requests within {limits}"
        if one["highest"] is None:
            lines.append(f"{where}: no load kept the limits ({goal}), the lowest tried was {plan.sweep.search.low:g}")  # type: ignore[union-attr]
        else:
            bound = "" if one["bounded"] else " at least: no higher load was tried"
            lines.append(f"{where}: highest {goal}: {one['highest']:g}{bound}")
        if not one["complete"]:
            lines[-1] += " (the search did not end)"
    return lines


def _knee_words(knee: Mapping[str, Any] | None) -> str:
    if knee is None:
        return "no knee: fewer than three loads were measured"
    each = ", ".join(map(str, knee["of_each_run"]))
    beyond = "" if knee["is_inside"] else "; it may lie beyond the loads tried"
    saturated = knee["saturated_from"]
    return f"knee at concurrency {knee['concurrency']} (run by run: {each}), saturated from {saturated}{beyond}"
