"""The dataset `custom`: JSON lines of prompts."""

from __future__ import annotations

from tokenclock.plan import CustomDataset, ServingPlan
from tokenclock.workload.datasets.chat_form import ChatRow
from tokenclock.workload.datasets.chat_lines import build_chat_lines
from tokenclock.workload.datasets.fields import RowKeys, text_of, whole_number
from tokenclock.workload.datasets.reading import fault, read_objects
from tokenclock.workload.realised import Workload

__all__ = ["build_custom"]


def build_custom(plan: ServingPlan, dataset: CustomDataset) -> Workload:
    """Each row's `prompt`; output length the plan's, or each row's `output_tokens`."""
    rows, notes = _read(dataset.path, dataset.output_len)
    return build_chat_lines(plan, dataset, rows, notes, usable='{"prompt": TEXT} on each line')


def _read(path: str, output_len: int) -> tuple[list[ChatRow], list[str]]:
    own_length = output_len == -1
    keys = RowKeys(path, ("prompt", "output_tokens") if own_length else ("prompt",), ("output_tokens",))
    rows: list[ChatRow] = []
    for line, row in read_objects(path, "custom"):
        keys.check(line, row)
        prompt = text_of(path, line, "prompt", row["prompt"])
        if not prompt:
            raise fault(path, line, "prompt is empty; servers refuse an empty prompt")
        osl = whole_number(path, line, "output_tokens", row["output_tokens"]) if own_length else output_len
        rows.append(([{"role": "user", "content": prompt}], osl))
    return rows, keys.notes()
