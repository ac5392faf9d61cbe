"""What a request file is and how to make it again: tool, version, seed, what was asked and drawn, SHA-256."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock.environment import tool_version
from tokenclock.prepare.plan import PreparePlan, source_name
from tokenclock.workload.datasets.trace_lines import MANIFEST_KEY

__all__ = ["manifest", "manifest_line"]


def manifest(
    plan: PreparePlan,
    *,
    form: str,
    isl: npt.NDArray[np.int32],
    osl: npt.NDArray[np.int32],
    facts: dict[str, Any],
    n_bytes: int,
    sha256: str,
) -> dict[str, Any]:
    """JSON-ready. `sha256` and `n_bytes` are of everything before a manifest line, or of the whole file."""
    asked = dataclasses.asdict(plan)
    if asked["request_rate"] == math.inf:
        asked["request_rate"] = None  # none was: the rows have no times
    if asked["vocab_size"] is None:  # the tokenizer's holds, which is among what was drawn from
        del asked["vocab_size"]
    if not asked["eos_ids"]:
        del asked["eos_ids"]
    return {
        "tool": "tokenclock prepare-dataset",
        "version": tool_version(),
        "numpy": np.__version__,
        "form": form,
        "seed": plan.seed,
        "source": source_name(plan.source),
        "asked": asked,
        "drawn": {"num_requests": len(isl), "isl": _spread(isl), "osl": _spread(osl), **facts},
        "n_bytes": n_bytes,
        "sha256": sha256,
    }


def _spread(lengths: npt.NDArray[np.int32]) -> dict[str, float] | None:
    """In tokens."""
    if len(lengths) == 0:
        return None
    return {
        "mean": round(float(lengths.mean()), 4),
        "stdev": round(float(lengths.std()), 4),
        "min": int(lengths.min()),
        "max": int(lengths.max()),
        "sum": int(lengths.sum(dtype=np.int64)),
    }


def manifest_line(values: dict[str, Any]) -> bytes:
    """As one line of JSON that no reader of rows takes for a row."""
    return json.dumps({MANIFEST_KEY: values}, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
