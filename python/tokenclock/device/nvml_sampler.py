"""The process that looks at the GPUs and at the host's memory, every few ms, until its standard input ends.

``python -m tokenclock.device.nvml_sampler``, started by `gpu_memory.GpuMemoryMonitor`. One line of JSON comes out when
it is ready, and one for each line that goes in (``begin``, ``end``, ``mark_loaded``, ``stop``).
"""

from __future__ import annotations

import argparse
import json
import os
import select
import time
from collections.abc import Callable, Sequence
from typing import Any

from tokenclock.device.host_memory import descendants, process_name, rss_bytes
from tokenclock.device.nvml import DeviceLost, Gpu, NotTold, Nvml, NvmlUnavailable, reason_names
from tokenclock.device.series import DeviceSeries
from tokenclock.device.visible import visible_devices
from tokenclock.device.window import DeviceSample, DeviceWindow, HostWindow

__all__ = ["Sampler", "main"]

_SLOW_INTERVAL_NS = 100_000_000  # power, clocks, temperature: devices renew them no faster
_FAMILY_INTERVAL_NS = 1_000_000_000  # who the children are
_REST = 3  # at least three times as long as a look took: never more than a quarter of one core
_NICE = 10  # the measured processes go first


class _Meter:
    """One GPU: looks at it, remembers what it does not tell, and keeps its windows."""

    def __init__(self, gpu: Gpu, warn: Callable[[str], None]) -> None:
        self._gpu = gpu
        self._warn = warn
        self._untold: set[str] = set()
        self._is_lost = False
        self.label = f"GPU {gpu.index}" + (f" ({gpu.uuid})" if gpu.is_slice else "")
        memory = gpu.or_none(gpu.memory)
        self.facts = {
            "index": gpu.index,
            "uuid": gpu.uuid,
            "name": gpu.or_none(gpu.name),
            "memory_bytes": None if memory is None else memory[1],
        }
        self.run = DeviceWindow()
        self.case: DeviceWindow | None = None
        self.series: DeviceSeries | None = None
        self.loaded: dict[str, int | None] = {}
        if gpu.is_slice:  # asked of a slice, NVML would answer with an error each
            self._untold |= {"power_w", "energy_j", "sm_mhz", "memory_mhz", "temperature_c", "throttle_mask"}
            self._untold.add("utilization_percent")
            warn(f"{self.label} is a MIG slice: power, energy, clocks and temperature are of the whole GPU: n/a")

    def look(self, t_ns: int, followed: frozenset[int] | None, *, slow: bool) -> DeviceSample:
        sample = DeviceSample(
            t_ns,
            used_bytes=self._read("memory", lambda: self._gpu.memory()[0]),
            processes=self._read("processes", self._gpu.processes),
            power_w=self._read("power_w", self._gpu.power_w) if slow else None,
            energy_j=self._read("energy_j", self._gpu.energy_j) if slow else None,
            sm_mhz=self._read("sm_mhz", self._gpu.sm_mhz) if slow else None,
            memory_mhz=self._read("memory_mhz", self._gpu.memory_mhz) if slow else None,
            temperature_c=self._read("temperature_c", self._gpu.temperature_c) if slow else None,
            throttle_reasons=self._read("throttle_mask", lambda: reason_names(self._gpu.throttle_mask()))
            if slow
            else None,
            utilization_percent=self._read("utilization_percent", self._gpu.utilization_percent)
            if slow and self.series is not None
            else None,
        )
        if self.series is not None:
            self.series.add(sample)
        for window in (self.run, self.case):
            if window is not None:
                window.add(sample, followed)
                window.lost |= self._is_lost
        return sample

    def _read(self, quantity: str, ask: Callable[[], Any]) -> Any:
        if self._is_lost or quantity in self._untold:
            return None
        try:
            return ask()
        except NotTold as error:
            self._untold.add(quantity)
            self._warn(f"{self.label} does not tell {quantity} ({error}): n/a")
        except DeviceLost as error:
            self._is_lost = True
            self._warn(f"{self.label} fell off the bus ({error}): its figures are n/a; see what nvidia-smi says")
        except self._gpu.nvml.NVMLError as error:  # of this moment: the next look may do better
            self._warn(f"{self.label}: {quantity} could not be read at times ({error})")
        return None

    def figures(self, window: DeviceWindow) -> dict[str, Any]:
        found = {**self.facts, **window.figures()}
        if not window.lost:
            found |= self.loaded
            names = {pid: process_name(pid) for pid in found["process_peaks"]}
            found["process_names"] = {pid: name for pid, name in names.items() if name is not None}
        return found


