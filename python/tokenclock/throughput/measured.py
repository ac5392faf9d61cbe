"""What every target hands back of a run, and the result that is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock.metrics.trtllm_bench_face import BenchFacts, trtllm_bench_face
from tokenclock.plan_throughput import ThroughputPlan
from tokenclock.quality import Quality
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


# flags of `serving` that reasons and remedies name -> this command's
_WORDS = {
    "--num-prompts": "--num_requests",
    "--max-concurrency": "--concurrency",
    "--num-warmups": "--warmup",
    "say --non-streaming": "leave --streaming out",
    "add --ignore-eos, and": "leave --eos_id out, and",
    ", or raise --workers": "",
}


_WORDS_IN_PROCESS = {
    "see the message above and the server's log": "see the message above",
    "see what the server did then": "see what the runtime did then",
    "where the server falls behind, lower the rate": "where the runtime falls behind, lower --concurrency",
    ", and leave room in the server's context length": ", and see the model's longest sequence",
    "raise --workers": "lower --concurrency",
}


def _in_own_words(quality: Quality, *, in_process: bool) -> Quality:
    words = (_WORDS_IN_PROCESS if in_process else {}) | _WORDS

    def told(text: str) -> str:
        for theirs, ours in words.items():
            text = text.replace(theirs, ours)
        return text

    checks = [replace(check, reason=told(check.reason), remedy=told(check.remedy)) for check in quality.checks]
    return replace(quality, checks=tuple(checks))


def with_face(plan: ThroughputPlan, rows: BenchRows, measured: Measured) -> Result:
    """The result with trtllm-bench's face, and the plan of this command."""
    facts = BenchFacts(
        engine=measured.engine,
        world=measured.world,
        streaming=plan.streaming,
        dataset_path=rows.path,
        isl=measured.isl,
        osl=np.array([row.osl for row in rows.rows], np.int32),
        world_size=plan.world_size,
        why_missing=measured.why_missing,
    )
    result = measured.result
    own = plan.to_dict()
    if plan.server is not None:
        own["serving"] = result.to_dict()["plan"]
    quality = _in_own_words(result.quality, in_process=plan.server is None)
    return replace(
        result, plan=own, quality=quality, faces={**result.faces, FACE: trtllm_bench_face(measured.records, facts)}
    )
