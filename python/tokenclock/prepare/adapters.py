"""Which LoRA adapter each row of a request file asks for, and how that is written."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tokenclock.errors import UsageError
from tokenclock.prepare.plan import LoraPlan
from tokenclock.prepare.token_rows import zipf_weights
from tokenclock.workload.streams import stream

__all__ = ["NO_ADAPTER", "draw_adapters", "lora_request", "notes_on_adapters"]

NO_ADAPTER = -1
"""The id of a row that asks for the model itself."""

_NAMED = 5  # folders that are missing, in a note


def draw_adapters(
    lora: LoraPlan, count: int, seed: int, compat: random.Random | None = None
) -> npt.NDArray[np.int32] | None:
    """The adapter id of each row, int32[count], NO_ADAPTER among them; None where no row is asked to have one.

    compat: the original's generator after it has drawn every row's tokens.
    """
    if not lora.asked:
        return None
    if lora.rand_task_id is None:
        return np.full(count, lora.task_id, dtype=np.int32)
    low, high = lora.rand_task_id
    if compat is not None:
        return np.array([compat.randint(low, high) for _ in range(count)], dtype=np.int32)
    generator = stream("lora", seed)
    if lora.zipf == 0:
        return generator.integers(low, high, size=count, endpoint=True).astype(np.int32)
    shares = zipf_weights(high - low + 1, lora.zipf)
    return (low + generator.choice(len(shares), size=count, p=shares)).astype(np.int32)


def lora_request(lora: LoraPlan, adapter: int) -> str | None:
    """The JSON object of `lora_request` for one row; None for a row without an adapter."""
    if adapter == NO_ADAPTER:
        return None
    path = os.path.join(lora.directory or "", str(adapter))
    values = {"lora_name": f"lora_{adapter}", "lora_int_id": adapter, "lora_path": path}
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False)


def notes_on_adapters(lora: LoraPlan, adapters: Sequence[int], *, rows_name_them: bool) -> list[str]:
    """What to know of them: folders that are missing, and rows that cannot name their adapter.

    rows_name_them: the form written has `lora_request`, which needs the folder.
    Raises UsageError where --lora-dir is no directory.
    """
    if lora.directory is None:
        if lora.asked and rows_name_them:
            return [
                "no --lora-dir: rows get no lora_request, which names a folder; give the one that holds the adapters"
            ]
        return []
    if not os.path.isdir(lora.directory):
        raise UsageError(f"--lora-dir must be a directory with one folder per adapter id, got {lora.directory}")
    if not lora.asked:
        return ["--lora-dir is of no use without --task-id or --rand-task-id: no row asks for an adapter"]
    named = [str(one) for one in adapters if one != NO_ADAPTER]
    missing = [one for one in named if not os.path.isdir(os.path.join(lora.directory, one))]
    if not missing:
        return []
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    return [f"{lora.directory} has no folder for adapter {', '.join(missing[:_NAMED])}{more}; a server will want it"]
