"""The dataset `trtllm_custom`: JSON lines of messages, each with the length of its answer, or trtllm-bench's rows."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np

from tokenclock.plan import ServingPlan, TraceDataset, TrtllmCustomDataset
from tokenclock.workload.datasets.chat_form import ChatRow
from tokenclock.workload.datasets.chat_lines import build_chat_lines
from tokenclock.workload.datasets.fields import RowKeys, chat_messages, whole_number
from tokenclock.workload.datasets.reading import fault, read_objects
from tokenclock.workload.datasets.rows import row_order, times_each
from tokenclock.workload.datasets.trace_reading import read_trace
from tokenclock.workload.datasets.trace_workload import workload_of_trace
from tokenclock.workload.realised import Workload
from tokenclock.workload.streams import content_stream

__all__ = ["build_trtllm_custom"]


def build_trtllm_custom(plan: ServingPlan, dataset: TrtllmCustomDataset) -> Workload:
    """All messages of each row, and its `max_tokens` as the output length.

    Rows without `input` are those that `prepare-dataset` writes and trtllm-bench reads: token ids are sent as such.
    """
    if _are_rows_of_bench(dataset.path):
        return _build_bench_rows(plan, dataset)
    rows, notes = _read(dataset.path)
    usable = '{"input": {"messages": [...], "max_tokens": N}} on each line'
    return build_chat_lines(plan, dataset, rows, notes, usable=usable)


def _are_rows_of_bench(path: str) -> bool:
    """Told from the first row; a pipe, which can be read once only, holds messages."""
    if not os.path.isfile(path):
        return False
    _, row = next(read_objects(path, "trtllm_custom"))
    return "input" not in row and bool({"input_ids", "logits", "task_id"} & row.keys())


def _build_bench_rows(plan: ServingPlan, dataset: TrtllmCustomDataset) -> Workload:
    rows = read_trace(dataset.path, "jsonl")
    order = row_order(plan, len(rows), shuffle=dataset.shuffle)
    n, notes = plan.load.num_prompts, list(rows.notes)
    if len(order) < n and dataset.oversample:
        order = times_each(content_stream("content", plan), len(order), n, shuffle=dataset.shuffle)
        notes.append(
            f"{dataset.path} has {len(rows)} usable rows of the {n} asked for: prompts repeat, which a prefix cache "
            "answers faster; lower --num-prompts or give --no-oversample"
        )
    elif len(order) < n:
        notes.append(f"{dataset.path} has {len(rows)} usable rows of the {n} asked for: {len(rows)} requests are sent")
    picked = rows.take(order[:n].astype(np.int64))
    if picked.has_times or picked.has_sessions:
        notes.append(f"{dataset.path} has times or sessions: they are left aside here, --dataset-name trace keeps them")
    single = replace(picked, session=None, delay_ms=None)
    return workload_of_trace(plan, TraceDataset(dataset.path, form="jsonl", untimed=True), single, None, notes=notes)


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
