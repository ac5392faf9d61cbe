"""The dataset flags as they are typed: which dataset they make, what is refused, what goes unused."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from tokenclock.cli.dataset_flags import unused_flags
from tokenclock.cli.not_built import DATASETS
from tokenclock.cli.serving import build_parser, plan_from_argv
from tokenclock.errors import UsageError
from tokenclock.plan import (
    BurstGptDataset,
    CustomDataset,
    HfDataset,
    RandomDataset,
    RandomImageDataset,
    ServingPlan,
    ShareGptDataset,
    SonnetDataset,
    TrtllmCustomDataset,
)


def plan_of(text: str, **environment: str) -> ServingPlan:
    return plan_from_argv(["--model", "m", *shlex.split(text)], environment)


@pytest.mark.parametrize(
    ("text", "dataset"),
    [
        ("--dataset-path f", ShareGptDataset("f")),
        ("--dataset-name sharegpt --dataset-path f --sharegpt-output-len 9 --no-oversample --disable-shuffle",
         ShareGptDataset("f", output_len=9, oversample=False, shuffle=False)),
        ("--dataset-name burstgpt --dataset-path f --self-timed --vocab-size 99 --tokenize-on-client",
         BurstGptDataset("f", self_timed=True, vocab_size=99, tokenize_on_client=True)),
        ("--dataset-name sonnet --dataset-path f --sonnet-input-len 90 --sonnet-output-len 8 --sonnet-prefix-len 7 "
         "--skip-chat-template",
         SonnetDataset("f", input_len=90, output_len=8, prefix_len=7, chat_template=False)),
        ("--dataset-name trtllm_custom --dataset-path f", TrtllmCustomDataset("f")),
        ("--dataset-name trtllm_custom --dataset-path f --disable-shuffle", TrtllmCustomDataset("f")),
        ("--dataset-name custom --dataset-path f --custom-output-len -1", CustomDataset("f", output_len=-1)),
        ("--dataset-name hf --dataset-path d --hf-subset s --hf-split t --hf-output-len 5",
         HfDataset("d", subset="s", split="t", output_len=5)),
        ("--dataset-name random_image --random-image-width 8 --random-image-height 9 --random-num-images 3 "
         "--random-input-len 10 --random-output-len 11",
         RandomImageDataset(input_len=10, output_len=11, width=8, height=9, num_images=3)),
        ("--dataset-name random_image --random-image-size 7 --random-image-width 8",
         RandomImageDataset(width=7, height=7)),
        ("--dataset-name random --random-range-ratio 0.5 --range-ratio-style sglang",
         RandomDataset(range_ratio=0.5, range_ratio_style="sglang")),
    ],
)  # fmt: skip
def test_flags_make_the_dataset(text: str, dataset: Any) -> None:
    assert plan_of(text).dataset == dataset


def test_adapters_are_read() -> None:
    endpoint = plan_of(
        "--dataset-name random --lora-modules a b --lora-modules c --lora-assignment round-robin"
    ).endpoint
    assert (endpoint.lora_modules, endpoint.lora_assignment) == (("a", "b", "c"), "round-robin")


def test_the_environment_gives_dataset_flags_too() -> None:
    plan = plan_of("--dataset-name custom", TOKENCLOCK_SERVING_DATASET_PATH="f", TOKENCLOCK_SERVING_NO_OVERSAMPLE="1")
    assert plan.dataset == CustomDataset("f", oversample=False)


NAMES = "random, sharegpt, burstgpt, sonnet, trtllm_custom, custom, hf, random_image, trace"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "--dataset-name is needed, such as random, whose prompts are synthetic; the original's default, sharegpt, "
         "needs --dataset-path FILE"),
        ("--dataset-name sonet", f"--dataset-name must be one of {NAMES}, got sonet (did you mean sonnet?)"),
        ("--dataset-name custom", "--dataset-name custom needs --dataset-path FILE; tokenclock never downloads data"),
        ("--dataset-name hf --hf-name x", "--hf-name is not built yet; it is read off the columns: leave it out"),
        ("--dataset-name random --sonnet-input-len x", "--sonnet-input-len must be a whole number, got x"),
        ("--dataset-name random --download-timeout 3", "--download-timeout is refused: tokenclock never downloads "
         "data: fetch the file and name it by --dataset-path"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_these_words(text: str, line: str) -> None:
    with pytest.raises(UsageError) as caught:
        plan_of(text)
    assert str(caught.value) == line


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_datasets_of_other_tools_are_said_to_be_not_built(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        plan_of(f"--dataset-name {name}")
    assert str(caught.value) == f"--dataset-name {name} is not built yet; there are {NAMES}"


def test_flags_of_other_datasets_are_named() -> None:
    def unused(text: str, dataset: str) -> list[str]:
        return unused_flags(build_parser().read(shlex.split(text)), dataset)

    text = "--dataset-path f --random-input-len 3 --sonnet-input-len 4 --no-oversample --random-image-size 3"
    assert unused(text, "random") == ["--dataset-path", "--no-oversample", "--sonnet-input-len", "--random-image-size"]
    assert unused(text, "sharegpt") == ["--random-input-len", "--sonnet-input-len", "--random-image-size"]
    assert unused("", "random") == []
