"""Several shared prefixes: how often each is met, and that nothing else is shared."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tokenclock.errors import UsageError
from tokenclock.plan import EndpointPlan, LoadPlan, RandomDataset, ServingPlan
from tokenclock.workload import build_workload
from tokenclock.workload.prefixes import pick_prefixes


@pytest.mark.parametrize("zipf", [0.0, 1.5])
def test_prefixes_are_picked_by_their_shares(zipf: float) -> None:
    n = 20_000
    counts = np.bincount(pick_prefixes(np.random.default_rng(5), n, 6, zipf), minlength=6)
    shares = np.array([k**-zipf for k in range(1, 7)])
    expected = n * shares / shares.sum()
    assert ((counts - expected) ** 2 / expected).sum() < 20.5  # 0.1 % point at 5 degrees of freedom


@pytest.mark.parametrize("backend", ["openai", "openai-chat"])
def test_each_prompt_begins_with_one_of_them(backend: str) -> None:
    dataset = RandomDataset(input_len=9, output_len=2, prefix_len=12, num_prefixes=3, range_ratio=0.5)
    workload = build_workload(ServingPlan(EndpointPlan("m", backend=backend), LoadPlan(60), dataset=dataset))
    rows = [prompt.split() if isinstance(prompt, str) else list(prompt) for prompt in workload.prompts]  # type: ignore[arg-type]
    heads = Counter(tuple(row[:12]) for row in rows)
    assert len(heads) == 3
    assert min(heads.values()) > 5
    assert [len(row) for row in rows] == workload.isl_requested.tolist()
    assert len({tuple(row[12:]) for row in rows}) == 60
    assert workload.shared_prefix


def test_prefixes_without_length_are_refused() -> None:
    with pytest.raises(UsageError, match="--random-num-prefixes must be given with --random-prefix-len, got 4"):
        RandomDataset(num_prefixes=4)
    with pytest.raises(UsageError, match="--random-prefix-zipf must be given with --random-num-prefixes, got 1"):
        RandomDataset(prefix_zipf=1.0, prefix_len=3)
