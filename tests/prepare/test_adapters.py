"""Adapters of rows: drawn as asked, named as asked, and missing folders said."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from tokenclock.errors import UsageError
from tokenclock.prepare.adapters import draw_adapters, lora_request, notes_on_adapters
from tokenclock.prepare.plan import LoraPlan


@pytest.mark.parametrize(("zipf", "limit"), [(0.0, 20.5), (1.3, 20.5)])
def test_adapters_are_drawn_by_their_shares(zipf: float, limit: float) -> None:
    n = 20_000
    drawn = draw_adapters(LoraPlan(rand_task_id=(10, 15), zipf=zipf), n, 420)
    assert drawn is not None
    counts, shares = np.bincount(drawn - 10, minlength=6), np.array([k**-zipf for k in range(1, 7)])
    expected = n * shares / shares.sum()
    assert ((counts - expected) ** 2 / expected).sum() < limit  # 0.1 % point at 5 degrees of freedom


def test_one_adapter_for_all_or_none() -> None:
    assert draw_adapters(LoraPlan(), 3, 0) is None
    drawn = draw_adapters(LoraPlan(task_id=4), 3, 0)
    assert drawn is not None
    assert drawn.tolist() == [4, 4, 4]


def test_compat_goes_on_with_the_generator_of_the_tokens() -> None:
    generator, original = random.Random(3), random.Random(3)
    drawn = draw_adapters(LoraPlan(rand_task_id=(0, 9)), 5, 420, generator)
    assert drawn is not None
    assert drawn.tolist() == [original.randint(0, 9) for _ in range(5)]


def test_requests_and_notes(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    lora = LoraPlan(rand_task_id=(1, 8), directory=str(tmp_path))
    assert lora_request(lora, -1) is None
    assert json.loads(lora_request(lora, 1) or "") == {
        "lora_name": "lora_1", "lora_int_id": 1, "lora_path": str(tmp_path / "1"),
    }  # fmt: skip
    assert notes_on_adapters(lora, [-1, 1], rows_name_them=True) == []
    (note,) = notes_on_adapters(lora, list(range(1, 9)), rows_name_them=True)
    assert note.startswith(f"{tmp_path} has no folder for adapter 2, 3, 4, 5, 6 and 2 more")
    (note,) = notes_on_adapters(LoraPlan(task_id=1), [1], rows_name_them=True)
    assert note.startswith("no --lora-dir: rows get no lora_request")
    (note,) = notes_on_adapters(LoraPlan(directory=str(tmp_path)), [], rows_name_them=True)
    assert "of no use without --task-id" in note
    with pytest.raises(UsageError, match="--lora-dir must be a directory"):
        notes_on_adapters(LoraPlan(task_id=1, directory=str(tmp_path / "none")), [1], rows_name_them=True)
