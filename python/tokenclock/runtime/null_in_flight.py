"""Requests in flight on nothing: each is answered at once, so that what is measured is what the tool itself costs."""

from __future__ import annotations

from collections.abc import Sequence

from tokenclock.parallel import World
from tokenclock.runtime.in_flight import InFlightOptions, InFlightRequest, OnEnd, OnTokens, Outcome, Sampling
from tokenclock.runtime.options import RuntimeOptions, refuse_split
from tokenclock.runtime.protocol import Limits, ModelFacts

__all__ = ["NullInFlight", "load"]


def load(
    directory: str, options: RuntimeOptions, sampling: Sampling, asked: InFlightOptions, world: World
) -> NullInFlight:
    """A runtime that answers at once; the directory is not looked at. Raises UsageError for --tp, --pp or --ep."""
    refuse_split("null", options)
    return NullInFlight()


class NullInFlight:
    """Tokens come on the thread that hands a request over, one after the other; see `in_flight.InFlight`."""

    name = "null"
    model = ModelFacts(name="null", family="dec", details={"device": "cpu"})
    limits = Limits()
    takes_lora = True
    notes: Sequence[str] = ("--runtime null answers at once: these numbers are what tokenclock itself costs",)

    def submit(self, request: InFlightRequest, on_tokens: OnTokens | None, on_end: OnEnd) -> None:
        if on_tokens is not None:
            for _ in range(request.osl):
                on_tokens(1)
        on_end(Outcome(range(request.osl)))

    def cancel(self) -> None:
        return None

    def close(self) -> None:
        return None
