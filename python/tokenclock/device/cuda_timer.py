"""Device time of a piece of work on a CUDA stream, for users' own code."""

from __future__ import annotations

import operator
from types import TracebackType
from typing import Any

from tokenclock._core import CudaError, CudaEventPool, cuda_problem
from tokenclock.errors import MeasurementError, UsageError

__all__ = ["CudaEventTimer", "stream_handle"]

_MISSING_NS = -(1 << 63)


def stream_handle(stream: Any) -> int:
    """The handle of a CUDA stream as an integer; 0 is the legacy default stream, which None means too.

    Args:
        stream: an int; an object with ``__cuda_stream__`` (CUDA's protocol: a pair of version and handle, as an
            attribute or from a call); a torch stream (``cuda_stream``); or anything that ``int()`` takes, such as the
            ``CUstream`` of cuda-python.

    Raises:
        UsageError: none of these, or negative.
    """
    if stream is None:
        return 0
    handle: Any = None
    if hasattr(stream, "__cuda_stream__"):
        pair = stream.__cuda_stream__
        handle = (pair() if callable(pair) else pair)[1]
    elif hasattr(stream, "cuda_stream"):
        handle = stream.cuda_stream
    elif not isinstance(stream, (bool, float, str, bytes)):
        handle = stream
    try:
        number = operator.index(handle) if isinstance(handle, int) else int(handle)
    except (TypeError, ValueError):
        number = -1
    if number < 0:
        raise UsageError(
            "stream: expected an int from 0, a torch stream, or an object with __cuda_stream__ or int(), got "
            f"{stream!r}; 0 is the legacy default stream"
        )
    return number


class CudaEventTimer:
    """Times what is put on a stream, on the device's own clock; may be used again and again.

        timer = CudaEventTimer(stream)
        with timer:
            model(batch)
        print(timer.elapsed_ms())

    Entering and leaving queue an event each and return at once. What was on the stream before is not in the figure.

    Args:
        stream: as `stream_handle` takes it.
        device: CUDA device whose primary context is used where the stream is a default stream and the calling thread
            has no context yet.

    Raises:
        MeasurementError: no driver, no device, or the driver refuses; the text says what to do.
        UsageError: no stream.
    """

    def __init__(self, stream: Any = 0, *, device: int = 0) -> None:
        self._stream = stream_handle(stream)
        if problem := cuda_problem():
            raise MeasurementError(f"no device time: {problem}")
        try:
            self._pool = CudaEventPool(1, self._stream, device)
        except CudaError as error:
            raise MeasurementError(f"no device time: {error}") from error

    def start(self) -> None:
        """Queue the first event; what was timed before is forgotten."""
        self._pool.clear()
        self._record(0)

    def stop(self) -> None:
        """Queue the last event."""
        self._record(1)

    def __enter__(self) -> CudaEventTimer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:  # after an error the device may be beyond recording, and the error is what matters
            self.stop()

    def is_ready(self) -> bool:
        """Whether the device has done all of it. Never waits; False too where nothing was timed."""
        return self.elapsed_ns() is not None

    def elapsed_ns(self) -> int | None:
        """Device time in ns; None while the device is not through, or where nothing was timed. Never waits."""
        try:
            found = int(self._pool.elapsed_ns()[0])
        except CudaError as error:
            raise MeasurementError(f"no device time: {error}") from error
        return None if found == _MISSING_NS else found

    def elapsed_ms(self, timeout_s: float = 60.0) -> float:
        """Device time in ms (a step of 0.0005 at best), waited for if need be.

        Raises:
            MeasurementError: nothing was timed; the device is not through after `timeout_s`; the device failed.
        """
        try:
            self._pool.wait(timeout_s)
        except CudaError as error:
            raise MeasurementError(f"no device time: {error}") from error
        found = self.elapsed_ns()
        if found is None:
            raise MeasurementError(
                f"no device time: nothing was timed to its end within {timeout_s:g} s; call start() and stop(), or "
                "use `with`, around the work"
            )
        return found / 1e6

    def _record(self, event: int) -> None:
        try:
            self._pool.record(event, self._stream)
        except CudaError as error:
            raise MeasurementError(f"no device time: {error}") from error
