"""Tokens/s/user against tokens/s/GPU over all points of a sweep, and which of them no other one beats."""

from __future__ import annotations

import json
from typing import Any

from tokenclock.atomic_file import atomic_write
from tokenclock.errors import UsageError
from tokenclock.result import Result
from tokenclock.sweep.curves import pareto_front
from tokenclock.sweep.index import DONE, Index
from tokenclock.sweep.plan import SweepPlan

__all__ = ["write_pareto"]


def write_pareto(plan: SweepPlan, index: Index) -> dict[str, Any] | None:
    """Write `pareto.json`: for every point `tokens_per_s_per_user` (1 / median TPOT), `tokens_per_s_per_gpu` (output
    throughput / gpus) and `on_front`; None where `gpus` is not given, or no point has both figures."""
    gpus = plan.sweep.gpus
    if gpus is None:
        return None
    values: dict[str, tuple[float, float]] = {}
    for key, entry in index.entries.items():
        if entry.status != DONE:
            continue
        try:
            result = Result.load(plan.result_dir / entry.file)
            tpot_ns = result.latencies["tpot"]["percentiles"]["linear"]["50"]
            rate = result.throughput["output_throughput"]
        except (UsageError, KeyError, TypeError):
            continue
        if tpot_ns and rate:
            values[key] = (1e9 / float(tpot_ns), float(rate) / gpus)
    if not values:
        return None
    front = pareto_front(values)
    found = {
        "gpus": gpus,
        "front": front,
        "points": {
            key: {"tokens_per_s_per_user": x, "tokens_per_s_per_gpu": y, "on_front": key in front}
            for key, (x, y) in values.items()
        },
    }
    with atomic_write(plan.result_dir / "pareto.json") as file:
        file.write((json.dumps(found, indent=1) + "\n").encode())
    return found


def pareto_lines(found: dict[str, Any]) -> list[str]:
    """The front as a table."""
    width = max(map(len, found["front"]))
    lines = [f"{'Pareto front':<{width}}  tokens/s/user  tokens/s/GPU"]
    for key in found["front"]:
        point = found["points"][key]
        lines.append(f"{key:<{width}}  {point['tokens_per_s_per_user']:>13.2f}  {point['tokens_per_s_per_gpu']:>12.2f}")
    return lines
