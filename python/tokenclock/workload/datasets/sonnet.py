"""The dataset `sonnet`: lines of a text drawn at random, behind lines that all prompts share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tokenclock.errors import UsageError
from tokenclock.plan import ServingPlan, SonnetDataset
from tokenclock.workload.datasets.chat_form import ChatForm, ChatRow
from tokenclock.workload.datasets.measure import LengthMeter
from tokenclock.workload.datasets.reading import bounded_lines, open_dataset
from tokenclock.workload.datasets.rows import Row, from_rows
from tokenclock.workload.realised import Workload
from tokenclock.workload.streams import content_stream
from tokenclock.workload.tokenizer import find_tokenizer

__all__ = ["build_sonnet"]

_OPENING = "Go on in the manner of these lines:\n"
_MISSES = 1000  # drawn prompts in a row that are too long or known already


def build_sonnet(plan: ServingPlan, dataset: SonnetDataset) -> Workload:
    """Prompts of at most `input_len` tokens, opening, shared lines and template included."""
    meter = LengthMeter(find_tokenizer(plan))
    form = ChatForm(plan, meter, template=dataset.chat_template)
    lines = _read(dataset.path)
    return from_rows(
        plan,
        _fitting(form.rows(_prompts(plan, dataset, meter, form, lines)), dataset.input_len),
        tokenizer=meter.tokenizer,
        path=dataset.path,
        usable=f"lines short enough for prompts of --sonnet-input-len {dataset.input_len} tokens",
        notes=lambda: [*meter.note("how many lines a prompt gets follows"), *form.notes()],
        shared_prefix=dataset.prefix_len > 0,
    )


def _read(path: str) -> list[str]:
    with open_dataset(path, "sonnet") as file:
        lines = [line.rstrip("\n") for line in bounded_lines(path, file) if line.strip()]
    if not lines:
        raise UsageError(f"{path} is empty; expected lines of text")
    return lines


def _prompts(
    plan: ServingPlan, dataset: SonnetDataset, meter: LengthMeter, form: ChatForm, lines: list[str]
) -> Iterator[ChatRow]:
    """Prompts that differ from each other, without end; none where not one line fits."""
    special = not plan.endpoint.takes_messages
    sizes = meter.counts([line + "\n" for line in lines])
    n_shared = _lines_within(dataset.prefix_len - int(meter.counts([_OPENING], special=special)[0]), sizes)
    shared = _OPENING + "".join(line + "\n" for line in lines[:n_shared])
    (framed,) = form.rows([([{"role": "user", "content": shared}], dataset.output_len)])
    around = framed.isl if framed.isl >= 0 else int(meter.counts([shared], special=special)[0])
    generator, known, misses = content_stream("content", plan), set[str](), 0
    while misses < _MISSES:
        room, chosen = dataset.input_len - around, []
        while sizes[index := int(generator.integers(len(lines)))] <= room:
            chosen.append(lines[index])
            room -= int(sizes[index])
        prompt = shared + "\n".join(chosen)
        if not chosen or prompt in known:
            misses += 1
            continue
        known.add(prompt)
        misses = 0
        yield [{"role": "user", "content": prompt}], dataset.output_len


def _fitting(rows: Iterator[Row], longest: int) -> Iterator[Row]:
    """The rows that are not too long as a whole: lines joined may count more tokens than one by one."""
    misses = 0
    for row in rows:
        misses = misses + 1 if row.isl > longest else 0
        if misses == _MISSES:
            return
        if row.isl <= longest:
            yield row


def _lines_within(budget: int, sizes: npt.NDArray[np.int32]) -> int:
    """How many lines from the top have `budget` tokens together at most."""
    return int(np.searchsorted(np.cumsum(sizes), budget, side="right")) if budget > 0 else 0
