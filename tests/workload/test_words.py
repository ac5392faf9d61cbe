"""The packaged words are plain and different."""

from __future__ import annotations

from tokenclock.workload.words import WORDS


def test_words_are_many_distinct_and_plain() -> None:
    assert len(WORDS) >= 600
    assert len(set(WORDS)) == len(WORDS)
    assert all(word.isascii() and word.isalpha() and word.islower() for word in WORDS)
