"""The dataset `input_file` of `profile`: JSON lines of texts, sent as they are, in order."""

from __future__ import annotations

from collections.abc import Iterator

from tokenclock.plan import InputFileDataset, ServingPlan
from tokenclock.workload.datasets.fields import RowKeys, text_of
from tokenclock.workload.datasets.measure import LengthMeter
from tokenclock.workload.datasets.reading import fault, read_objects
from tokenclock.workload.datasets.rows import Row, from_rows
from tokenclock.workload.realised import Workload
from tokenclock.workload.streams import stream
from tokenclock.workload.synthetic import asked_lengths
from tokenclock.workload.tokenizer import find_tokenizer

__all__ = ["build_input_file"]

_KEYS = ("text", "text_input")


def build_input_file(plan: ServingPlan, dataset: InputFileDataset) -> Workload:
    """One prompt a line, under `text` or `text_input`; answer lengths are drawn as for synthetic prompts."""
    meter = LengthMeter(find_tokenizer(plan))
    texts, notes = _read(dataset.path)
    lengths = meter.counts(texts, special=not plan.endpoint.is_chat).tolist() if meter.exact else [-1] * len(texts)
    osl = asked_lengths(
        stream("output_lengths", plan.load.seed), len(texts), dataset.output_mean, dataset.output_stddev
    ).tolist()

    def rows() -> Iterator[Row]:
        return (Row(text, length, isl) for text, length, isl in zip(texts, osl, lengths, strict=True))

    return from_rows(
        plan,
        rows(),
        tokenizer=meter.tokenizer,
        path=dataset.path,
        usable='{"text": TEXT} on each line',
        shuffle=False,
        notes=lambda: notes,
    )


def _read(path: str) -> tuple[list[str], list[str]]:
    keys, texts = RowKeys(path, (), _KEYS), list[str]()
    for line, row in read_objects(path, "input_file"):
        keys.check(line, row)
        named = [key for key in _KEYS if key in row]
        if len(named) != 1:
            got = " and ".join(named) or ", ".join(list(row)[:6]) or "no keys"
            raise fault(path, line, f"expected one of the keys text and text_input, got {got}")
        text = text_of(path, line, named[0], row[named[0]])
        if not text:
            raise fault(path, line, f"{named[0]} is empty; servers refuse an empty prompt")
        texts.append(text)
    return texts, keys.notes()
