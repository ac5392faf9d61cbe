"""A runtime that answers at once, or after a known time: what the tool itself costs, and if its clock is honest."""

from __future__ import annotations

import time

import numpy as np

from tokenclock.parallel import World
from tokenclock.plan_benchmark import BenchmarkCase
from tokenclock.runtime.options import RuntimeOptions, refuse_split
from tokenclock.runtime.protocol import Family, IterationOutcome, Limits, ModelFacts, OnStep, Ranks

__all__ = ["NullRuntime", "load", "recognises"]


class NullRuntime:
    """Does nothing for each step but wait.

    Args:
        family: ``dec``, ``enc`` or ``enc-dec``.
        busy_ns: how long each iteration keeps the core busy; 0: it returns at once. Steps are spread over it evenly.
    """

    name = "null"
    ranks: Ranks = "replica"
    cuda_stream: int | None = None
    limits = Limits()

    def __init__(self, family: Family = "dec", *, busy_ns: int = 0) -> None:
        self.model = ModelFacts(name="null", family=family, details={"device": "cpu"})
        self.streams = family != "enc"
        self._busy_ns = busy_ns
        self._n_steps, self._outcome = 0, IterationOutcome()

    def prepare(self, case: BenchmarkCase, seed: int) -> None:
        if case.output_len is not None:
            self._n_steps = case.output_len
            self._outcome = IterationOutcome(osl=np.full(case.batch_size, case.output_len, np.int32))

    def run(self, on_step: OnStep | None) -> IterationOutcome:
        busy_ns, outcome = self._busy_ns, self._outcome
        begun_ns = time.perf_counter_ns() if busy_ns else 0
        if on_step is not None:
            n_steps = self._n_steps
            for step in range(1, n_steps + 1):
                if busy_ns:
                    _spin_until(begun_ns + busy_ns * step // n_steps)
                on_step()
        if busy_ns:
            _spin_until(begun_ns + busy_ns)
        return outcome

    def release(self) -> None:
        self._n_steps, self._outcome = 0, IterationOutcome()

    def close(self) -> None:
        return None


def _spin_until(t_ns: int) -> None:
    while time.perf_counter_ns() < t_ns:
        pass


def recognises(directory: str) -> bool:
    """Never: it has to be named."""
    return False


def load(directory: str, family: Family, options: RuntimeOptions, world: World) -> NullRuntime:
    """A runtime that answers at once; the directory is not looked at."""
    refuse_split("null", options)
    return NullRuntime(family)