class Sampler:
    """Meters of all GPUs and of the host.

    Args:
        gpus: to look at; may be none.
        roots: process ids whose memory counts, with that of their children; None: everybody's on the GPUs, and no
            host memory.
        warnings: already known ones.
    """

    def __init__(self, gpus: Sequence[Gpu], roots: Sequence[int] | None, warnings: Sequence[str] = ()) -> None:
        self._warnings = list(warnings)
        self._meters = [_Meter(gpu, self._warn) for gpu in gpus]
        self._roots = roots
        self._host_run, self._host_case = HostWindow(), None if roots is None else HostWindow()
        self._followed: frozenset[int] | None = None
        self._t_family_ns = self._t_slow_ns = 0
        self._t_first_ns = self._t_last_ns = 0
        self._t_case_ns = 0
        self._longest_gap_ns = 0
        self._cpu_first_s = 0.0
        self._n_looks = 0
        self._is_listed = False
        self.devices = [meter.facts for meter in self._meters]

    def _warn(self, text: str) -> None:
        if text not in self._warnings:
            self._warnings.append(text)

    def look(self, *, everything: bool = False) -> list[DeviceSample]:
        """One look at everything that is due; `everything`: due or not."""
        t_ns = time.perf_counter_ns()
        if self._n_looks:
            self._longest_gap_ns = max(self._longest_gap_ns, t_ns - self._t_last_ns)
        else:
            self._t_first_ns, self._cpu_first_s = t_ns, time.process_time()
        self._t_last_ns = t_ns
        self._n_looks += 1
        if self._roots is not None and (everything or t_ns >= self._t_family_ns):
            self._followed = descendants(self._roots, without=(os.getpid(),))
            took_ns = time.perf_counter_ns() - t_ns
            self._t_family_ns = t_ns + max(_FAMILY_INTERVAL_NS, 100 * took_ns)
        slow = everything or t_ns >= self._t_slow_ns
        if slow:
            self._t_slow_ns = t_ns + _SLOW_INTERVAL_NS
        samples = [meter.look(time.perf_counter_ns(), self._followed, slow=slow) for meter in self._meters]
        self._is_listed |= any(sample.process_bytes(self._followed) is not None for sample in samples)
        if self._followed is not None:
            held = rss_bytes(self._followed)
            self._host_run.add(held)
            if self._host_case is not None:
                self._host_case.add(held)
        return samples

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """Do what a line asks for. Each begins with a look, so that no window is empty."""
        what = message.get("do")
        if what == "begin":
            self._t_case_ns = time.perf_counter_ns()
            self._host_case = HostWindow()
            for meter in self._meters:
                meter.case = DeviceWindow()
                meter.series = DeviceSeries() if message.get("series") else None
            self.look(everything=True)
            return {"begun": True}
        samples = self.look(everything=True)
        if what == "mark_loaded":
            for meter, sample in zip(self._meters, samples, strict=True):
                meter.loaded = {
                    "weights_bytes": sample.process_bytes(self._followed),
                    "loaded_device_bytes": sample.used_bytes,
                }
            return {"marked": True}
        if what == "end":
            found = self._figures([meter.case for meter in self._meters], self._host_case, self._t_case_ns)
            found["series"] = [
                {"index": meter.facts["index"], "uuid": meter.facts["uuid"], **told}
                for meter in self._meters
                if meter.series is not None and (told := meter.series.figures()) is not None
            ]
            for meter in self._meters:
                meter.case = meter.series = None
            self._host_case = None
            return found
        if self._meters and self._roots is not None and not self._is_listed:
            self._warn(
                "NVML lists none of the processes measured: they used no GPU, or it knows them by other numbers (in a "
                "container, share the host's: docker run --pid=host); memory per process: n/a"
            )
        return {**self._figures([meter.run for meter in self._meters], self._host_run, self._t_first_ns), **self._own()}

    def _figures(
        self, windows: Sequence[DeviceWindow | None], host: HostWindow | None, t_start_ns: int
    ) -> dict[str, Any]:
        return {
            "devices": [
                meter.figures(window) for meter, window in zip(self._meters, windows, strict=True) if window is not None
            ],
            "host_peak_rss_bytes": None if host is None else host.peak_rss_bytes,
            "duration_s": (self._t_last_ns - t_start_ns) / 1e9,
            "warnings": self._warnings,
        }

    def _own(self) -> dict[str, Any]:
        """What sampling itself was and cost."""
        life_ns = self._t_last_ns - self._t_first_ns
        n_gaps = self._n_looks - 1
        return {
            "n_samples": self._n_looks,
            "achieved_interval_ms": life_ns / n_gaps / 1e6 if n_gaps else None,
            "longest_gap_ms": self._longest_gap_ns / 1e6 if n_gaps else None,
            "cpu_share": (time.process_time() - self._cpu_first_s) * 1e9 / life_ns if life_ns else None,
        }


