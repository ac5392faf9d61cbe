"""The dataset `sharegpt`: the first question and answer of recorded conversations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tokenclock.plan import ServingPlan, ShareGptDataset
from tokenclock.workload.datasets.chat_form import ChatForm, ChatRow
from tokenclock.workload.datasets.fields import RowKeys, text_of
from tokenclock.workload.datasets.measure import LengthMeter
from tokenclock.workload.datasets.reading import fault, read_objects
from tokenclock.workload.datasets.rows import from_rows, row_order
from tokenclock.workload.realised import Workload
from tokenclock.workload.tokenizer import find_tokenizer

__all__ = ["build_sharegpt", "first_exchange"]

SHORTEST = 4  # tokens of a prompt, and of a recorded answer
LONGEST_PROMPT = 1024
LONGEST_SUM = 2048  # prompt and answer
_BATCH = 256  # conversations tokenized at a time
_ASKING = ("human", "user")


def build_sharegpt(plan: ServingPlan, dataset: ShareGptDataset) -> Workload:
    """Conversations in drawn order, those outside the length limits passed over, until there are enough."""
    meter = LengthMeter(find_tokenizer(plan))
    pairs, unused = _read(dataset.path)
    form = ChatForm(plan, meter, template=False)
    order = row_order(plan, len(pairs), shuffle=dataset.shuffle)
    return from_rows(
        plan,
        form.rows(_usable([pairs[index] for index in order.tolist()], meter, dataset.output_len)),
        tokenizer=meter.tokenizer,
        path=dataset.path,
        usable=f"a prompt of {SHORTEST} to {LONGEST_PROMPT} tokens, an answer of {SHORTEST} or more, "
        f"{LONGEST_SUM} together",
        oversample=dataset.oversample,
        shuffle=dataset.shuffle,
        notes=lambda: [*unused, *meter.note("which conversations fit and how long answers are follow")],
    )


def _read(path: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Question and answer of each conversation that has both, and a note on keys that were passed over."""
    keys = RowKeys(path, ("conversations",), ("id",))
    pairs = []
    for line, row in read_objects(path, "sharegpt"):
        keys.check(line, row)
        pair = first_exchange(path, line, row["conversations"])
        if pair is not None:
            pairs.append(pair)
    return pairs, keys.notes()


def first_exchange(path: str, line: int, turns: Any) -> tuple[str, str] | None:
    """The first question and the answer after it; None where there is none.

    Turns before the first one by a person (an answer without its question, a system's words) are passed over; where
    turns do not say whom they are from, the first is the question.
    """
    if not isinstance(turns, list):
        raise fault(path, line, f"conversations must be a list of turns, got {type(turns).__name__}")
    texts: list[str] = []
    for number, turn in enumerate(turns):
        if not isinstance(turn, dict):
            raise fault(path, line, f"conversations[{number}] must be an object, got {type(turn).__name__}")
        speaker = turn.get("from", "human")
        if not isinstance(speaker, str):
            raise fault(path, line, f"conversations[{number}].from must be text, got {type(speaker).__name__}")
        if not texts and speaker not in _ASKING:
            continue
        if "value" not in turn:
            raise fault(path, line, f"conversations[{number}] must have the key value, got {', '.join(turn)}")
        texts.append(text_of(path, line, f"conversations[{number}].value", turn["value"]))
        if len(texts) == 2:
            return texts[0], texts[1]
    return None


def _usable(pairs: list[tuple[str, str]], meter: LengthMeter, fixed_osl: int | None) -> Iterator[ChatRow]:
    for start in range(0, len(pairs), _BATCH):
        batch = pairs[start : start + _BATCH]
        asked = meter.counts([question for question, _ in batch], special=True).tolist()
        answered = meter.counts([answer for _, answer in batch]).tolist()
        for (question, _), isl, recorded in zip(batch, asked, answered, strict=True):
            osl = recorded if fixed_osl is None else fixed_osl
            too_short = isl < SHORTEST or (fixed_osl is None and osl < SHORTEST)
            if not too_short and isl <= LONGEST_PROMPT and isl + osl <= LONGEST_SUM:
                yield [{"role": "user", "content": question}], osl
