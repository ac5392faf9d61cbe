"""The datasets a load test can be asked for: one frozen group of values each, told apart by `name`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tokenclock.plan_checks import is_number, require, require_int, require_length, require_seconds

__all__ = [
    "DATASET_KINDS",
    "RANGE_RATIO_STYLES",
    "BurstGptDataset",
    "CustomDataset",
    "Dataset",
    "HfDataset",
    "RandomDataset",
    "RandomImageDataset",
    "ShareGptDataset",
    "SonnetDataset",
    "TraceDataset",
    "TrtllmBenchDataset",
    "TrtllmCustomDataset",
]

RANGE_RATIO_STYLES = ("trtllm", "vllm", "sglang")


def _require_path(path: object, name: str) -> None:
    ok = isinstance(path, str) and bool(path)
    require(ok, "--dataset-path", f"a file for --dataset-name {name}", path, "tokenclock never downloads data")


def _require_optional(flag: str, value: int | None) -> None:
    if value is not None:
        require_length(flag, value)


@dataclass(frozen=True)
class RandomDataset:
    """Synthetic prompts of asked lengths, in tokens."""

    name: str = "random"
    input_len: int = 1024  # without the prefix
    output_len: int = 128
    range_ratio: float = 0.0  # how far lengths spread; what it means is said by the style
    range_ratio_style: str = "trtllm"  # lengths from int(L(1-r)) to int(L(1+r)); vllm rounds outward; sglang: rL to L
    prefix_len: int = 0  # tokens shared by prompts, in addition to input_len
    num_prefixes: int = 1  # different prefixes; each prompt begins with one of them
    prefix_zipf: float = 0.0  # 0: each alike; else prefix k, from 1, is drawn in proportion to k ** -prefix_zipf
    random_ids: bool = False
    tokenize_on_client: bool = False  # send token ids rather than text
    vocab_size: int | None = None  # ids 3 .. vocab_size-1 are drawn when there is no tokenizer

    def __post_init__(self) -> None:
        require(self.name == "random", "--dataset-name", "random", self.name)
        require_length("--random-input-len", self.input_len)
        require_length("--random-output-len", self.output_len)
        require_length("--random-prefix-len", self.prefix_len, 0)
        require_int("--random-num-prefixes", self.num_prefixes, 1, highest=1_000_000)
        needs = self.num_prefixes == 1 or self.prefix_len > 0
        require(needs, "--random-num-prefixes", "given with --random-prefix-len", self.num_prefixes)
        zipf_ok = is_number(self.prefix_zipf) and 0 <= self.prefix_zipf < math.inf
        require(zipf_ok, "--random-prefix-zipf", "an exponent >= 0", self.prefix_zipf, "0 draws each prefix alike")
        several = self.prefix_zipf == 0 or self.num_prefixes > 1
        require(several, "--random-prefix-zipf", "given with --random-num-prefixes", self.prefix_zipf)
        style = self.range_ratio_style
        require(style in RANGE_RATIO_STYLES, "--range-ratio-style", "trtllm, vllm or sglang", style)
        ratio_is_number = is_number(self.range_ratio)
        if style == "sglang":
            require(
                ratio_is_number and 0 <= self.range_ratio <= 1,
                "--random-range-ratio",
                "in [0, 1]",
                self.range_ratio,
                "in SGLang's style 1 gives fixed lengths, 0.2 gives 20 % to 100 % of each",
            )
        else:
            require(
                ratio_is_number and 0 <= self.range_ratio < 1,
                "--random-range-ratio",
                "in [0, 1)",
                self.range_ratio,
                "0 gives fixed lengths, 0.2 gives 80 % to 120 % of each",
            )
        if self.vocab_size is not None:
            require_int("--vocab-size", self.vocab_size, 16, highest=1 << 24)

    @property
    def prompt_tokens(self) -> int:
        """Mean tokens of a prompt, prefix included."""
        return self.input_len + self.prefix_len


@dataclass(frozen=True)
class ShareGptDataset:
    """First question and answer of recorded conversations, from a JSON list or JSON lines."""

    path: str
    name: str = "sharegpt"
    output_len: int | None = None  # tokens; None: as long as the recorded answer
    oversample: bool = True  # repeat prompts where there are fewer than asked for
    shuffle: bool = True

    def __post_init__(self) -> None:
        require(self.name == "sharegpt", "--dataset-name", "sharegpt", self.name)
        _require_path(self.path, self.name)
        _require_optional("--sharegpt-output-len", self.output_len)


@dataclass(frozen=True)
class BurstGptDataset:
    """Lengths, and on request arrival times, of a recorded trace (CSV); contents are synthetic."""

    path: str
    name: str = "burstgpt"
    self_timed: bool = False  # requests are due when the trace says; a finite request rate stretches it to that mean
    tokenize_on_client: bool = False
    vocab_size: int | None = None
    oversample: bool = True
    shuffle: bool = True

    def __post_init__(self) -> None:
        require(self.name == "burstgpt", "--dataset-name", "burstgpt", self.name)
        _require_path(self.path, self.name)
        if self.vocab_size is not None:
            require_int("--vocab-size", self.vocab_size, 16, highest=1 << 24)


@dataclass(frozen=True)
class SonnetDataset:
    """Prompts of lines drawn from a text file, behind lines that all prompts share."""

    path: str
    name: str = "sonnet"
    input_len: int = 550  # tokens at most, prefix included
    output_len: int = 150
    prefix_len: int = 200  # tokens of the shared lines, about
    chat_template: bool = True  # completions: wrap each prompt in the tokenizer's chat template, where it has one

    def __post_init__(self) -> None:
        require(self.name == "sonnet", "--dataset-name", "sonnet", self.name)
        _require_path(self.path, self.name)
        require_length("--sonnet-input-len", self.input_len)
        require_length("--sonnet-output-len", self.output_len)
        require_length("--sonnet-prefix-len", self.prefix_len, 0)
        require(
            self.prefix_len < self.input_len,
            "--sonnet-prefix-len",
            f"below --sonnet-input-len {self.input_len}",
            self.prefix_len,
            "prompts that are all prefix would all be the same",
        )

    @property
    def prompt_tokens(self) -> int:
        """Most tokens of a prompt, prefix included."""
        return self.input_len


@dataclass(frozen=True)
class TrtllmCustomDataset:
    """JSON lines `{"input": {"messages": [...], "max_tokens": N}}`."""

    path: str
    name: str = "trtllm_custom"
    oversample: bool = True
    shuffle: bool = False  # the original keeps the order of the file
    chat_template: bool = True

    def __post_init__(self) -> None:
        require(self.name == "trtllm_custom", "--dataset-name", "trtllm_custom", self.name)
        _require_path(self.path, self.name)


@dataclass(frozen=True)
class TrtllmBenchDataset:
    """JSON lines `{"task_id": N, "input_ids": [...], "output_tokens": N}`, of `throughput` and `latency`."""

    path: str
    name: str = "trtllm_bench"

    def __post_init__(self) -> None:
        require(self.name == "trtllm_bench", "--dataset-name", "trtllm_bench", self.name)
        _require_path(self.path, self.name)


@dataclass(frozen=True)
class CustomDataset:
    """JSON lines `{"prompt": TEXT}`, each with an `output_tokens` of its own if asked."""

    path: str
    name: str = "custom"
    output_len: int = 256  # tokens; -1: each row's `output_tokens`
    oversample: bool = True
    shuffle: bool = True
    chat_template: bool = True

    def __post_init__(self) -> None:
        require(self.name == "custom", "--dataset-name", "custom", self.name)
        _require_path(self.path, self.name)
        ok = isinstance(self.output_len, int) and not isinstance(self.output_len, bool)
        require(
            ok and (self.output_len >= 1 or self.output_len == -1),
            "--custom-output-len",
            "a whole number >= 1, or -1",
            self.output_len,
            "-1 takes output_tokens of each row",
        )
        require_length("--custom-output-len", self.output_len, -1)


@dataclass(frozen=True)
class HfDataset:
    """A data set on this machine that the `datasets` package reads."""

    path: str
    name: str = "hf"
    subset: str | None = None
    split: str | None = None
    output_len: int | None = None  # tokens; None: the recorded answer's, else 200
    oversample: bool = True
    shuffle: bool = True
    chat_template: bool = True

    def __post_init__(self) -> None:
        require(self.name == "hf", "--dataset-name", "hf", self.name)
        _require_path(self.path, self.name)
        _require_optional("--hf-output-len", self.output_len)


@dataclass(frozen=True)
class RandomImageDataset:
    """Synthetic text with JPEG pictures of noise; chat only."""

    name: str = "random_image"
    input_len: int = 1024  # tokens of the text
    output_len: int = 128
    width: int = 512  # pixels
    height: int = 512  # pixels
    num_images: int = 1  # per request

    def __post_init__(self) -> None:
        require(self.name == "random_image", "--dataset-name", "random_image", self.name)
        require_length("--random-input-len", self.input_len)
        require_length("--random-output-len", self.output_len)
        for flag, pixels in (("--random-image-width", self.width), ("--random-image-height", self.height)):
            require_int(flag, pixels, 1, highest=16_384)
        require_int("--random-num-images", self.num_images, 1, highest=1000)

    @property
    def prompt_tokens(self) -> int:
        """Mean tokens of a prompt."""
        return self.input_len


@dataclass(frozen=True)
class TraceDataset:
    """Requests of a recorded trace, sent when it says: Mooncake, BurstGPT, Azure, or our own JSON lines."""

    path: str
    name: str = "trace"
    form: str = "auto"  # auto | mooncake | burstgpt | azure | jsonl
    start_s: float = 0.0  # the slice of the trace that is sent, in its own seconds: from here
    end_s: float | None = None  # to here, not included; None: to its end
    speedup: float = 1.0  # 2: twice as fast
    untimed: bool = False  # leave its times aside: the plan's rate or concurrency holds
    tokenize_on_client: bool = False
    vocab_size: int | None = None

    def __post_init__(self) -> None:
        require(self.name == "trace", "--dataset-name", "trace", self.name)
        _require_path(self.path, self.name)
        forms = ("auto", "mooncake", "burstgpt", "azure", "jsonl")
        require(self.form in forms, "--trace-format", f"one of {', '.join(forms)}", self.form)
        require_seconds("--trace-start", self.start_s, "in the trace's own time")
        if self.end_s is not None:
            require_seconds("--trace-end", self.end_s, "in the trace's own time")
            require(self.end_s > self.start_s, "--trace-end", f"above --trace-start {self.start_s:g}", self.end_s)
        ok = is_number(self.speedup) and 0 < self.speedup < math.inf
        require(ok, "--trace-speedup", "a number > 0", self.speedup, "2 is twice as fast, 0.5 half")
        if self.vocab_size is not None:
            require_int("--vocab-size", self.vocab_size, 16, highest=1 << 24)


Dataset = (
    RandomDataset
    | ShareGptDataset
    | BurstGptDataset
    | SonnetDataset
    | TrtllmCustomDataset
    | TrtllmBenchDataset
    | CustomDataset
    | HfDataset
    | RandomImageDataset
    | TraceDataset
)

DATASET_KINDS: dict[str, type[Any]] = {
    "random": RandomDataset,
    "sharegpt": ShareGptDataset,
    "burstgpt": BurstGptDataset,
    "sonnet": SonnetDataset,
    "trtllm_custom": TrtllmCustomDataset,
    "trtllm_bench": TrtllmBenchDataset,
    "custom": CustomDataset,
    "hf": HfDataset,
    "random_image": RandomImageDataset,
    "trace": TraceDataset,
}
"""Name -> dataclass, in the order the help lists them."""
