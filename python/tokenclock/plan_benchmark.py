"""What an offline benchmark is asked to do: frozen values, checked here, printable as JSON, enough to repeat it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BenchmarkCase"]


@dataclass(frozen=True)
class BenchmarkCase:
    """One point of the sweep.

    Args:
        index: place in the order of cases, from 0.
        family: dec, enc or enc-dec.
        batch_size: rows of every iteration.
        input_len: tokens per row: the prompt's, for enc-dec the encoder's.
        output_len: tokens to generate per row, exactly; None for enc.
        num_beams: beam width; 1 is greedy.
        gpu_weights_percent: share of the weights kept on the GPU, 0 to 1.
    """

    index: int
    family: str
    batch_size: int
    input_len: int
    output_len: int | None = None
    num_beams: int = 1
    gpu_weights_percent: float = 1.0
