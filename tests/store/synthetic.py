"""Runs that nobody measured, many and fast: for tests of the history and of its pages."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

from tokenclock.store.database import open_database
from tokenclock.store.record import Added, MetricValue, RunRecord, hash_of

__all__ = ["METRICS", "synthetic_history", "synthetic_runs"]

METRICS = {
    "ttft.mean": (20e6, "ns"), "ttft.p99": (60e6, "ns"), "tpot.mean": (8e6, "ns"), "itl.p99": (15e6, "ns"),
    "e2el.mean": (1e9, "ns"), "output_throughput": (2500.0, "1/s"),
}  # fmt: skip
_MODELS = ("llama-3.1-8b", "llama-3.3-70b", "qwen3-32b", "gemma-3-27b", "mixtral-8x7b")
_GPUS = ("NVIDIA H100 80GB HBM3", "NVIDIA H200", "NVIDIA L40S", "NVIDIA A100-SXM4-80GB")
_FIRST = datetime(2025, 1, 1, tzinfo=timezone.utc)


def synthetic_runs(n: int, *, seed: int = 0, step_at: float | None = 0.7, step: float = 0.1) -> Iterator[RunRecord]:
    """`n` runs over two years, in order of time, alike for a seed.

    Args:
        n: how many.
        seed: of the noise, which is 2 %.
        step_at: from this share of the time on, the first model on the first GPU is slower; None: never.
        step: by how much.
    """
    draw = random.Random(seed)
    apart = timedelta(days=730) / max(n, 1)
    for i in range(n):
        model, gpu = _MODELS[i % 5], _GPUS[i // 5 % 4]
        concurrency = 2 ** (i // 20 % 6)
        slower = 1 + step if step_at is not None and i >= step_at * n and i % 20 == 0 else 1.0
        scale = (1 + i % 5) * math.sqrt(concurrency) * slower
        metrics = {}
        for name, (base, unit) in METRICS.items():
            value = base * (1 / scale if unit == "1/s" else scale) * (1 + 0.02 * draw.gauss(0, 1))
            metrics[name] = MetricValue(value, value * 0.98, value * 1.02, unit)
        yield RunRecord(
            hash=hash_of({"seed": seed, "i": i}), created=_FIRST + i * apart, kind="serving", tool="tokenclock",
            tool_version="0.1.0", model=model, label=f"{model}-c{concurrency}", gpu=gpu, gpu_count=1,
            host=f"node{i % 7}", concurrency=concurrency, request_rate=math.inf, isl=512.0, osl=128.0, backend="openai",
            streaming=True, state=(*["valid"] * 6, "warn", "warn", "invalid")[i // 5 % 9],
            source=f"runs/{i}.json", tags={"branch": "main" if i % 3 else "feature"}, metrics=metrics,
        )  # fmt: skip


def synthetic_history(place: str, n: int, *, seed: int = 0) -> Added:
    """Add `n` synthetic runs to the history at `place`, which is made where it is not there."""
    with open_database(place) as database:
        return database.add(synthetic_runs(n, seed=seed))
