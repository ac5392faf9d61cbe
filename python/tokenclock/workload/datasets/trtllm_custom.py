"""The dataset `trtllm_custom`: JSON lines of messages, each with the length of its answer."""

from __future__ import annotations

from typing import Any

from tokenclock.plan import ServingPlan, TrtllmCustomDataset
from tokenclock.workload.datasets.chat_form import ChatRow
from tokenclock.workload.datasets.chat_lines import build_chat_lines
from tokenclock.workload.datasets.fields import RowKeys, chat_messages, whole_number
from tokenclock.workload.datasets.reading import fault, read_objects
from tokenclock.workload.realised import Workload

__all__ = ["build_trtllm_custom"]


def build_trtllm_custom(plan: ServingPlan, dataset: TrtllmCustomDataset) -> Workload:
    """All messages of each row, and its `max_tokens` as the output length."""
    rows, notes = _read(dataset.path)
    usable = '{"input": {"messages": [...], "max_tokens": N}} on each line'
    return build_chat_lines(plan, dataset, rows, notes, usable=usable)


def _read(path: str) -> tuple[list[ChatRow], list[str]]:
    outer, inner = RowKeys(path, ("input",)), RowKeys(path, ("messages", "max_tokens"))
    rows: list[ChatRow] = []
    for line, row in read_objects(path, "trtllm_custom"):
        outer.check(line, row)
        given: Any = row["input"]
        if not isinstance(given, dict):
            raise fault(path, line, f"input must be an object, got {type(given).__name__}")
        inner.check(line, given)
        messages = chat_messages(path, line, "messages", given["messages"])
        rows.append((messages, whole_number(path, line, "max_tokens", given["max_tokens"])))
    return rows, [*outer.notes(), *inner.notes()]
