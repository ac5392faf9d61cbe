"""Prompts of token ids: lengths, distinctness, and the rows behind the flat array."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenclock.workload.prompts import TokenPrompts, draw_token_prompts, draw_word_prompts
from tokenclock.workload.words import WORDS

NO_PREFIX = np.empty(0, dtype=np.int32)


def int32(*values: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.array(values, dtype=np.int32)


def test_rows_come_out_of_the_flat_array_as_lists() -> None:
    prompts = TokenPrompts(int32(1, 2, 3, 4), np.array([0, 1, 4]))
    assert list(prompts) == [[1], [2, 3, 4]]
    assert len(prompts) == 2
    assert prompts[-1] == [2, 3, 4]
    assert prompts[0:2] == [[1], [2, 3, 4]]
    assert isinstance(prompts[1][0], int)
    with pytest.raises(IndexError):
        prompts[2]


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=30),
    n_prefix=st.integers(0, 5),
    seed=st.integers(0, 2**32),
)
def test_every_row_is_the_prefix_and_its_own_length(lengths: list[int], n_prefix: int, seed: int) -> None:
    choices = np.arange(3, 10_000, dtype=np.int32)
    prefix = choices[:n_prefix]
    prompts = draw_token_prompts(np.random.default_rng(seed), choices, int32(*lengths), prefix, set())
    assert [len(row) for row in prompts] == [n_prefix + length for length in lengths]
    for row in prompts:
        assert row[:n_prefix] == prefix.tolist()
        assert min(row) >= 3
        assert max(row) < 10_000


def test_rows_differ_even_where_chance_would_repeat_them() -> None:
    taken: set[bytes] = set()
    prompts = draw_token_prompts(np.random.default_rng(0), np.arange(30, dtype=np.int32), int32(*[2] * 300), NO_PREFIX,
                                 taken)  # fmt: skip
    assert len({tuple(row) for row in prompts}) == 300  # of 900 possible: chance alone would leave about 255
    assert len(taken) == 300


def test_too_few_choices_repeat_rows_and_can_be_seen() -> None:
    taken: set[bytes] = set()
    choices = np.arange(4, dtype=np.int32)
    draw_token_prompts(np.random.default_rng(0), choices, int32(*[1] * 10), NO_PREFIX, taken)
    assert len(taken) == 4


def test_rows_avoid_what_is_taken() -> None:
    choices, taken = np.arange(8, dtype=np.int32), {int32(value).tobytes() for value in range(7)}
    prompts = draw_token_prompts(np.random.default_rng(1), choices, int32(1), NO_PREFIX, taken)
    assert list(prompts) == [[7]]


def test_word_prompts_have_one_word_a_token() -> None:
    prompts = draw_word_prompts(np.random.default_rng(0), int32(5, 9), int32(0, 1), set())
    assert [len(text.split(" ")) for text in prompts] == [7, 11]
    assert all(text.startswith(f"{WORDS[0]} {WORDS[1]} ") for text in prompts)
    assert all(word in WORDS for text in prompts for word in text.split(" "))
