"""Ids drawn many at a time are those that Python's own generator draws one by one."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenclock.prepare.compat_draws import compat_texts, draws_alike
from tokenclock.prepare.token_rows import compat_row


def one_by_one(seed: int, size: int, eos_ids: tuple[int, ...], lengths: list[int]) -> list[bytes]:
    generator = random.Random(seed)
    return [",".join(map(str, compat_row(generator, size, eos_ids, length))).encode() for length in lengths]


def many(seed: int, size: int, eos_ids: tuple[int, ...], lengths: list[int]) -> list[bytes]:
    pieces = compat_texts(seed, size, eos_ids, np.array(lengths, np.int32))
    return [row for piece in pieces for row in piece]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1 << 40),
    size=st.integers(300, 40_000),
    eos_ids=st.lists(st.integers(0, 299), max_size=2, unique=True),
    lengths=st.lists(st.integers(1, 80), min_size=1, max_size=50),
)
def test_they_are_the_same(seed: int, size: int, eos_ids: list[int], lengths: list[int]) -> None:
    if draws_alike(size, max(lengths)):
        assert many(seed, size, tuple(eos_ids), lengths) == one_by_one(seed, size, tuple(eos_ids), lengths)


@pytest.mark.parametrize(("size", "length", "count"), [(32_000, 128, 12_000), (1100, 80, 5000), (131_072, 20_000, 120)])
def test_they_are_the_same_over_many_pieces(size: int, length: int, count: int) -> None:
    assert draws_alike(size, length)
    assert many(7, size, (2,), [length] * count) == one_by_one(7, size, (2,), [length] * count)


def test_a_small_vocabulary_is_drawn_from_in_another_way() -> None:
    assert not draws_alike(1000, 128)
    assert not draws_alike(100, 100)
    assert draws_alike(22, 5)
    assert not draws_alike(21, 5)
