"""Device time of iterations and steps, by CUDA events on the stream that the runtime works on."""

from __future__ import annotations

from typing import Protocol

__all__ = ["DeviceTimer", "device_timer"]


class DeviceTimer(Protocol):
    """Events of one iteration at a time; nothing waits for the device but `resolve`."""

    def start(self) -> None:
        """Record the start of an iteration."""

    def step(self) -> None:
        """Record a generation step."""

    def stop(self) -> None:
        """Record the end of the iteration."""

    def resolve(self) -> tuple[int, list[int]]:
        """ns from the start to the end of the iteration, and to each of its steps; waits until they are over."""


def device_timer(cuda_stream: int | None, max_steps: int) -> DeviceTimer | None:
    """A timer for iterations of at most `max_steps` steps; None where the runtime names no stream.

    Args:
        cuda_stream: handle of the stream.
        max_steps: events are made once, for so many steps.
    """
    return None
