"""What a load of single requests asks of a model runtime in this process: requests in flight, each token told at once.

Beside `runtime.protocol`, whose runtimes run one fixed batch after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from tokenclock.runtime.protocol import Limits, ModelFacts

__all__ = ["InFlight", "InFlightOptions", "InFlightRequest", "OnEnd", "OnTokens", "Outcome", "Sampling"]

OnTokens: TypeAlias = Callable[[int], None]
"""Called with the number of new tokens as soon as they are there, on any thread."""


@dataclass(frozen=True)
class Outcome:
    """How a request ended.

    Args:
        output_ids: what was generated, the first beam's; None where the request failed.
        stopped: the model ended by itself (an end token), before the length asked for.
        error: what went wrong, in one line; None: nothing.
        cancelled: it was told to end early.
        decode_iteration: iterations of the model that the request took part in, where the runtime tells; None: unknown.
    """

    output_ids: Sequence[int] | None = None
    stopped: bool = False
    error: str | None = None
    cancelled: bool = False
    decode_iteration: int | None = None


OnEnd: TypeAlias = Callable[[Outcome], None]
"""Called once for each request when it has ended, on any thread."""


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen, for all requests alike; greedy unless said otherwise.

    Args:
        eos_id: a token that ends an answer; -1: none does, and every answer has the length asked for.
        beam_width: 1: no beams.
        options: the user's own, by the names of TensorRT-LLM's SamplingParams (`temperature`, `top_p`, ...).
    """

    eos_id: int = -1
    beam_width: int = 1
    options: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True)
class InFlightRequest:
    """One request.

    Args:
        ids: token ids of the prompt.
        osl: tokens to generate.
        lora: name, number and directory of an adapter; None: the model itself.
    """

    ids: Sequence[int]
    osl: int
    lora: tuple[str, int, str] | None = None


@dataclass(frozen=True)
class InFlightOptions:
    """What a user may ask of a runtime with requests in flight; a runtime names what it cannot do.

    Args:
        concurrency: requests in flight at most; None: all at once.
        max_batch_size, max_num_tokens, max_seq_len: limits of the runtime's scheduler; None: its own.
        longest_prompt, longest_request: of the dataset, in tokens; a request is prompt and answer.
        kv_cache_share: of the free GPU memory; None: the runtime's own.
        chunked_context: cut long prompts into several iterations; None: the runtime's own.
        scheduler_policy: `guaranteed_no_evict` or `max_utilization`; None: the runtime's own.
        iterations: keep what the runtime says of its iterations; such a runtime has a method `iterations`.
    """

    concurrency: int | None = None
    max_batch_size: int | None = None
    max_num_tokens: int | None = None
    max_seq_len: int | None = None
    longest_prompt: int = 1
    longest_request: int = 2
    kv_cache_share: float | None = None
    chunked_context: bool | None = None
    scheduler_policy: str | None = None
    iterations: bool = False


@runtime_checkable
class InFlight(Protocol):
    """A loaded model that takes single requests. Made by `runtime.find_in_flight`."""

    name: str
    model: ModelFacts
    limits: Limits
    takes_lora: bool
    """Whether requests may ask for an adapter."""
    notes: Sequence[str]
    """What the user should know: what was asked for and changes nothing here, one line each."""

    def submit(self, request: InFlightRequest, on_tokens: OnTokens | None, on_end: OnEnd) -> None:
        """Take a request and return at once. `on_tokens` is None where nobody looks at the stream.

        Whatever goes wrong with the request is told to `on_end`, never raised.
        """

    def cancel(self) -> None:
        """End every request under way as soon as the runtime can; those not begun end at once."""

    def close(self) -> None:
        """Free the model. Every request has ended; nothing is called afterwards."""
