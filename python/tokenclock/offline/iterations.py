"""Times single iterations and keeps what they gave: the only place between whose stamps a runtime is called."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock._core import TokenRecorder, now_ns
from tokenclock.iteration_records import IterationRecords, empty_iterations
from tokenclock.offline.device_time import DeviceTimer
from tokenclock.plan_benchmark import BenchmarkCase
from tokenclock.records import MISSING_NS
from tokenclock.runtime.protocol import IterationOutcome, Runtime

__all__ = ["Iterations"]

_CHUNK_ROWS = 256  # rows of one recorder; a new one is made between iterations
_TIMES = ("t_start_ns", "t_done_ns", "setup_ns", "device_ns")
_COUNTS = ("osl_min", "osl_max", "n_tokens", "ran_together", "phase")


class Iterations:
    """The rows of one case on one rank.

    Args:
        case: the case.
        rank: of this process.
        epoch_ns: instant that stamps are relative to.
        stamps_steps: give the runtime an `on_step`.
        device: CUDA events; None: no device time but what the runtime itself tells.
    """

    def __init__(
        self,
        case: BenchmarkCase,
        rank: int,
        epoch_ns: int,
        *,
        stamps_steps: bool,
        device: DeviceTimer | None = None,
    ) -> None:
        self._case, self._rank, self._epoch_ns = case, rank, epoch_ns
        self._device = device
        # a runtime that generates more than it was asked for is still seen to; the room costs nothing until it is used
        self._max_steps = 4 * (case.output_len or 0) + 256 if stamps_steps else 0
        self._recorder: TokenRecorder | None = None
        self._row_of_recorder = _CHUNK_ROWS
        self._values = {name: array("q") for name in (*_TIMES, *_COUNTS)}
        self._phases: dict[str, array[int]] = {}
        self._n_steps = array("q")
        self._steps: list[npt.NDArray[np.int64]] = []
        self._device_steps: list[npt.NDArray[np.int64]] = []
        self._lengths: tuple[Any, tuple[int, int, int]] = (None, (-1, -1, -1))
        self.details: Mapping[str, Any] = {}
        """What the runtime said of the last iteration."""

    def __len__(self) -> int:
        return len(self._n_steps)

    def time(self, runtime: Runtime, phase: int, setup_ns: int | None = None) -> int:
        """Run one iteration and keep its row; returns its latency in ns. Whatever the runtime raises passes through.

        Args:
            runtime: prepared, and set up where it asks for that.
            phase: ``WARM_UP`` or ``TIMED``.
            setup_ns: what setting up for this iteration took, before it; None: there was none.

        Raises:
            OverflowError: the runtime stamped more than four times as many steps as it was asked for.
        """
        row = self._next_row() if self._max_steps else None
        device, on_step = self._device, row.stamp if row is not None else None
        if device is None:
            t_start_ns = now_ns()
            outcome = runtime.run(on_step)
            t_done_ns = now_ns()
            device_ns, device_steps = outcome.device_ns, list[int]()
        else:
            on_step = _stamped_twice(row.stamp, device) if row is not None else None
            device.start()
            t_start_ns = now_ns()
            outcome = runtime.run(on_step)
            t_done_ns = now_ns()
            device.stop()
            device_ns, device_steps = device.resolve()
        own_setup_ns = setup_ns if outcome.setup_ns is None else outcome.setup_ns + (setup_ns or 0)
        self._keep(outcome, phase, t_start_ns, t_done_ns, device_ns, own_setup_ns)
        stamps = row.t_token_ns if row is not None else np.zeros(0, np.int64)
        self._n_steps.append(len(stamps))
        self._steps.append(np.asarray(stamps) - self._epoch_ns)
        self._device_steps.append(_fitted(device_steps, len(stamps)))
        return t_done_ns - t_start_ns

    def records(self, begin: int = 0) -> IterationRecords:
        """The rows from `begin` on."""
        n, case = len(self) - begin, self._case
        columns = empty_iterations(n)
        constant = {
            "case": case.index,
            "rank": self._rank,
            "batch_size": case.batch_size,
            "isl_requested": case.input_len,
            "osl_requested": -1 if case.output_len is None else case.output_len,
        }
        for name, value in constant.items():
            columns[name][:] = value
        columns["iteration"][:] = np.arange(begin, len(self))
        for name, values in self._values.items():
            columns[name][:] = np.frombuffer(values, np.int64)[begin:] if n else 0
        lengths = np.frombuffer(self._n_steps, np.int64)[begin:] if n else np.zeros(0, np.int64)
        nothing = np.zeros(0, np.int64)
        return IterationRecords(
            columns,
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            np.concatenate([nothing, *self._steps[begin:]]),
            np.concatenate([nothing, *self._device_steps[begin:]]),
            {name: np.frombuffer(values, np.int64)[begin:].copy() for name, values in self._phases.items() if n},
            {self._rank: self._epoch_ns},
        )

    def _next_row(self) -> Any:
        if self._row_of_recorder == _CHUNK_ROWS or self._recorder is None:
            self._recorder, self._row_of_recorder = TokenRecorder(_CHUNK_ROWS, self._max_steps), 0
        row = self._recorder.row(self._row_of_recorder)
        self._row_of_recorder += 1
        return row

    def _keep(
        self,
        outcome: IterationOutcome,
        phase: int,
        t_start_ns: int,
        t_done_ns: int,
        device_ns: int | None,
        setup_ns: int | None,
    ) -> None:
        if outcome.osl is not self._lengths[0]:
            osl = outcome.osl
            known = osl is not None and len(osl) > 0
            self._lengths = (osl, (int(osl.min()), int(osl.max()), int(osl.sum())) if known else (-1, -1, -1))  # type: ignore[union-attr]
        osl_min, osl_max, n_tokens = self._lengths[1]
        row = {
            "t_start_ns": t_start_ns - self._epoch_ns,
            "t_done_ns": t_done_ns - self._epoch_ns,
            "setup_ns": _or_missing(setup_ns),
            "device_ns": _or_missing(outcome.device_ns if device_ns is None else device_ns),
            "osl_min": osl_min,
            "osl_max": osl_max,
            "n_tokens": n_tokens,
            "ran_together": -1 if outcome.ran_together is None else int(outcome.ran_together),
            "phase": phase,
        }
        for name, value in row.items():
            self._values[name].append(value)
        for name in {*self._phases, *outcome.phases_ns}:
            column = self._phases.setdefault(name, array("q", [MISSING_NS]) * (len(self._values["phase"]) - 1))
            column.append(_or_missing(outcome.phases_ns.get(name)))
        self.details = outcome.details


def _or_missing(value_ns: int | None) -> int:
    return MISSING_NS if value_ns is None else int(value_ns)


def _stamped_twice(stamp: Any, device: DeviceTimer) -> Any:
    event = device.step

    def on_step() -> None:
        stamp()
        event()

    return on_step


def _fitted(values: list[int], n: int) -> npt.NDArray[np.int64]:
    """Device times of the steps where there is one for each, else all missing."""
    return np.array(values, np.int64) if len(values) == n else np.full(n, MISSING_NS, np.int64)
