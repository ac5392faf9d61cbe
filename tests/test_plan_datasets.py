"""Every dataset's plan: through JSON and back, its checks word for word."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tokenclock.errors import UsageError
from tokenclock.plan import DATASET_KINDS, EndpointPlan, RandomDataset, RandomImageDataset, ServingPlan


def made(kind: str, **values: Any) -> Any:
    path = {} if kind in ("random", "random_image") else {"path": "f"}
    return DATASET_KINDS[kind](**path, **values)


@pytest.mark.parametrize("name", DATASET_KINDS)
def test_each_comes_back_from_json(name: str) -> None:
    endpoint = EndpointPlan("m", lora_modules=("a", "b"), lora_assignment="round-robin")
    plan = ServingPlan(endpoint, dataset=made(name))
    back = ServingPlan.from_dict(json.loads(plan.to_json()))
    assert back == plan
    assert type(back.dataset) is DATASET_KINDS[name]
    assert back.to_dict()["dataset"]["name"] == name


def test_defaults_are_the_originals() -> None:
    assert (made("sonnet").input_len, made("sonnet").output_len, made("sonnet").prefix_len) == (550, 150, 200)
    assert (made("custom").output_len, made("sharegpt").output_len, made("hf").output_len) == (256, None, None)
    image = RandomImageDataset()
    assert (image.width, image.height, image.num_images, image.input_len, image.output_len) == (512, 512, 1, 1024, 128)


def test_a_plan_of_an_unknown_dataset_is_refused() -> None:
    data = ServingPlan(EndpointPlan("m")).to_dict()
    data["dataset"]["name"] = "poems"
    with pytest.raises(UsageError, match=r"plan\.dataset must be one of random, sharegpt, .*, got poems"):
        ServingPlan.from_dict(data)


@pytest.mark.parametrize(
    ("name", "values", "line"),
    [
        ("random", {"range_ratio_style": "tgi"}, "--range-ratio-style must be trtllm, vllm or sglang, got tgi"),
        ("random", {"range_ratio_style": "sglang", "range_ratio": 1.5}, "--random-range-ratio must be in [0, 1], "
         "got 1.5; in SGLang's style 1 gives fixed lengths, 0.2 gives 20 % to 100 % of each"),
        ("sharegpt", {"output_len": 0}, "--sharegpt-output-len must be a whole number >= 1, got 0"),
        ("burstgpt", {"vocab_size": 3}, "--vocab-size must be a whole number >= 16, got 3"),
        ("sonnet", {"output_len": 0}, "--sonnet-output-len must be a whole number >= 1, got 0"),
        ("custom", {"output_len": -2}, "--custom-output-len must be a whole number >= 1, or -1, got -2; "
         "-1 takes output_tokens of each row"),
        ("hf", {"output_len": 0}, "--hf-output-len must be a whole number >= 1, got 0"),
        ("random_image", {"height": 0}, "--random-image-height must be a whole number >= 1, got 0"),
        ("random_image", {"width": 20_000}, "--random-image-width must be a whole number of at most 16384, got 20000"),
        ("random_image", {"num_images": 0}, "--random-num-images must be a whole number >= 1, got 0"),
        ("sharegpt", {"name": "hf"}, "--dataset-name must be sharegpt, got hf"),
    ],
)  # fmt: skip
def test_wrong_values_are_refused(name: str, values: dict[str, Any], line: str) -> None:
    with pytest.raises(UsageError) as caught:
        made(name, **values)
    assert str(caught.value) == line


@pytest.mark.parametrize("name", [name for name in DATASET_KINDS if name not in ("random", "random_image")])
def test_a_file_is_needed(name: str) -> None:
    with pytest.raises(UsageError, match=f"--dataset-path must be a file for --dataset-name {name}, got ''"):
        DATASET_KINDS[name](path="")


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"lora_modules": ("a", " ")}, "--lora-modules must be names that the server knows, got  ; "
         "GET /v1/models lists them"),
        ({"lora_assignment": "all"}, "--lora-assignment must be one of random, round-robin, zipf, per-row, got all"),
    ],
)  # fmt: skip
def test_wrong_adapters_are_refused(values: dict[str, Any], line: str) -> None:
    with pytest.raises(UsageError) as caught:
        EndpointPlan("m", **values)
    assert str(caught.value) == line


def test_sglang_s_ratio_of_one_is_allowed() -> None:
    assert RandomDataset(range_ratio=1.0, range_ratio_style="sglang").range_ratio == 1.0
