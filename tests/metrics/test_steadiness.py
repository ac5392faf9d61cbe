from __future__ import annotations

import numpy as np
import pytest

from tokenclock.metrics.blocks import Blocks
from tokenclock.metrics.steadiness import Change, changes

S = 1_000_000_000
BLOCKS = Blocks(0, float(S), 30)
T_NS = np.arange(3000, dtype=np.int64) * (S // 100)


def found(values: np.ndarray, blocks: Blocks = BLOCKS) -> dict[str, Change]:
    return {change.kind: change for change in changes(values, T_NS[: len(values)], blocks)}


def noise(seed: int) -> np.ndarray:
    return 100 + 20 * np.random.default_rng(seed).standard_normal(3000)


def test_what_stays_is_not_accused() -> None:
    accused = [change for seed in range(200) for change in found(noise(seed)).values() if change.is_significant]
    assert len(accused) <= 3  # 400 tests with an error of one in a thousand each


def test_what_wanders_a_little_is_seldom_accused() -> None:
    n_accused = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        level = np.zeros(30)
        for i in range(1, 30):
            level[i] = 0.5 * level[i - 1] + rng.standard_normal()
        n_accused += any(c.is_significant for c in found(noise(seed) + 5 * np.repeat(level, 100)).values())
    assert n_accused <= 8


def test_a_trend_is_measured_over_the_whole_window() -> None:
    change = found(noise(1) * (0.8 + 0.4 * T_NS / T_NS[-1]))["trend"]
    assert change.is_significant
    assert change.share == pytest.approx(0.4, abs=0.05)


def test_a_change_of_level_is_measured_from_before_to_after() -> None:
    change = found(np.where(T_NS < 12 * S, 100.0, 130.0) + noise(2) - 100)["level shift"]
    assert change.is_significant
    assert change.share == pytest.approx(30 / 118, abs=0.03)
    assert found(np.where(T_NS < 12 * S, 130.0, 100.0) + noise(2) - 100)["level shift"].share < 0


def test_too_little_to_test_gives_nothing() -> None:
    assert found(noise(1)[:900]) == {}  # nine blocks
    assert len(found(noise(1)[:1000])) == 2
    assert found(np.full(3000, np.nan)) == {}
    assert found(np.zeros(3000)) == {}
    assert found(noise(1), Blocks(0, 0.0, 0)) == {}


def test_a_constant_is_steady() -> None:
    assert not any(change.is_significant for change in found(np.full(3000, 7.0)).values())
