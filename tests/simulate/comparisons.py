"""How often two runs are called different, over many simulated pairs: a server and itself, or a slower one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from tests.simulate.processes import stalling_server

from tokenclock.compare.alike import Pair
from tokenclock.compare.run import Load, Run, estimates_of
from tokenclock.compare.verdict import BETTER, WORSE, Row, judge, rows_of
from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.run_intervals import whole_run_intervals
from tokenclock.metrics.summary import summarise
from tokenclock.readers.ours import OwnResult
from tokenclock.records import Records
from tokenclock.result_sections import confidence_section, latency_section

__all__ = ["Calls", "of_pairs"]

MIN_EFFECT = 0.02


@dataclass(frozen=True)
class _Columns:
    """What `compare` asks of a result of ours: its columns."""

    kept: Records
    columns: Path = Path("kept in memory")

    def records(self) -> Records:
        return self.kept


@dataclass
class Calls:
    """Comparisons, those with any call, those with a wrong one, and the calls per metric."""

    n: int
    any_called: int
    any_better: int
    per_metric: dict[str, float]
    given: dict[str, float]
    below_5_percent: dict[str, float]

    @property
    def share(self) -> float:
        """Of the comparisons those in which anything was called."""
        return self.any_called / self.n


def of_pairs(
    n: int,
    n_requests: int,
    slots: int,
    *,
    slowdown: float = 1.0,
    same_prompts: bool = True,
    n_runs: int = 1,
    between_runs: float = 0.0,
    seed: int = 0,
) -> Calls:
    """Compare ``n`` pairs of sides.

    Args:
        n_requests, slots: of each run.
        slowdown: of the other side.
        same_prompts: both sides are asked the same; else requests cannot be paired.
        n_runs: on each side, taking turns.
        between_runs: standard deviation of the speed of one start to the next, as a share.
    """
    found: list[list[Row]] = []
    for i in range(n):
        sides: list[list[Run]] = [[], []]
        for repeat in range(n_runs):
            for side, speed in ((0, 1.0), (1, slowdown)):
                rng = np.random.default_rng([seed, i, repeat, side])
                start = speed * float(np.exp(between_runs * rng.standard_normal()))
                prompts = np.random.default_rng([seed, i, 0 if same_prompts else side])
                records = stalling_server(rng, n_requests, slots, prompts=prompts, slowdown=start)
                workload = "same" if same_prompts else f"of side {side}"
                sides[side].append(_run(records, slots, workload, f"{2 * repeat + side:03}"))
        pair = Pair(sides[0][0].load, None, None, tuple(sides[0]), tuple(sides[1]))
        found.append(judge(rows_of(pair), MIN_EFFECT))
    return _counted(found)


def _run(records: Records, slots: int, workload: str, created: str) -> Run:
    facts = RunFacts(max_concurrency=slots)
    summary = summarise(records, facts)
    section: dict[str, Any] = {
        "latencies": {tag: latency_section(one) for tag, one in summary.distributions.items()},
        "throughput": asdict(summary.rates),
    }
    estimates = estimates_of(section, confidence_section(whole_run_intervals(records, facts, summary)))
    own = cast(OwnResult, _Columns(records))
    return Run(
        Path("simulated"), "tokenclock", Load(slots), None, None, workload, {}, "", created, "VALID", estimates, own=own
    )


def _counted(found: Sequence[Sequence[Row]]) -> Calls:
    names = sorted({row.metric for rows in found for row in rows})
    n = len(found)
    rows_by_name = {name: [row for rows in found for row in rows if row.metric == name] for name in names}
    called = {name: sum(row.verdict in (BETTER, WORSE) for row in rows) / n for name, rows in rows_by_name.items()}
    tested = {name: [row.found for row in rows if row.found is not None] for name, rows in rows_by_name.items()}
    return Calls(
        n,
        sum(any(row.verdict in (BETTER, WORSE) for row in rows) for rows in found),
        sum(any(row.verdict == BETTER for row in rows) for rows in found),
        called,
        {name: len(ratios) / n for name, ratios in tested.items()},
        {name: sum(one.p_value < 0.05 for one in ratios) / max(1, len(ratios)) for name, ratios in tested.items()},
    )
