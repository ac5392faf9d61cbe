"""The datasets of `profile`: synthetic prompts of normally distributed lengths, so many of them, and used in turn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tokenclock.plan_checks import LONGEST, is_number, require, require_int, require_length

__all__ = ["PROFILE_DATASETS", "InputFileDataset", "SyntheticDataset"]


@dataclass(frozen=True)
class SyntheticDataset:
    """Unique prompts of drawn lengths, behind one of several shared beginnings; request i takes prompt i modulo n.

    Lengths are whole parts of normal draws, 1 at least.
    """

    name: str = "synthetic"
    n_entries: int = 100  # unique prompts
    input_mean: float = 550.0  # tokens, without the shared beginning
    input_stddev: float = 0.0
    output_mean: float | None = None  # tokens asked for; None: the server's own limit
    output_stddev: float = 0.0
    n_prefixes: int = 0  # shared beginnings to choose from; 0: none
    prefix_len: int = 100  # tokens of each
    vocab_size: int | None = None  # ids 3 .. vocab_size-1 are drawn for completions when there is no tokenizer

    def __post_init__(self) -> None:
        require(self.name == "synthetic", "dataset.name", "synthetic", self.name)
        require_int("--num-dataset-entries", self.n_entries, 1, highest=10_000_000)
        _require_mean("--synthetic-input-tokens-mean", self.input_mean)
        _require_deviation("--synthetic-input-tokens-stddev", self.input_stddev)
        if self.output_mean is not None:
            _require_mean("--output-tokens-mean", self.output_mean)
        _require_deviation("--output-tokens-stddev", self.output_stddev)
        require(
            self.output_stddev == 0 or self.output_mean is not None,
            "--output-tokens-stddev",
            "given together with --output-tokens-mean",
            self.output_stddev,
        )
        require_int("--num-prefix-prompts", self.n_prefixes, 0, highest=1_000_000)
        require_length("--prefix-prompt-length", self.prefix_len, 1)
        if self.vocab_size is not None:
            require_int("--vocab-size", self.vocab_size, 16, highest=1 << 24)

    @property
    def prompt_tokens(self) -> int:
        """Mean tokens of a prompt, its beginning included."""
        return math.ceil(self.input_mean) + (self.prefix_len if self.n_prefixes else 0)


def _require_mean(flag: str, value: object) -> None:
    ok = is_number(value) and 1 <= value <= LONGEST  # type: ignore[operator]
    require(ok, flag, f"tokens from 1 to {LONGEST}", value)


def _require_deviation(flag: str, value: object) -> None:
    ok = is_number(value) and 0 <= value <= LONGEST  # type: ignore[operator]
    require(ok, flag, f"tokens from 0 to {LONGEST}", value, "0 makes all lengths equal")


@dataclass(frozen=True)
class InputFileDataset:
    """Prompts of a file of JSON lines, in its order and again from its start until the run ends."""

    path: str
    name: str = "input_file"
    output_mean: float | None = None  # tokens asked for; None: the server's own limit
    output_stddev: float = 0.0

    def __post_init__(self) -> None:
        require(self.name == "input_file", "dataset.name", "input_file", self.name)
        require(isinstance(self.path, str) and bool(self.path), "--input-file", "a file of JSON lines", self.path)
        if self.output_mean is not None:
            _require_mean("--output-tokens-mean", self.output_mean)
        _require_deviation("--output-tokens-stddev", self.output_stddev)


PROFILE_DATASETS: dict[str, type[Any]] = {"synthetic": SyntheticDataset, "input_file": InputFileDataset}
"""Name -> dataclass of the datasets that only `profile` asks for."""