def _serve(sampler: Sampler, interval_ns: int) -> None:
    """Look at every multiple of the interval that can be kept, and answer what comes in between."""
    poller = select.poll()
    poller.register(0, select.POLLIN)
    unread = b""
    t_due_ns = time.perf_counter_ns()
    while True:
        left_ns = t_due_ns - time.perf_counter_ns()
        if left_ns > 0 and poller.poll(max(1, left_ns // 1_000_000)):
            part = os.read(0, 65536)
            if not part:
                return
            unread += part
            *lines, unread = unread.split(b"\n")
            for line in lines:
                message = json.loads(line)
                _print(sampler.answer(message))
                if message.get("do") == "stop":
                    return
        t_ns = time.perf_counter_ns()
        if t_ns >= t_due_ns:
            sampler.look()
            t_end_ns = time.perf_counter_ns()
            earliest_ns = max(t_due_ns + interval_ns, t_end_ns + _REST * (t_end_ns - t_ns))
            t_due_ns += -(-(earliest_ns - t_due_ns) // interval_ns) * interval_ns


def _print(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


def _chosen(nvml: Nvml, devices: str) -> tuple[list[Gpu], list[str]]:
    """The GPUs that `devices` means (``all``, ``visible`` or CUDA's numbers), and what is to be said about it."""
    if devices == "all":
        return [part for gpu in nvml.gpus for part in (gpu, *gpu.slices)], nvml.problems
    by_uuid = {part.uuid: part for gpu in nvml.gpus for part in (gpu, *gpu.slices)}
    visible = visible_devices(os.environ.get("CUDA_VISIBLE_DEVICES"), nvml.host_gpus())
    warnings = list(nvml.problems)
    names = {gpu.or_none(gpu.name) for gpu in nvml.gpus}
    if len(names) > 1 and os.environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        warnings.append(
            "GPUs of several models: CUDA may number them in another order than NVML; set CUDA_DEVICE_ORDER=PCI_BUS_ID"
        )
    if devices == "visible":
        return [by_uuid[device.uuid] for device in visible], warnings
    numbers = [int(number) for number in devices.split(",")]
    absent = [number for number in numbers if number >= len(visible)]
    warnings += [f"there is no CUDA device {number}: {len(visible)} are visible" for number in absent]
    return [by_uuid[visible[number].uuid] for number in numbers if number < len(visible)], warnings


def main() -> None:
    """Sample until told to stop, or until standard input ends."""
    parser = argparse.ArgumentParser(description="Samples GPUs and host memory; the child of GpuMemoryMonitor.")
    parser.add_argument("--interval-ms", type=float, required=True)
    parser.add_argument("--devices", required=True, help="all, visible, or CUDA device numbers with commas")
    parser.add_argument("--pids", required=True, help="all, or process ids with commas")
    arguments = parser.parse_args()
    os.nice(_NICE)
    unavailable: str | None = None
    gpus: list[Gpu] = []
    warnings: list[str] = []
    versions: dict[str, str | None] = {}
    try:
        nvml = Nvml()
        gpus, warnings = _chosen(nvml, arguments.devices)
        versions = {"driver_version": nvml.driver_version, "cuda_version": nvml.cuda_version}
        if not gpus:
            visible = os.environ.get("CUDA_VISIBLE_DEVICES")
            unavailable = f"no GPU is visible to this process (CUDA_VISIBLE_DEVICES={visible})"
    except NvmlUnavailable as error:
        unavailable = str(error)
    roots = None if arguments.pids == "all" else [int(pid) for pid in arguments.pids.split(",")]
    sampler = Sampler(gpus, roots, warnings)
    sampler.look(everything=True)
    _print({"ready": True, "unavailable": unavailable, "devices": sampler.devices, "versions": versions})
    _serve(sampler, max(1, round(arguments.interval_ms * 1e6)))


if __name__ == "__main__":
    main()
