"""Which cases a model was not built for: they are skipped, with the reason in one line."""

from __future__ import annotations

from tokenclock.plan_benchmark import BenchmarkCase
from tokenclock.runtime.protocol import Limits

__all__ = ["skip_reason"]


def skip_reason(case: BenchmarkCase, limits: Limits) -> str | None:
    """Why the case is outside the model's limits; None where it is within.

    dec: input against the longest input, input and output together against the longest sequence. enc: input. enc-dec:
    the encoder's input and the decoder's output, each against its own. All: rows, beams.
    """
    output_len = case.output_len or 0
    checks = [
        ("batch size", case.batch_size, "maximum batch size", limits.max_batch_size),
        ("beam width", case.num_beams, "maximum beam width", limits.max_beam_width),
        ("input length", case.input_len, "maximum input length", limits.max_input_len),
        ("output length", output_len, "maximum output length", limits.max_output_len),
    ]
    if case.family == "dec":
        total = case.input_len + output_len
        checks.append(("input and output length", total, "maximum sequence length", limits.max_seq_len))
    for what, value, which, limit in checks:
        if limit is not None and value > limit:
            return f"{what} {value} is above the model's {which} {limit}"
    return None
