"""Where a run took place: collected, never guessed. What cannot be read is None. Quick: under 50 ms without a GPU."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from tokenclock.device.facts import collect_facts

__all__ = ["collect", "git_commit", "tool_version"]

_CPU = Path("/sys/devices/system/cpu")


def collect(packages: Sequence[str] = ()) -> dict[str, Any]:
    """Facts about this machine and the software on it, ready for JSON.

    Args:
        packages: names of distributions whose versions are wanted beside our own; None for one that is not there.
    """
    return {
        "host": platform.node(),
        "os": _os_name(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpu_model": _cpu_model(),
        "cpus_online": os.cpu_count(),
        "cpus_allowed": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "cpu_governor": _read(_CPU / "cpu0/cpufreq/scaling_governor"),
        "cpu_turbo_off": _read(_CPU / "intel_pstate/no_turbo"),
        "clock_source": _read(Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")),
        "memory_bytes": _memory_bytes(),
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "python_compiler": platform.python_compiler(),
        "versions": {name: _version(name) for name in ("tokenclock", "numpy", "tokenizers", *packages)},
        "core": _core_info(),
        "git_commit": git_commit(Path.cwd()),
        "gpu": collect_facts(),
    }


def tool_version() -> str | None:
    """Version of tokenclock as installed."""
    return _version("tokenclock")


def git_commit(directory: Path) -> str | None:
    """Commit that is checked out around a directory, None outside a repository or where git keeps it another way."""
    for folder in (directory, *directory.parents):
        place = folder / ".git"
        if place.is_file():  # a work tree points at its repository
            text = _read(place) or ""
            place = folder / text.removeprefix("gitdir:").strip()
        if not place.is_dir():
            continue
        head = _read(place / "HEAD") or ""
        if not head.startswith("ref:"):
            return head or None
        name = head.removeprefix("ref:").strip()
        common = place / (_read(place / "commondir") or ".")
        return _read(place / name) or _read(common / name) or _packed_ref(common, name)
    return None


def _packed_ref(repository: Path, name: str) -> str | None:
    lines = (_read(repository / "packed-refs") or "").splitlines()
    return next((line.split()[0] for line in lines if line.endswith(f" {name}")), None)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None


def _os_name() -> str | None:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME")
    except OSError:
        return platform.system() or None


def _cpu_model() -> str | None:
    for line in (_read(Path("/proc/cpuinfo")) or "").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or None


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _core_info() -> dict[str, Any] | None:
    """Compiler and features of the native module, where it is loaded (loading it is not this file's to decide)."""
    core = sys.modules.get("tokenclock._core")
    return dict(core.build_info()) if core is not None else None
