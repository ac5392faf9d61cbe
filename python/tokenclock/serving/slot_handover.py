"""Warm-ups before the measured requests of one load: each slot passes from the former to the latter by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tokenclock._core import LoadClient
from tokenclock.workload.messages import Prompt

if TYPE_CHECKING:
    from tokenclock.serving.client import LoadRequests

__all__ = ["MeasuredPart", "with_warm_ups"]

Array = npt.NDArray[Any]


def with_warm_ups(requests: LoadRequests, warm_ups: Sequence[tuple[Prompt, int]]) -> LoadRequests:
    """The warm-ups' prompts and output lengths as rows before those of a closed loop."""
    n = len(warm_ups)
    if not n:
        return requests
    lengths = np.array([osl for _, osl in warm_ups], requests.osl_requested.dtype)
    return replace(
        requests,
        prompts=[*(prompt for prompt, _ in warm_ups), *requests.prompts],
        isl_requested=_behind(n, -1, requests.isl_requested),
        osl_requested=np.concatenate([lengths, requests.osl_requested]),
        t_due_ns=_behind(n, 0, requests.t_due_ns),
        lora=None if requests.lora is None else _behind(n, -1, requests.lora),
        n_warm_ups=n,
    )


def _behind(n: int, value: int, column: Array) -> Array:
    return np.concatenate([np.full(n, value, column.dtype), column])


class MeasuredPart:
    """A native client as if its first `n_before` rows were not there, for what writes down events during the run."""

    def __init__(self, client: LoadClient, n_before: int) -> None:
        self._client = client
        self._n_before = n_before

    def take_final(self) -> dict[str, Array]:
        """As `LoadClient.take_final`, of the measured rows."""
        final = self._client.take_final()
        measured = final["event_row"] >= self._n_before
        events = {name: values[measured] for name, values in final.items() if name != "rows"}
        events["event_row"] = events["event_row"] - self._n_before
        rows = final["rows"]
        return {**events, "rows": rows[rows >= self._n_before] - self._n_before}

    def columns(self) -> dict[str, Array]:
        """As `LoadClient.columns`, of the measured rows."""
        return {name: column[self._n_before :] for name, column in self._client.columns().items()}
