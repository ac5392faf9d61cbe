from __future__ import annotations

from typing import Any

import pytest

from tokenclock.offline.limits import skip_reason
from tokenclock.plan_benchmark import BenchmarkCase
from tokenclock.runtime.protocol import Limits


def case(family: str = "dec", **values: Any) -> BenchmarkCase:
    given = {"batch_size": 8, "input_len": 100, "output_len": None if family == "enc" else 20, **values}
    return BenchmarkCase(0, family, **given)


@pytest.mark.parametrize("family", ["dec", "enc", "enc-dec"])
def test_no_limits_skip_nothing(family: str) -> None:
    assert skip_reason(case(family), Limits()) is None


@pytest.mark.parametrize(
    ("family", "limits", "words"),
    [
        ("dec", Limits(max_input_len=99), "input length 100 is above the model's maximum input length 99"),
        ("dec", Limits(max_seq_len=119), "input and output length 120 is above the model's maximum sequence length"),
        ("dec", Limits(max_batch_size=7), "batch size 8 is above the model's maximum batch size 7"),
        ("enc", Limits(max_input_len=99), "input length 100"),
        ("enc-dec", Limits(max_input_len=99), "input length 100"),
        ("enc-dec", Limits(max_output_len=19), "output length 20 is above"),
        ("enc", Limits(max_batch_size=7), "batch size 8"),
    ],
)  # fmt: skip
def test_what_is_outside_is_skipped_with_the_reason(family: str, limits: Limits, words: str) -> None:
    reason = skip_reason(case(family), limits)
    assert reason is not None
    assert words in reason


def test_limits_include_themselves() -> None:
    limits = Limits(max_batch_size=8, max_input_len=100, max_output_len=20, max_seq_len=120, max_beam_width=1)
    assert skip_reason(case(), limits) is None
    assert skip_reason(case(num_beams=2), limits) == "beam width 2 is above the model's maximum beam width 1"


@pytest.mark.parametrize("family", ["enc", "enc-dec"])
def test_input_and_output_together_are_a_limit_of_decoders_only(family: str) -> None:
    assert skip_reason(case(family), Limits(max_seq_len=50)) is None
