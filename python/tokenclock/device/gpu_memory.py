"""Memory, power and clocks of GPUs while something runs, watched from a process of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Literal

from tokenclock.device.child import Child, ChildSilent
from tokenclock.device.usage import DeviceUsage, GpuTelemetry, GpuUsage
from tokenclock.errors import UsageError

__all__ = ["GpuMemoryMonitor"]

_START_LIMIT_S = 60.0  # a driver that is not kept loaded takes seconds for each GPU
_ANSWER_LIMIT_S = 10.0


class GpuMemoryMonitor:
    """Watches GPUs, and the host's memory, from `start` to `stop`; in between, cases from `begin` to `end`.

        with GpuMemoryMonitor() as monitor:
            model = load()
            monitor.mark_loaded()
            monitor.begin("batch 8")
            model(batch)
            print(monitor.end().peak_process_bytes)

    It never raises for what the machine lacks: `unavailable` says why there are no figures of GPUs, figures are None,
    and `warnings` tell what is missing. A sampler that dies or hangs costs its figures, not the run. One thread at a
    time. Start it before mpi4py is imported.

    Args:
        interval_ms: time between two looks at memory; default 10. Power, clocks and temperature are looked at every
            100 ms, as devices renew them no faster. Where a look takes long (many GPUs) they are fewer: the sampler
            never uses more than a quarter of a core.
        devices: CUDA device numbers as this process sees them; None: all that it sees (CUDA_VISIBLE_DEVICES);
            "all": every GPU of the host, hidden or not.
        pids: processes whose memory counts, with that of their children; None: this process; "all": everybody's on
            the GPUs, and no host memory.

    Raises:
        UsageError: an interval outside 1 to 60 000 ms, or a negative number among devices or pids.
    """

    def __init__(
        self,
        interval_ms: float = 10.0,
        devices: Sequence[int] | Literal["all"] | None = None,
        pids: Sequence[int] | Literal["all"] | None = None,
    ) -> None:
        if not 1 <= interval_ms <= 60_000:
            raise UsageError(f"interval_ms: expected 1 to 60000 ms, got {interval_ms}; 10 suits most runs")
        self.interval_ms = float(interval_ms)
        self._devices = "visible" if devices is None else _listed("devices", devices)
        self._pids = str(os.getpid()) if pids is None else _listed("pids", pids)
        self._child: Child | None = None
        self._label: str | None = None
        self._versions: dict[str, str | None] = {}
        self._warnings: list[str] = []
        self._telemetry: GpuTelemetry | None = None
        #: of the last case that was begun with `keep_series`: one mapping a GPU, see `device.series`
        self.series: list[dict[str, Any]] = []
        #: why there are no figures of GPUs; None where there are
        self.unavailable: str | None = "not started"

    def start(self) -> GpuMemoryMonitor:
        """Start the sampler and return once it has looked for the first time (60 s at most). Raises nothing."""
        if self._child is not None or self._telemetry is not None:
            return self
        arguments = ["--interval-ms", repr(self.interval_ms), "--devices", self._devices, "--pids", self._pids]
        try:
            self._child = Child("tokenclock.device.nvml_sampler", arguments)
            ready = self._child.answer(_START_LIMIT_S)
            self.unavailable, self._versions = ready["unavailable"], ready["versions"]
        except (OSError, ChildSilent) as error:
            self._give_up(f"the sampler did not start: {error}")
        return self

    def mark_loaded(self) -> None:
        """Remember the memory in use now as the level of the weights."""
        self._ask("mark_loaded")

    def begin(self, label: str = "", *, keep_series: bool = False) -> None:
        """Peaks, energy and the rest count from now on. A case that was not ended is forgotten.

        keep_series: also keep utilization, power, clocks, temperature and memory over time, ten times a second at most.
        """
        self._label = label
        self._ask("begin", series=keep_series)

    def end(self) -> GpuUsage:
        """What happened since `begin`; figures are None where nothing is known, and without a `begin`."""
        label, self._label = self._label, None
        found = self._ask("end")
        self.series = found.get("series", [])
        return self._usage(found, label)

    def stop(self) -> GpuTelemetry:
        """End the sampler, within 15 s whatever happens to it, and return the whole run. The same when called again."""
        if self._telemetry is None:
            found = self._ask("stop")
            if self._child is not None:
                self._child.end()
                self._child = None
            self._telemetry = GpuTelemetry(
                usage=self._usage(found, None),
                unavailable=self.unavailable,
                driver_version=self._versions.get("driver_version"),
                cuda_version=self._versions.get("cuda_version"),
                interval_ms=self.interval_ms,
                achieved_interval_ms=found.get("achieved_interval_ms"),
                longest_gap_ms=found.get("longest_gap_ms"),
                n_samples=found.get("n_samples", 0),
                sampler_cpu_share=found.get("cpu_share"),
            )
        return self._telemetry

    def __enter__(self) -> GpuMemoryMonitor:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _ask(self, what: str, **more: Any) -> dict[str, Any]:
        """The sampler's answer; an empty one when there is no sampler, or no longer."""
        if self._child is None:
            return {}
        try:
            self._child.say({"do": what, **more})
            return self._child.answer(_ANSWER_LIMIT_S)
        except ChildSilent as error:
            self._give_up(f"the sampler was lost ({error}): its figures are n/a")
            return {}

    def _give_up(self, reason: str) -> None:
        self.unavailable = reason
        self._warnings.append(reason)
        if self._child is not None:
            self._child.end()
            self._child = None

    def _usage(self, found: dict[str, Any], label: str | None) -> GpuUsage:
        return GpuUsage.over(
            [DeviceUsage.from_dict(device) for device in found.get("devices", ())],
            label=label,
            duration_s=found.get("duration_s"),
            host_peak_rss_bytes=found.get("host_peak_rss_bytes"),
            warnings=[*found.get("warnings", ()), *self._warnings],
        )


def _listed(name: str, values: Sequence[int] | str) -> str:
    """Numbers as the sampler's command line takes them."""
    if values == "all":
        return "all"
    if isinstance(values, str) or not values or any(isinstance(v, bool) or int(v) != v or v < 0 for v in values):
        raise UsageError(f'{name}: expected a list of whole numbers from 0, or "all", got {values!r}')
    return ",".join(str(int(value)) for value in values)
