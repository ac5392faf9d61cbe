"""NVML by NVIDIA's own Python package, asked quantity by quantity. Imported in child processes only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tokenclock.device.visible import HostGpu

__all__ = ["REASONS", "DeviceLost", "Gpu", "NotTold", "Nvml", "NvmlUnavailable", "cuda_version_text", "reason_names"]

REASONS = {
    0x1: "gpu_idle",
    0x2: "applications_clocks_setting",
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake_slowdown",
    0x100: "display_clock_setting",
}
"""Why clocks are below their highest: bit of NVML -> name as nvidia-smi has it."""


class NvmlUnavailable(Exception):
    """There is nothing to ask; the text says why, and what to do."""


class NotTold(Exception):
    """This device will never tell this quantity: not supported, or not permitted."""


class DeviceLost(Exception):
    """The GPU answers nothing any more."""


def cuda_version_text(number: int | None) -> str | None:
    """12040 -> "12.4"."""
    return None if number is None else f"{number // 1000}.{number % 1000 // 10}"


def reason_names(mask: int) -> list[str]:
    """Names of the bits that are set; a bit without a name is told by its number."""
    bits = [1 << k for k in range(mask.bit_length()) if mask >> k & 1]
    return [REASONS.get(bit, f"{bit:#x}") for bit in bits]


class Nvml:
    """NVML as long as the process lives.

    Raises:
        NvmlUnavailable: the package, the library or the driver is missing, or refuses.
    """

    def __init__(self) -> None:
        try:
            import pynvml
        except ImportError as error:
            raise NvmlUnavailable("NVML needs nvidia-ml-py: pip install 'tokenclock[gpu]'") from error
        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError_LibraryNotFound as error:
            raise NvmlUnavailable(
                "no NVML (libnvidia-ml.so.1) on this machine: install the NVIDIA driver, or hand the GPUs to the "
                "container (docker run --gpus all)"
            ) from error
        except pynvml.NVMLError as error:
            raise NvmlUnavailable(f"NVML does not start: {error}; see what nvidia-smi says") from error
        self.problems: list[str] = []  # of GPUs that could not be opened
        self.gpus = list(self._open_gpus())
        if not self.gpus:
            raise NvmlUnavailable("; ".join(self.problems) or "NVML lists no GPU; see what nvidia-smi says")

    @property
    def driver_version(self) -> str | None:
        """Such as ``550.54.15``."""
        found: str | None = self._or_none(self._nvml.nvmlSystemGetDriverVersion)
        return found

    @property
    def cuda_version(self) -> str | None:
        """The CUDA version that the driver can run, such as ``12.4``."""
        return cuda_version_text(self._or_none(self._nvml.nvmlSystemGetCudaDriverVersion))

    def host_gpus(self) -> list[HostGpu]:
        """All GPUs, in the form that CUDA_VISIBLE_DEVICES is read against."""
        return [HostGpu(gpu.index, gpu.uuid, tuple(part.uuid for part in gpu.slices), gpu.is_mig) for gpu in self.gpus]

    def _or_none(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except self._nvml.NVMLError:
            return None

    def _open_gpus(self) -> Iterator[Gpu]:
        for index in range(self._or_none(self._nvml.nvmlDeviceGetCount) or 0):
            try:
                handle = self._nvml.nvmlDeviceGetHandleByIndex(index)
                uuid = self._nvml.nvmlDeviceGetUUID(handle)
            except self._nvml.NVMLError as error:
                self.problems.append(f"GPU {index} cannot be opened: {error}")
                continue
            mode = self._or_none(self._nvml.nvmlDeviceGetMigMode, handle)
            is_mig = mode is not None and mode[0] == 1
            yield Gpu(self._nvml, index, handle, uuid, is_mig, tuple(self._slices(index, handle)) if is_mig else ())

    def _slices(self, index: int, handle: Any) -> Iterator[Gpu]:
        for place in range(self._or_none(self._nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
            part = self._or_none(self._nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, place)
            uuid = None if part is None else self._or_none(self._nvml.nvmlDeviceGetUUID, part)
            if uuid is not None:
                yield Gpu(self._nvml, index, part, uuid, True, is_slice=True)


@dataclass(frozen=True)
class Gpu:
    """A GPU, or a MIG slice of one. Each method raises NotTold, DeviceLost, or pynvml's NVMLError for the moment."""

    nvml: Any
    index: int
    handle: Any
    uuid: str
    is_mig: bool
    slices: tuple[Gpu, ...] = ()
    is_slice: bool = False

    def name(self) -> str:
        """Such as ``NVIDIA H100 80GB HBM3``."""
        return str(self._ask("nvmlDeviceGetName"))

    def memory(self) -> tuple[int, int]:
        """Bytes in use (what the driver keeps for itself left out where it tells) and in all."""
        try:
            found = self._ask("nvmlDeviceGetMemoryInfo", self.nvml.nvmlMemory_v2)
        except NotTold:  # drivers before 510
            found = self._ask("nvmlDeviceGetMemoryInfo")
        return int(found.used), int(found.total)

    def processes(self) -> dict[int, int | None]:
        """Process id -> bytes it holds here; None where NVML does not tell how many."""
        try:
            listed = self._ask("nvmlDeviceGetComputeRunningProcesses")
        except self.nvml.NVMLLibraryMismatchError:  # drivers before 510
            listed = self._ask("nvmlDeviceGetComputeRunningProcesses_v2")
        held: dict[int, int | None] = {}
        for entry in listed:
            before, more = held.get(entry.pid, 0), entry.usedGpuMemory  # listed once for each of its instances
            held[int(entry.pid)] = None if before is None or more is None else before + int(more)
        return held

    def power_w(self) -> float:
        """Power drawn; NVML averages over about a second on newer GPUs."""
        return float(self._ask("nvmlDeviceGetPowerUsage")) / 1e3

    def energy_j(self) -> float:
        """Energy used since the driver was loaded."""
        return float(self._ask("nvmlDeviceGetTotalEnergyConsumption")) / 1e3

    def sm_mhz(self) -> float:
        """Clock of the multiprocessors."""
        return float(self._ask("nvmlDeviceGetClockInfo", self.nvml.NVML_CLOCK_SM))

    def memory_mhz(self) -> float:
        """Clock of the memory."""
        return float(self._ask("nvmlDeviceGetClockInfo", self.nvml.NVML_CLOCK_MEM))

    def temperature_c(self) -> float:
        """Temperature of the chip."""
        return float(self._ask("nvmlDeviceGetTemperature", self.nvml.NVML_TEMPERATURE_GPU))

    def utilization_percent(self) -> float:
        """Share of the driver's last period (a sixth of a second to a second) in which a kernel ran, 0 to 100."""
        return float(self._ask("nvmlDeviceGetUtilizationRates").gpu)

    def throttle_mask(self) -> int:
        """Why clocks are below their highest, as bits; see REASONS."""
        try:
            return int(self._ask("nvmlDeviceGetCurrentClocksEventReasons"))
        except NotTold:  # the name in drivers before 535
            return int(self._ask("nvmlDeviceGetCurrentClocksThrottleReasons"))

    def facts(self) -> dict[str, Any]:
        """What stands still during a run, JSON-ready; None where not told."""
        limit_w = self._fact("nvmlDeviceGetEnforcedPowerLimit")
        capability = self._fact("nvmlDeviceGetCudaComputeCapability")
        persistence = self._fact("nvmlDeviceGetPersistenceMode")
        mask = self.or_none(self.throttle_mask)
        memory = self.or_none(self.memory)
        return {
            "index": self.index,
            "uuid": self.uuid,
            "name": self.or_none(self.name),
            "mig": self.is_mig,
            "compute_cap": None if capability is None else "sm{}{}".format(*capability),
            "memory_bytes": None if memory is None else memory[1],
            "power_limit_w": None if limit_w is None else limit_w / 1e3,
            "sm_mhz": self.or_none(self.sm_mhz),
            "sm_max_mhz": self._fact("nvmlDeviceGetMaxClockInfo", self.nvml.NVML_CLOCK_SM),
            "memory_mhz": self.or_none(self.memory_mhz),
            "memory_max_mhz": self._fact("nvmlDeviceGetMaxClockInfo", self.nvml.NVML_CLOCK_MEM),
            "temperature_c": self.or_none(self.temperature_c),
            "throttle_reasons": None if mask is None else reason_names(mask),
            "persistence_mode": None if persistence is None else bool(persistence),
        }

    def or_none(self, quantity: Callable[[], Any]) -> Any:
        """What `quantity` gives, None where it is not told now."""
        try:
            return quantity()
        except (NotTold, DeviceLost, self.nvml.NVMLError):
            return None

    def _fact(self, function: str, *arguments: Any) -> Any:
        return self.or_none(lambda: self._ask(function, *arguments))

    def _ask(self, function: str, *arguments: Any) -> Any:
        nvml = self.nvml
        try:
            return getattr(nvml, function)(self.handle, *arguments)
        except nvml.NVMLError as error:
            text = f"{function}: {error}"
            if error.value in (
                nvml.NVML_ERROR_NOT_SUPPORTED,
                nvml.NVML_ERROR_NO_PERMISSION,
                nvml.NVML_ERROR_FUNCTION_NOT_FOUND,
                nvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
                nvml.NVML_ERROR_INVALID_ARGUMENT,
            ):
                raise NotTold(text) from error
            if error.value in (
                nvml.NVML_ERROR_GPU_IS_LOST,
                nvml.NVML_ERROR_RESET_REQUIRED,
                nvml.NVML_ERROR_DRIVER_NOT_LOADED,
                nvml.NVML_ERROR_UNINITIALIZED,
            ):
                raise DeviceLost(text) from error
            raise
