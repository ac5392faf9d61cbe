"""What the offline loop asks of a model runtime, and what it gets back. It knows no runtime, no clock, no file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from tokenclock.plan_benchmark import BenchmarkCase

__all__ = ["Family", "IterationOutcome", "Limits", "ModelFacts", "OnStep", "Ranks", "Runtime"]

Family: TypeAlias = Literal["dec", "enc", "enc-dec"]

Ranks: TypeAlias = Literal["spmd", "leader", "replica"]
"""What several ranks do: ``spmd`` all run every iteration together; ``leader`` rank 0 calls, the work runs in other
processes; ``replica`` each rank runs a whole copy by itself."""

OnStep: TypeAlias = Callable[[], None]
"""Called once per generation step, as soon as the step's tokens are there, by its first row that still lives."""


@dataclass(frozen=True)
class ModelFacts:
    """What a report says of the model; None where the runtime cannot tell.

    Args:
        name: what the file names of reports are made of; the report line shows the family, as the original did.
        family: dec, enc or enc-dec.
        num_heads, num_kv_heads, num_layers, hidden_size, vocab_size: of the whole model, never of one rank.
        precision: `float16`, `bfloat16`, `float32`, or what the weights are quantised to.
        quantization: text of the quantisation mode; None where there is none.
        weights_bytes: of all weights.
        execution_context_bytes: memory that the runtime reserved for activations, where it tells.
        details: anything else worth keeping, JSON-ready (engine version, options in effect).
    """

    name: str
    family: Family
    num_heads: int | None = None
    num_kv_heads: int | None = None
    num_layers: int | None = None
    hidden_size: int | None = None
    vocab_size: int | None = None
    precision: str | None = None
    quantization: str | None = None
    weights_bytes: int | None = None
    execution_context_bytes: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Limits:
    """What a model was built for, in rows and tokens; None: no such limit. `offline.limits` judges cases by them."""

    max_batch_size: int | None = None
    max_input_len: int | None = None  # dec and enc: the prompt; enc-dec: the encoder's input
    max_output_len: int | None = None  # enc-dec: the decoder's output; dec: where it is limited by itself
    max_seq_len: int | None = None  # dec: input and output together
    max_beam_width: int | None = None


@dataclass(frozen=True)
class IterationOutcome:
    """What one iteration produced.

    Args:
        osl: int32 (batch_size,), tokens generated per row (first beam); None for encoders or where it is not known.
        setup_ns: part of the call that set buffers up, where the runtime cannot keep it in `before_iteration`; None:
            none, or what the loop measured around `before_iteration`.
        device_ns: device time of the iteration where the runtime measures it itself; None: the loop's events, if any.
        phases_ns: named parts by the runtime's own clock, e.g. ``queue``, ``prefill``, ``decode``, ``ttft``.
        ran_together: whether all rows shared their iterations (in-flight batching); None where the question is void.
        details: anything else, JSON-ready (``first_iter``, ``last_iter``).
    """

    osl: npt.NDArray[np.int32] | None = None
    setup_ns: int | None = None
    device_ns: int | None = None
    phases_ns: Mapping[str, int] = field(default_factory=dict)
    ran_together: bool | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Runtime(Protocol):
    """A loaded model that runs fixed-shape batches. Made by `runtime.find`, or by users around a call of their own.

    The loop calls, for each case: `prepare`, then `run` for every warm-up and timed iteration, then `release`; `close`
    at the very end. Whatever raises in between fails that case alone: `release` is called, and the sweep goes on.

    A runtime may have more, each by itself, and is asked for it by name:

    * ``before_iteration() -> None``: what has to be done anew before each `run` and is not the model's work, such as
      setting buffers up. Called before every `run`, outside of the latency; its time is the iteration's `setup_ns`.
      It returns when it is done on the device too.
    * ``profile_layers() -> Sequence[LayerTime]`` and ``list_layers() -> Sequence[LayerInfo]``: see `runtime.layers`.
    """

    name: str
    """Of the runtime: `ctranslate2`, `trtllm-llm` ..."""
    ranks: Ranks
    model: ModelFacts
    limits: Limits
    cuda_stream: int | None
    """Handle of the stream that `run` works on, as an integer; None: no device events are taken."""
    streams: bool
    """Whether `run` calls `on_step`; for encoders always False."""

    def prepare(self, case: BenchmarkCase, seed: int) -> None:
        """Make inputs and buffers for `case`; not timed. The same seed gives the same inputs on every rank.

        Raises:
            UsageError: the runtime has no such thing as what the case asks for (beams, weights percent).
        """

    def run(self, on_step: OnStep | None) -> IterationOutcome:
        """One iteration on the prepared case; returns when the output is there (the device has finished).

        Timed from just before the call to just after it; `before_iteration`, where there is one, came before. `on_step`
        is None unless steps are to be stamped.
        """

    def release(self) -> None:
        """Free what `prepare` made, also after a failure; calling it twice does no harm."""

    def close(self) -> None:
        """Free the model. Nothing is called afterwards."""
