"""What every target hands back of a run, and the result that is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock.metrics.trtllm_bench_face import BenchFacts, trtllm_bench_face
from tokenclock.plan_throughput import ThroughputPlan
from tokenclock.quality_words import in_words_of_throughput
from tokenclock.records import Records
from tokenclock.report.trtllm_bench_files import FACE
from tokenclock.result import Result
from tokenclock.workload.datasets.trtllm_bench import BenchRows

__all__ = ["Measured", "with_face"]


@dataclass(frozen=True)
class Measured:
    """A run that has ended.

    Args:
        result: with the serving face alone.
        records: one row per row of the file.
        isl: int (n,), prompt tokens of each row; -1 where nobody counted them.
        engine, world: of the report's sections, None where this target has no such value.
        why_missing: why, by ``section.key``.
        iterations: what the runtime says of its iterations; None: nothing was asked.
    """

    result: Result
    records: Records
    isl: npt.NDArray[np.int32]
    engine: Mapping[str, Any]
    world: Mapping[str, Any]
    why_missing: Mapping[str, str] = field(default_factory=dict)
    iterations: list[Any] | None = None


def with_face(plan: ThroughputPlan, rows: BenchRows, measured: Measured) -> Result:
    """The result with trtllm-bench's face, and the plan of this command."""
    facts = BenchFacts(
        engine=measured.engine,
        world=measured.world,
        streaming=plan.streaming,
        dataset_path=rows.path,
        isl=measured.isl,
        osl=np.array([row.osl for row in rows.rows], np.int32),
        world_size=measured.world["world_size"],
        why_missing=measured.why_missing,
    )
    result = measured.result
    own = plan.to_dict()
    if plan.server is not None:
        own["serving"] = result.to_dict()["plan"]
    quality = in_words_of_throughput(result.quality, command=plan.command, in_process=plan.server is None)
    return replace(
        result, plan=own, quality=quality, faces={**result.faces, FACE: trtllm_bench_face(measured.records, facts)}
    )
