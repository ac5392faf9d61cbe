"""Device time of iterations and steps, by CUDA events on the stream that the runtime works on."""

from __future__ import annotations

from tokenclock._core import CudaError, CudaEventPool, cuda_problem
from tokenclock.records import MISSING_NS

__all__ = ["DeviceTimer", "device_timer"]

_WAIT_S = 60.0
_SPARE_STEPS = 8  # as many more steps than asked as a row has room for


class DeviceTimer:
    """Events of one iteration at a time: the start, one for each step, the end. Only `resolve` waits for the device.

    Args:
        pool: a `CudaEventPool` of `max_steps + 2` events or more.
        stream: handle of the stream that they are recorded on.
        max_steps: further steps are not recorded.
    """

    def __init__(self, pool: CudaEventPool, stream: int, max_steps: int) -> None:
        self._pool, self._stream, self._max_steps = pool, stream, max_steps
        self._n_steps = 0

    def start(self) -> None:
        """Record the start of an iteration; what was recorded before is forgotten."""
        self._pool.clear()
        self._n_steps = 0
        self._pool.record(0, self._stream)

    def step(self) -> None:
        """Record a generation step."""
        if self._n_steps < self._max_steps:
            self._n_steps += 1
            self._pool.record(self._n_steps, self._stream)

    def stop(self) -> None:
        """Record the end of the iteration."""
        self._pool.record(self._max_steps + 1, self._stream)

    def resolve(self) -> tuple[int, list[int]]:
        """Device ns from the start to the end of the iteration, and to each of its steps.

        ``MISSING_NS`` for what the device did not reach within a minute.
        """
        if not self._pool.wait(_WAIT_S):
            return MISSING_NS, []
        steps = [int(self._pool.between_ns(0, number)) for number in range(1, self._n_steps + 1)]
        return int(self._pool.between_ns(0, self._max_steps + 1)), steps


def device_timer(cuda_stream: int | None, n_steps: int) -> tuple[DeviceTimer | None, str | None]:
    """A timer for iterations of about `n_steps` steps, or why there is none: both None where no stream is named.

    Args:
        cuda_stream: handle of the stream that the runtime works on.
        n_steps: steps expected; a few more are recorded too.
    """
    if cuda_stream is None:
        return None, None
    if problem := cuda_problem():
        return None, f"no device time: {problem}"
    max_steps = n_steps + _SPARE_STEPS
    try:
        pool = CudaEventPool((max_steps + 3) // 2, cuda_stream)
        return DeviceTimer(pool, cuda_stream, max_steps), None
    except (CudaError, ValueError) as error:
        return None, f"no device time: {' '.join(str(error).split())}"
