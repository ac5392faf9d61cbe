"""A call of the user's own as a runtime: what `run_benchmark(plan, runtime=...)` times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from tokenclock.plan_benchmark import BenchmarkCase
from tokenclock.plan_checks import shown
from tokenclock.runtime.protocol import Family, IterationOutcome, Limits, ModelFacts, OnStep, Ranks

__all__ = ["UserRuntime"]

_NOTHING = IterationOutcome()  # made once: making one takes 2 us, which would be the call's

Call: TypeAlias = Callable[[Any, OnStep | None], Any]


class UserRuntime:
    """Wraps a callable. It must return when the output is there: a call on a GPU has to wait for it.

    Args:
        call: `call(inputs, on_step)`, one iteration. It may return nothing, the tokens generated per row (whole
            numbers, shape (batch_size,)), or an `IterationOutcome`.
        prepare: `prepare(case, seed)`, what `call` is given as its inputs; None: the case itself.
        before: `before(inputs)`, called before each iteration and timed apart from it (`setup`), for what is not the
            model's work but has to be done anew; None: there is nothing.
        family: ``dec``, ``enc`` or ``enc-dec``; must be the plan's.
        streams: `call` calls `on_step()` once for each generation step, as soon as its tokens are there.
        cuda_stream: the stream that `call` works on, for CUDA events: an int, or a stream object of PyTorch or
            cuda-python; None: host time only.
        ranks: what several ranks do.
        name: of the model, for file names and reports.
        model: more facts of it; replaces `name`.
        limits: cases outside are skipped.

    Example::

        runtime = UserRuntime(lambda case, on_step: my_generate(case.batch_size, case.input_len, case.output_len))
        result = run_benchmark(BenchmarkPlan(batch_sizes=(1, 8), lengths=((60, 20),)), runtime=runtime)
    """

    def __init__(
        self,
        call: Call,
        *,
        prepare: Callable[[BenchmarkCase, int], Any] | None = None,
        before: Callable[[Any], None] | None = None,
        family: Family = "dec",
        streams: bool = False,
        cuda_stream: Any = None,
        ranks: Ranks = "replica",
        name: str = "own",
        model: ModelFacts | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.name = "user"
        self.ranks: Ranks = ranks
        self.model = model or ModelFacts(name=name, family=family)
        self.limits = limits or Limits()
        self.streams = streams and family != "enc"
        self.cuda_stream = None if cuda_stream is None else int(getattr(cuda_stream, "cuda_stream", cuda_stream))
        self._call = call
        self._prepare = prepare
        self._inputs: Any = None
        self._batch_size: int | None = None
        # the last list found right, and what it means: checking is within the latency, and lengths seldom change
        self._known: tuple[list[int], IterationOutcome] = ([], _NOTHING)
        if before is not None:
            self.before_iteration = lambda: before(self._inputs)

    def prepare(self, case: BenchmarkCase, seed: int) -> None:
        self._batch_size, self._known = case.batch_size, ([], _NOTHING)
        self._inputs = case if self._prepare is None else self._prepare(case, seed)

    def run(self, on_step: OnStep | None) -> IterationOutcome:
        returned = self._call(self._inputs, on_step)
        if returned is None:
            return _NOTHING
        if isinstance(returned, IterationOutcome):
            return returned
        if type(returned) is list and returned and returned == self._known[0]:
            return self._known[1]
        osl = np.asarray(returned)
        whole = osl.dtype.kind in "iu" and osl.ndim == 1 and (osl.size == 0 or int(osl.min()) >= 0)
        if not whole or (self._batch_size is not None and len(osl) != self._batch_size):
            rows = "" if self._batch_size is None else f", {self._batch_size} of them"
            raise ValueError(
                f"the call must return the tokens generated per row, whole numbers >= 0{rows}, or None, "
                f"got {shown(returned)}"
            )
        outcome = IterationOutcome(osl=osl.astype(np.int32))
        if type(returned) is list:
            self._known = (returned.copy(), outcome)
        return outcome

    def release(self) -> None:
        self._inputs = None

    def close(self) -> None:
        return None
