"""Numbers of another tool's JSON that cannot be compared: not finite, below 0, no numbers, or in seconds."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tokenclock.compare.gather import Sides
from tokenclock.plan_checks import shown
from tokenclock.readers.foreign import number

__all__ = ["left_out", "lines_of_left_out"]

_METRIC = re.compile(
    r"ttft|tpot|itl|e2el|e2e_latency|time_to_first_token|inter_token_latency|inter_chunk_latency|request_latency"
    r"|throughput|goodput"
)
_STATISTIC = re.compile(r"(avg|average|mean|median|p\d+(\.\d+)?)")
_IN_SECONDS = re.compile(r"(avg|average|mean|median|p\d+(\.\d+)?)_\w+_s")
_ASKED = ("input_config", "config", "plan", "engine")  # what was asked for, not what came of it
_MOST = 4  # keys named of one file


def lines_of_left_out(sides: Sides) -> list[str]:
    """One line for each file of another tool that has such numbers."""
    paths = dict.fromkeys(run.path for runs in sides.values() for run in runs if run.own is None)
    lines = []
    for path in paths:
        if found := left_out(path):
            more = f" and {len(found) - _MOST} more" if len(found) > _MOST else ""
            lines.append(f"{path}: left out {', '.join(found[:_MOST])}{more}")
    return lines


def left_out(path: Path) -> list[str]:
    """Such numbers of a file, by key, with what is wrong with each; empty where it is no JSON."""
    if path.suffix not in (".json", ".jsonl"):
        return []
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return []
    return list(dict.fromkeys(said for value in _values(text) for said in _bad(value, ())))


def _values(text: str) -> list[Any]:
    for parts in ([text], text.splitlines()):
        try:
            return [json.loads(part) for part in parts if part.strip()]
        except (ValueError, RecursionError):
            continue
    return []


def _bad(value: Any, path: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if path or key not in _ASKED:
                yield from _bad(inner, (*path, str(key)))
    elif value is not None and not isinstance(value, (list, bool)) and _is_compared(path):
        found = number(value)
        if found is None:
            yield f"{'.'.join(path)} ({_said(value)})"
        elif found < 0:
            yield f"{'.'.join(path)} ({found:g}, below 0)"
        elif _IN_SECONDS.fullmatch(path[-1]):
            yield f"{'.'.join(path)} (in seconds; keys in ms are read)"


def _is_compared(path: Sequence[str]) -> bool:
    """Whether a key is a mean, a percentile or a rate; spreads are not compared."""
    last = path[-1] if path else ""
    if last.startswith("std"):
        return False
    named = _METRIC.search(last) is not None
    return named or (_STATISTIC.fullmatch(last) is not None and _METRIC.search(".".join(path)) is not None)


def _said(value: Any) -> str:
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else "infinite"
    return f"no number: {shown(value)}"
