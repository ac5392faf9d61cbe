"""Token ids of rows: drawn evenly, never special ones; the original's rows by its own rules; text as JSON has it."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenclock.prepare.id_text import IdText
from tokenclock.prepare.plan import PreparePlan, UnifLengths
from tokenclock.prepare.token_rows import compat_row, compat_rows, token_texts, zipf_weights
from tokenclock.prepare.vocabulary import find_vocabulary

ANY = UnifLengths(1, 1, 1, 1)


@given(st.lists(st.lists(st.integers(0, 9_999_999), min_size=1, max_size=5), min_size=1, max_size=6))
def test_id_text_is_what_json_writes(rows: list[list[int]]) -> None:
    writer = IdText(max(max(row) for row in rows) if max(map(max, rows)) < 500 else 500)
    rows = [[value % 501 if value > 500 else value for value in row] for row in rows]
    rows = [[min(value, len(writer._sizes) - 1) for value in row] for row in rows]
    flat = np.array([value for row in rows for value in row], dtype=np.int32)
    texts = writer.rows(flat, np.array([len(row) for row in rows], dtype=np.int32))
    assert [json.loads(b"[" + text + b"]") for text in texts] == rows


def test_ids_of_seven_digits_have_room_and_longer_ones_are_refused() -> None:
    assert IdText(1_000_000).rows(np.array([1_000_000, 0], np.int32), np.array([2], np.int32)) == [b"1000000,0"]
    with pytest.raises(ValueError, match="ids must be in"):
        IdText(10_000_000)


def test_ids_are_drawn_evenly_and_pieces_do_not_change_them(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = PreparePlan(source=ANY, num_requests=1, vocab_size=53, eos_ids=(10,))
    vocabulary = find_vocabulary(plan)
    assert vocabulary.choices.tolist() == [n for n in range(3, 53) if n != 10]
    lengths = np.full(1000, 49, dtype=np.int32)
    whole = [text for piece in token_texts(plan, vocabulary, lengths) for text in piece]
    ids = np.array([int(word) for text in whole for word in text.split(b",")])
    counts = np.bincount(ids, minlength=53)[vocabulary.choices]
    assert counts.sum() == len(ids) == 49_000
    assert ((counts - 1000) ** 2 / 1000).sum() < 84.0  # 0.1 % point at 48 degrees of freedom
    monkeypatch.setattr("tokenclock.prepare.token_rows._PIECE", 500)
    assert [text for piece in token_texts(plan, vocabulary, lengths) for text in piece] == whole


def test_compat_rows_are_samples_without_replacement() -> None:
    plan = PreparePlan(source=ANY, num_requests=1, vocab_size=50, seed=5, compat=True)
    vocabulary = find_vocabulary(plan)
    rows = list(compat_rows(plan, vocabulary, np.array([10, 60], np.int32), random.Random(5)))
    original = random.Random(5)
    assert rows[0] == original.sample(range(50), 10)
    assert len(set(rows[0])) == 10
    assert rows[1] == original.choices(range(50), k=60)


def test_compat_replaces_end_of_text_by_the_next_id() -> None:
    assert sorted(compat_row(random.Random(0), 20, (19,), 19)) != sorted(random.Random(0).sample(range(20), 19))
    for seed in range(30):
        assert 19 not in compat_row(random.Random(seed), 20, (19,), 10)


def test_zipf_weights_by_hand() -> None:
    assert zipf_weights(3, 0.0).tolist() == pytest.approx([1 / 3] * 3)
    assert zipf_weights(3, 1.0).tolist() == pytest.approx([6 / 11, 3 / 11, 2 / 11])
