"""The dataset `trace`: due times as recorded, contents that share what the trace's rows shared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tokenclock.errors import UsageError
from tokenclock.plan import ServingPlan, TraceDataset, TrtllmCustomDataset
from tokenclock.workload import Workload, build_workload
from tokenclock.workload.prompts import TokenPrompts

MakePlan = Callable[..., ServingPlan]
Write = Callable[..., str]


def row(t_ms: float, isl: int, *hash_ids: int, osl: int = 3) -> dict[str, Any]:
    return {"timestamp": t_ms, "input_length": isl, "output_length": osl, "hash_ids": list(hash_ids)}


def built(make_plan: MakePlan, dataset: TraceDataset, n: int = 100, **settings: Any) -> Workload:
    return build_workload(make_plan(dataset, n, **settings))


def test_times_are_absolute_whatever_the_slice_and_the_speed(make_plan: MakePlan, lines_file: Write) -> None:
    stamps = [0.1 * n for n in range(1000)]  # summing gaps of 0.1 ms would drift
    path = lines_file(*(row(t, 10) for t in stamps))
    whole = built(make_plan, TraceDataset(path), 1000)
    assert whole.t_due_ns.tolist() == [round(t * 1e6) for t in stamps]
    assert whole.mean_rate == pytest.approx(10_000)
    fast = built(make_plan, TraceDataset(path, speedup=4.0), 1000)
    assert fast.t_due_ns.tolist() == [round(t * 1e6 / 4) for t in stamps]
    part = built(make_plan, TraceDataset(path, start_s=0.05, end_s=0.06), 1000)
    assert len(part) == 100
    assert part.t_due_ns.tolist() == pytest.approx([round((t - 50) * 1e6) for t in stamps[500:600]], abs=1)
    paced = built(make_plan, TraceDataset(path), 1000, request_rate=20_000.0)
    assert paced.t_due_ns[-1] == pytest.approx(stamps[-1] * 1e6 / 2, rel=1e-6)
    loose = built(make_plan, TraceDataset(path, untimed=True), 5)
    assert loose.t_due_ns.tolist() == [0] * 5


def test_a_slice_begins_when_it_is_said_to(make_plan: MakePlan, lines_file: Write) -> None:
    path = lines_file(row(1000, 10), row(3500, 10))
    assert built(make_plan, TraceDataset(path)).t_due_ns.tolist() == [0, 2_500_000_000]
    assert built(make_plan, TraceDataset(path, start_s=2.0)).t_due_ns.tolist() == [1_500_000_000]
    with pytest.raises(UsageError, match=r"--trace-start 9 and --trace-end inf leave no row of .* from 1 to 3.5 s"):
        built(make_plan, TraceDataset(path, start_s=9.0))


def ids(workload: Workload) -> list[list[int]]:
    assert isinstance(workload.prompts, TokenPrompts)
    return list(workload.prompts)


def test_rows_share_exactly_the_blocks_they_shared(make_plan: MakePlan, lines_file: Write) -> None:
    path = lines_file(row(0, 1500, 7, 8, 9), row(1, 1200, 7, 8, 4), row(2, 600), row(3, 1500, 7, 8, 9), row(4, 600))
    workload = built(make_plan, TraceDataset(path, vocab_size=5000))
    a, b, c, d, e = ids(workload)
    assert [len(prompt) for prompt in (a, b, c, d, e)] == [1500, 1200, 600, 1500, 600]
    assert a[:1024] == b[:1024]
    assert a[1024:1200] != b[1024:]
    assert a == d
    assert c != e
    assert a[:512] != c[:512]
    assert workload.shared_prefix
    assert workload.isl_realised.tolist() == [1500, 1200, 600, 1500, 600]
    other = built(make_plan, TraceDataset(path, vocab_size=5000), seed=1)
    assert ids(other)[0] != a


def test_made_up_ids_are_spread_evenly(make_plan: MakePlan, lines_file: Write) -> None:
    path = lines_file(*(row(n, 512, n) for n in range(200)))
    flat = np.concatenate(
        [np.array(prompt) for prompt in ids(built(make_plan, TraceDataset(path, vocab_size=67), 200))]
    )
    counts = np.bincount(flat, minlength=67)[3:]
    expected = len(flat) / 64
    assert counts.sum() == 200 * 512
    assert ((counts - expected) ** 2 / expected).sum() < 103.5  # 0.1 % point at 63 degrees of freedom


def test_text_has_the_asked_length_and_the_same_beginning(
    make_plan: MakePlan, lines_file: Write, word_tokenizer: str
) -> None:
    path = lines_file(row(0, 700, 1, 2), row(1, 600, 1, 3), row(2, 700, 1, 2))
    workload = built(make_plan, TraceDataset(path), tokenizer=word_tokenizer)
    texts = [str(prompt).split() for prompt in workload.prompts]
    assert workload.isl_realised.tolist() == [700, 600, 700]  # with the begin-of-text token the server adds
    assert texts[0][:512] == texts[1][:512]
    assert texts[0] == texts[2]
    assert texts[0][512:599] != texts[1][512:]


def test_own_contents_are_sent_as_they_are(make_plan: MakePlan, lines_file: Write) -> None:
    path = lines_file(
        {"task_id": 0, "input_ids": [5, 6, 7], "output_tokens": 4, "lora_request": {"lora_name": "law"}},
        {"task_id": 1, "input_ids": [8], "output_tokens": 2},
    )
    for dataset in (TraceDataset(path), TrtllmCustomDataset(path)):
        workload = build_workload(make_plan(dataset, 2))
        assert ids(workload) == [[5, 6, 7], [8]]
        assert workload.osl_requested.tolist() == [4, 2]
        assert workload.lora_modules == ("law",)
        assert workload.lora_index is not None
        assert workload.lora_index.tolist() == [0, -1]
        assert workload.lora_counts() == {"law": 1}


def test_trtllm_rows_are_repeated_or_not(make_plan: MakePlan, lines_file: Write) -> None:
    path = lines_file(*({"task_id": n, "input_ids": [n + 5], "output_tokens": 1} for n in range(3)))
    again = build_workload(make_plan(TrtllmCustomDataset(path), 5))
    assert ids(again) == [[5], [6], [7], [5], [6]]
    assert "prompts repeat" in again.notes[-1]
    once = build_workload(make_plan(TrtllmCustomDataset(path, oversample=False), 5))
    assert ids(once) == [[5], [6], [7]]
    assert "3 requests are sent" in once.notes[-1]


def test_what_cannot_be_sent_is_refused(make_plan: MakePlan, lines_file: Write) -> None:
    mixed = lines_file({"input_ids": [5], "output_tokens": 4}, {"prompt": "x", "output_tokens": 4})
    with pytest.raises(UsageError, match="rows must all hold token ids, or all text or messages, got ids, text"):
        built(make_plan, TraceDataset(mixed))
    only_ids = lines_file({"input_ids": [5], "output_tokens": 4}, name="ids")
    with pytest.raises(UsageError, match="holds token ids, which --backend triton cannot send"):
        built(make_plan, TraceDataset(only_ids), backend="triton")
    with pytest.raises(UsageError, match=r"--trace-speedup needs time stamps, and .* has none"):
        built(make_plan, TraceDataset(only_ids, speedup=2.0))
    with pytest.raises(UsageError, match="per-row needs a dataset whose rows have lora_request"):
        build_workload(_per_row(make_plan(TraceDataset(only_ids), 1)))


def _per_row(plan: ServingPlan) -> ServingPlan:
    from dataclasses import replace

    return replace(plan, endpoint=replace(plan.endpoint, lora_assignment="per-row"))


def test_spares_are_no_row(make_plan: MakePlan, lines_file: Write) -> None:
    workload = built(make_plan, TraceDataset(lines_file(*(row(n, 40, n) for n in range(20)))))
    spares = workload.spare_prompts(5)
    assert {len(prompt) for prompt, _ in spares} == {40}  # type: ignore[arg-type]
    assert not {tuple(prompt) for prompt, _ in spares} & {tuple(prompt) for prompt in ids(workload)}  # type: ignore[arg-type]
