"""Watches the GPUs of this host while the load runs, where `--gpu-telemetry` asks for it."""

from __future__ import annotations

import dataclasses
import platform
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tokenclock.plan import ServingPlan

if TYPE_CHECKING:
    from tokenclock.device.gpu_memory import GpuMemoryMonitor
    from tokenclock.device.usage import GpuUsage

__all__ = ["GpuWatch", "is_this_host"]


class GpuWatch:
    """Call `start`, then `begin` and `end` around the load, then `stop`. Does nothing unless asked for; never raises.

    Every GPU of the host is watched, with the memory of everybody on it: which of them the server uses is unknown.
    Of several ranks the first alone watches.
    """

    def __init__(
        self,
        plan: ServingPlan,
        addresses: Sequence[tuple[str, int]],
        say: Callable[[str], None],
        *,
        asks: bool = True,
        monitor: GpuMemoryMonitor | None = None,
    ) -> None:
        self._monitor = None
        if plan.server.gpu_telemetry and asks:
            self._monitor = monitor or _watch_all()
        self._is_here = plan.transport.unix_socket is not None or is_this_host(addresses[0][0])
        self._say = say
        self._load: GpuUsage | None = None
        #: JSON-ready; None when it was not asked for, or before `stop`
        self.found: dict[str, Any] | None = None

    def start(self) -> None:
        """Start the sampler, and say in one line what is amiss."""
        if self._monitor is None:
            return
        self._monitor.start()
        if self._monitor.unavailable is not None:
            self._say(f"tokenclock serving: no GPU telemetry: {self._monitor.unavailable}")
        elif not self._is_here:
            self._say(
                "tokenclock serving: --gpu-telemetry watches the GPUs of this host, and the server is another one: run "
                "it there for the server's"
            )

    def begin(self) -> None:
        """The load begins."""
        if self._monitor is not None:
            self._monitor.begin("load", keep_series=True)

    def end(self) -> None:
        """The load has ended."""
        if self._monitor is not None:
            self._load = self._monitor.end()

    def stop(self) -> None:
        """End the sampler; `found` is there then, also on the ways out of a run that never reach `end`."""
        if self._monitor is None or self.found is not None:
            return
        from tokenclock.device.usage import GpuUsage

        whole = self._monitor.stop()
        usage = dataclasses.replace(self._load or GpuUsage(label="load"), warnings=whole.usage.warnings)
        self.found = {
            "host": platform.node(),
            "server_is_on_this_host": self._is_here,
            **dataclasses.replace(whole, usage=usage).to_dict(),
            "series": self._monitor.series,
        }


def _watch_all() -> GpuMemoryMonitor:
    from tokenclock.device.gpu_memory import GpuMemoryMonitor  # only now: few runs ask for it

    return GpuMemoryMonitor(devices="all", pids="all")


def is_this_host(address: str) -> bool:
    """Whether a numeric address is one of this host's own: only to those can a socket be bound."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address.partition("%")[0], 0))
    except OSError:
        return False
    return True
