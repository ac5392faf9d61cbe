"""The part of a serving plan that says what the server does with a prompt."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from tokenclock.plan_checks import is_number, require, require_int

__all__ = ["GenerationPlan"]

_INT32_MAX = (1 << 31) - 1


@dataclass(frozen=True)
class GenerationPlan:
    """What the server is asked to do with a prompt; None leaves a field out of the body."""

    ignore_eos: bool = False
    logprobs: int | None = None
    temperature: float | None = None  # None: the server's own default
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    extra_body: dict[str, Any] = field(default_factory=dict)  # merged last; null takes a field out
    length_field: str | None = None  # the field of the asked output length; None: that of the backend

    def __post_init__(self) -> None:
        if self.logprobs is not None:
            require_int("--logprobs", self.logprobs, 0, highest=1_000_000)
        if self.temperature is not None:
            require(
                is_number(self.temperature) and 0 <= self.temperature < math.inf,
                "--temperature",
                "a number >= 0",
                self.temperature,
                "0 is greedy",
            )
        if self.top_p is not None:
            require(is_number(self.top_p) and 0 < self.top_p <= 1, "--top-p", "in (0, 1]", self.top_p)
        if self.top_k is not None:
            require_int("--top-k", self.top_k, -1, "-1 and 0 mean no limit to most servers", highest=_INT32_MAX)
        if self.min_p is not None:
            require(is_number(self.min_p) and 0 <= self.min_p <= 1, "--min-p", "in [0, 1]", self.min_p)
        for flag, value in (
            ("--frequency-penalty", self.frequency_penalty),
            ("--presence-penalty", self.presence_penalty),
        ):
            require(value is None or (is_number(value) and -2 <= value <= 2), flag, "in [-2, 2]", value)
        repetition = self.repetition_penalty
        require(
            repetition is None or (is_number(repetition) and 0 < repetition < math.inf),
            "--repetition-penalty",
            "a number > 0",
            repetition,
            "1 changes nothing",
        )
        require(isinstance(self.extra_body, dict), "--extra-body", "a JSON object", self.extra_body)
        require(
            "stream" not in self.extra_body,
            "--extra-body",
            "an object without `stream`",
            self.extra_body,
            "use --non-streaming",
        )
        require(
            self.extra_body.get("n", 1) in (1, None),
            "--extra-body n",
            "1",
            self.extra_body.get("n"),
            "one answer per request is timed; raise --num-prompts",
        )
