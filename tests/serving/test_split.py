"""Which part of a load test each rank sends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenclock.errors import UsageError
from tokenclock.plan import EndpointPlan, LoadPlan, RandomDataset, ServerPlan, ServingPlan
from tokenclock.serving.split import check_split, plan_of_rank, rows_of_rank, workload_of_rank
from tokenclock.workload.build import build_workload


def plan(**load: object) -> ServingPlan:
    return ServingPlan(
        EndpointPlan(model="m"),
        LoadPlan(**load),  # type: ignore[arg-type]
        dataset=RandomDataset(input_len=8, output_len=5),
        server=ServerPlan(profile=True),
    )


@given(st.integers(0, 200), st.integers(1, 9))
def test_each_row_goes_to_one_rank(n: int, size: int) -> None:
    parts = [rows_of_rank(n, rank, size, None).tolist() for rank in range(size)]
    assert sorted(row for part in parts for row in part) == list(range(n))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_ranks_plan_has_its_share() -> None:
    whole = plan(num_prompts=10, max_concurrency=5, probe_request_rate=2.0)
    first, second = (plan_of_rank(whole, 10, rank, 3) for rank in (0, 1))
    assert (first.load.num_prompts, first.load.max_concurrency) == (4, 2)  # rows 0 3 5 8 on slots 0 and 3
    assert (second.load.num_prompts, second.load.max_concurrency) == (4, 2)  # rows 1 4 6 9
    assert plan_of_rank(whole, 10, 2, 3).load.max_concurrency == 1
    # one of them alone speaks to the server beside the load
    assert (first.load.probe_request_rate, first.server.profile) == (2.0, True)
    assert (second.load.probe_request_rate, second.server.profile) == (0.0, False)
    assert plan_of_rank(plan(num_prompts=10), 10, 1, 3).load.max_concurrency is None


def test_a_ranks_requests_are_those_of_the_whole() -> None:
    whole = build_workload(plan(num_prompts=7, request_rate=5.0))
    for rank in range(3):
        part, rows = workload_of_rank(whole, rank, 3, None), np.arange(rank, 7, 3)
        assert len(part) == len(part.prompts) == len(rows)
        assert [list(prompt) for prompt in part.prompts] == [list(whole.prompts[row]) for row in rows]
        assert part.t_due_ns.tolist() == whole.t_due_ns[rows].tolist()
        assert part.osl_requested.tolist() == whole.osl_requested[rows].tolist()
        assert part.sha256 == whole.sha256
    assert [list(prompt) for prompt in workload_of_rank(whole, 1, 3, None).prompts[:1]] == [list(whole.prompts[1])]


@pytest.mark.parametrize(("load", "flag"), [({"num_prompts": 3}, "--num-prompts"), ({"max_concurrency": 3}, "--max-c")])
def test_there_must_be_one_for_each(load: dict[str, object], flag: str) -> None:
    check_split(plan(**load), 3)
    with pytest.raises(UsageError, match=rf"{flag}.* 4 or more to be shared by 4 ranks, got 3; start fewer ranks"):
        check_split(plan(**load), 4)
