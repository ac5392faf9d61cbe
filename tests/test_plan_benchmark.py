from __future__ import annotations

import json
from typing import Any

import pytest

from tokenclock.errors import UsageError
from tokenclock.plan_benchmark import BenchmarkOutput, BenchmarkPlan, LoopPlan, ModelPlan, family_of


def test_cases_come_by_length_then_batch_then_weights() -> None:
    plan = BenchmarkPlan(batch_sizes=(1, 8), lengths=((60, 20), (128, 30)), gpu_weights_percents=(1.0, 0.5))
    found = [(case.index, case.input_len, case.output_len, case.batch_size, case.gpu_weights_percent)
             for case in plan.cases()]  # fmt: skip
    assert found == [
        (0, 60, 20, 1, 1.0), (1, 60, 20, 1, 0.5), (2, 60, 20, 8, 1.0), (3, 60, 20, 8, 0.5),
        (4, 128, 30, 1, 1.0), (5, 128, 30, 1, 0.5), (6, 128, 30, 8, 1.0), (7, 128, 30, 8, 0.5),
    ]  # fmt: skip
    assert plan.n_cases == 8
    assert {(case.family, case.num_beams) for case in plan.cases()} == {("dec", 1)}


def test_the_defaults_are_the_originals() -> None:
    plan = BenchmarkPlan()
    assert (plan.family, plan.batch_sizes, plan.lengths, plan.num_beams) == ("dec", (8,), ((128, 20),), 1)
    assert (plan.loop.warm_up, plan.loop.num_runs, plan.loop.duration_s) == (2, 10, 60.0)
    assert (plan.model.dtype, plan.gpu_weights_percents) == ("float16", (1.0,))


def test_a_plan_survives_json() -> None:
    plan = BenchmarkPlan(
        family="enc", engine_dir="tiny:bert", batch_sizes=(1,), lengths=((20, None),), seed=7,
        model=ModelPlan(runtime="null", dtype="bfloat16", threads=2), loop=LoopPlan(duration_s=0, max_duration_s=9),
        output=BenchmarkOutput(percentiles=(12.5,), json="x.json"),
    )  # fmt: skip
    assert BenchmarkPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_ranks_with_other_files_but_the_same_work_agree() -> None:
    plan = BenchmarkPlan(engine_dir="d")
    assert plan.sha256 == BenchmarkPlan(engine_dir="d", output=BenchmarkOutput(csv=True)).sha256
    assert plan.sha256 != BenchmarkPlan(engine_dir="d", seed=1).sha256


@pytest.mark.parametrize("text", ["dec", "enc", "enc-dec"])
def test_families(text: str) -> None:
    assert family_of(text) == text


def test_bert_is_an_encoder_and_presets_are_none() -> None:
    assert family_of("bert") == "enc"
    with pytest.raises(UsageError, match=r"--model must be dec, enc or enc-dec \(bert is enc\), got gpt_350m"):
        family_of("gpt_350m")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"family": "gpt"}, "--model must be"),
        ({"engine_dir": ""}, "--engine_dir must be"),
        ({"batch_sizes": ()}, "--batch_size must be at least one value"),
        ({"batch_sizes": (0,)}, "--batch_size must be a whole number >= 1"),
        ({"batch_sizes": (1.5,)}, "--batch_size must be a whole number"),
        ({"lengths": ((0, 20),)}, "--input_output_len must be"),
        ({"lengths": ((10, None),)}, "--input_output_len must be"),
        ({"family": "enc", "lengths": ((10, 5),)}, "--input_len must be input lengths alone"),
        ({"gpu_weights_percents": (1.1,)}, "--gpu_weights_percent must be shares"),
        ({"num_beams": 0}, "--num_beams must be"),
        ({"seed": -1}, "--seed must be"),
    ],
)
def test_wrong_values_are_named_by_their_flag(values: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        BenchmarkPlan(**values)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LoopPlan(num_runs=0, duration_s=0), "--num_runs must be .*no iteration would run"),
        (lambda: LoopPlan(warm_up=-1), "--warm_up must be"),
        (lambda: LoopPlan(duration_s=-1), "--duration must be"),
        (lambda: LoopPlan(max_duration_s=-1), "--max-duration must be"),
        (lambda: ModelPlan(dtype="fp16"), "--dtype must be float16, bfloat16 or float32, got fp16"),
        (lambda: ModelPlan(quantization="int3"), "--quantization must be one of fp8"),
        (lambda: ModelPlan(device="tpu"), "--device must be"),
        (lambda: ModelPlan(threads=0), "--threads must be"),
        (lambda: ModelPlan(pp=0), "--pp must be"),
        (lambda: BenchmarkOutput(percentiles=(0.0,)), "--percentiles must be"),
        (lambda: BenchmarkOutput(log_level="debug"), "--log_level must be one of verbose"),
        (lambda: BenchmarkOutput(gpu_sampling_interval_ms=0.5), "--gpu-sampling-interval must be"),
    ],
)  # fmt: skip
def test_groups_check_their_values(make: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"command": "serving"}, "a plan of the command benchmark"),
        ({"command": "benchmark", "of_tomorrow": 1}, "of known fields"),
        ({"command": "benchmark", "loop": {"warm": 1}}, r"plan\.loop must be of known fields"),
        ({"command": "benchmark", "loop": 3}, r"plan\.loop must be a JSON object"),
    ],
)
def test_what_is_no_plan_is_refused(data: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        BenchmarkPlan.from_dict(data)
