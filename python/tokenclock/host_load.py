"""How busy the whole machine was between two instants, as the kernel counts it in /proc/stat."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["HostLoad", "host_load"]

_STAT = Path("/proc/stat")
_FIELDS = 8  # user nice system idle iowait irq softirq steal; user holds those of guests, which follow
_IDLE, _IOWAIT, _STEAL = 3, 4, 7
_FEWEST_TICKS = 20  # the kernel counts in ticks of 10 ms: of fewer a share says nothing


@dataclass(frozen=True)
class HostLoad:
    """Ticks of all cores since boot; empty where the system does not say."""

    ticks: tuple[int, ...] = ()

    def until(self, later: HostLoad) -> dict[str, Any]:
        """Shares 0..1 of the cores' time since then: ``busy_share`` (with steal) and ``steal_share``; None = unknown.

        Steal is what a hypervisor gave to other machines while this one had work.
        """
        spent = [after - before for before, after in zip(self.ticks, later.ticks, strict=False)]
        total = sum(spent)
        if len(spent) < _FIELDS or total < _FEWEST_TICKS:
            return {"busy_share": None, "steal_share": None}
        idle = spent[_IDLE] + spent[_IOWAIT]
        return {"busy_share": 1.0 - idle / total, "steal_share": spent[_STEAL] / total}


def host_load(path: Path = _STAT) -> HostLoad:
    """The counters now."""
    try:
        first = path.read_text(encoding="ascii").partition("\n")[0].split()
        return HostLoad(tuple(int(text) for text in first[1 : _FIELDS + 1])) if first[:1] == ["cpu"] else HostLoad()
    except (OSError, ValueError):
        return HostLoad()
