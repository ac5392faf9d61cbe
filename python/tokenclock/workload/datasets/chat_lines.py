"""What the datasets of one JSON line a request have in common, once their lines are read: order, form, repetition."""

from __future__ import annotations

from collections.abc import Sequence

from tokenclock.plan import CustomDataset, ServingPlan, TrtllmCustomDataset
from tokenclock.workload.datasets.chat_form import ChatForm, ChatRow
from tokenclock.workload.datasets.measure import LengthMeter
from tokenclock.workload.datasets.rows import from_rows, row_order
from tokenclock.workload.realised import Workload
from tokenclock.workload.tokenizer import find_tokenizer

__all__ = ["build_chat_lines"]


def build_chat_lines(
    plan: ServingPlan,
    dataset: CustomDataset | TrtllmCustomDataset,
    rows: Sequence[ChatRow],
    notes: Sequence[str],
    *,
    usable: str,
) -> Workload:
    """The workload of all rows of a file; `usable` says what a line looks like, `notes` what reading showed."""
    form = ChatForm(plan, LengthMeter(find_tokenizer(plan)), template=dataset.chat_template)
    order = row_order(plan, len(rows), shuffle=dataset.shuffle)
    return from_rows(
        plan,
        form.rows(rows[index] for index in order.tolist()),
        tokenizer=find_tokenizer(plan),
        path=dataset.path,
        usable=usable,
        oversample=dataset.oversample,
        shuffle=dataset.shuffle,
        notes=lambda: [*notes, *form.notes()],
    )
