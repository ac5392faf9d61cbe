"""The manifest speaks the words of the command."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tokenclock.prepare.manifest import manifest
from tokenclock.prepare.plan import HistLengths, Lengths, MixLengths, NormLengths, PreparePlan, RealData, UnifLengths
from tokenclock.prepare.synthetic import SyntheticRows

NORM = NormLengths(9, 0, 4, 0)


@pytest.mark.parametrize(
    ("source", "word"),
    [
        (NORM, "token-norm-dist"),
        (NormLengths(9, 0, 4, 0, lognormal=True), "token-lognorm-dist"),
        (UnifLengths(1, 2, 3, 4), "token-unif-dist"),
        (MixLengths(((1.0, NORM),)), "token-mix-dist"),
        (HistLengths("trace.jsonl"), "token-hist-dist"),
        (RealData("data.jsonl", prompt_key="ask", output_key="answer"), "dataset"),
    ],
)
def test_the_source_is_the_word_that_was_typed(source: Lengths | RealData, word: str) -> None:
    plan = PreparePlan(source=source, num_requests=2, vocab_size=99)
    isl, osl = np.array([3, 5], np.int32), np.array([4, 4], np.int32)
    told = manifest(plan, form="jsonl", isl=isl, osl=osl, facts={"sessions": None}, n_bytes=7, sha256="ab")
    assert told["source"] == word
    assert told["drawn"] == {
        "num_requests": 2,
        "isl": {"mean": 4.0, "stdev": 1.0, "min": 3, "max": 5, "sum": 8},
        "osl": {"mean": 4.0, "stdev": 0.0, "min": 4, "max": 4, "sum": 8},
        "sessions": None,
    }


def test_what_was_not_asked_is_not_told_as_asked() -> None:
    isl = np.array([3], np.int32)

    def asked(**values: Any) -> dict[str, Any]:
        plan = PreparePlan(source=NORM, num_requests=1, **values)
        found: dict[str, Any] = manifest(plan, form="jsonl", isl=isl, osl=isl, facts={}, n_bytes=7, sha256="ab")[
            "asked"
        ]
        return found

    of_tokenizer = asked(tokenizer="somewhere")
    assert of_tokenizer["request_rate"] is None
    assert not {"vocab_size", "eos_ids"} & of_tokenizer.keys()
    named = asked(vocab_size=99, eos_ids=(2,), request_rate=4.0)
    assert (named["vocab_size"], tuple(named["eos_ids"]), named["request_rate"]) == (99, (2,), 4.0)


def test_what_rows_are_drawn_from_is_told() -> None:
    facts = SyntheticRows.draw(PreparePlan(source=NORM, num_requests=1, vocab_size=99, eos_ids=(2,))).facts()
    assert (facts["vocab_size"], facts["eos_ids"]) == (99, [2])
