"""The profiler that a Python session of TensorRT-LLM is handed: when the first token was there, and the last."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

__all__ = ["GenerationProfile"]


class GenerationProfile:
    """One iteration's profile. The session calls the ``record_*`` methods and `add_aux_info`, and knows it by them.

    Args:
        new_event: makes an event with ``record()`` and ``elapsed_time(later) -> ms``, such as a CUDA event with timing;
            None: the host's clock, for a device that has finished whenever the session records.
        of_layers: the session is to profile layers too. Its profiler stays attached: all later iterations are slower.
    """

    def __init__(self, new_event: Callable[[], Any] | None = None, *, of_layers: bool = False) -> None:
        self.is_recording_perf_profile = of_layers  # the session reads it
        self._new_event = new_event
        self._marks: dict[str, Any] = {}
        self._spans: dict[str, tuple[str, str]] = {}
        self._counts: dict[str, int] = {}

    def record_cuda_event(self, name: str) -> None:
        """Note that the work enqueued so far is done."""
        if self._new_event is None:
            self._marks[name] = time.perf_counter_ns()
            return
        self._marks[name] = self._new_event()
        self._marks[name].record()

    def record_elapsed_time(self, start: str, end: str, timer: str) -> None:
        """Note that `timer` is the time from one mark to the other; it is read later, when the device has finished."""
        self._spans[timer] = (start, end)

    def add_aux_info(self, name: str, value: int) -> None:
        self._counts[name] = value

    @property
    def generation_ns(self) -> int | None:
        """From the first token to the last; None where the session did not say. The device must have finished."""
        span = self._spans.get("generation_time")
        if span is None:
            return None
        first, last = self._marks[span[0]], self._marks[span[1]]
        return int(last - first) if self._new_event is None else round(first.elapsed_time(last) * 1e6)

    @property
    def n_steps(self) -> int | None:
        """Generation steps after the first token; None where the session did not say."""
        return self._counts.get("generation_step_count")
