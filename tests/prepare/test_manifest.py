"""The manifest speaks the words of the command."""

from __future__ import annotations

import numpy as np
import pytest

from tokenclock.prepare.manifest import manifest
from tokenclock.prepare.plan import HistLengths, Lengths, MixLengths, NormLengths, PreparePlan, RealData, UnifLengths

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
