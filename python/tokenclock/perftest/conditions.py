"""Conditions of a test database against what this machine is."""

from __future__ import annotations

import fnmatch
import functools
import os
import platform
from collections.abc import Mapping
from typing import Any

from tokenclock.errors import UsageError
from tokenclock.perftest.entries import near_matches

__all__ = ["KINDS", "holds", "machine_facts"]

KINDS = ("terms", "ranges", "wildcards")
_COMPARES = {
    "gte": lambda value, bound: value >= bound,
    "gt": lambda value, bound: value > bound,
    "lte": lambda value, bound: value <= bound,
    "lt": lambda value, bound: value < bound,
}


@functools.cache
def machine_facts() -> Mapping[str, Any]:
    """What conditions may ask for.

    ``gpu`` (name of the first, empty without one), ``system_gpu_count``, ``gpu_memory`` (MiB of the first),
    ``compute_capability``, ``supports_fp8`` (from 8.9 on), ``supports_fp4`` (from 10.0 on), ``cpu`` (architecture),
    ``os``, ``host``, ``cpu_count``.
    """
    from tokenclock.device.facts import collect_facts

    facts = collect_facts() or {"visible": [], "gpus": []}
    visible, gpus = facts["visible"], facts["gpus"]
    first = visible[0] if visible else {}
    capability = float(str(first.get("compute_cap") or 0))
    memory_bytes = next((gpu.get("memory_total_bytes") for gpu in gpus if gpu.get("memory_total_bytes")), 0)
    return {
        "gpu": str(first.get("name") or (gpus[0].get("name") if gpus else "") or ""),
        "system_gpu_count": len(visible or gpus),
        "gpu_memory": int(memory_bytes or 0) >> 20,
        "compute_capability": capability,
        "supports_fp8": capability >= 8.9,
        "supports_fp4": capability >= 10.0,
        "cpu": platform.machine(),
        "os": platform.system().lower(),
        "host": platform.node(),
        "cpu_count": os.cpu_count() or 1,
    }


def holds(condition: Any, facts: Mapping[str, Any], where: str) -> bool:
    """Whether a condition holds: all its kinds, and of each all its names. One that is absent always does.

    Args:
        condition: ``terms`` (equal), ``ranges`` (``gte``, ``gt``, ``lte``, ``lt``), ``wildcards`` (any glob).
        facts: of the machine.
        where: place in the file, for errors.

    Raises:
        UsageError: an unknown kind or name, or a value of the wrong kind.
    """
    if condition is None:
        return True
    kinds = _mapping(condition, f"{where}: condition", KINDS)
    met = True
    for kind, checks in kinds.items():
        for name, wanted in _mapping(checks, f"{where}: condition {kind}", facts).items():
            place = f"{where}: condition {kind}.{name}"
            met = _CHECKS[kind](facts[name], wanted, place) and met  # each is checked, also where one failed
    return met


def _mapping(value: Any, where: str, known: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UsageError(f"{where} must be names with values, got {value!r}")
    for name in value:
        if name not in known:
            near = near_matches(str(name), list(known))
            raise UsageError(f"{where} knows {', '.join(known)}, got {name}{near}")
    return value


def _term(fact: Any, wanted: Any, where: str) -> bool:
    if isinstance(wanted, (Mapping, list)) or isinstance(wanted, bool) != isinstance(fact, bool):
        expected = "true or false" if isinstance(fact, bool) else "a number" if _is_number(fact) else "a text"
        raise UsageError(f"{where} must be {expected}, got {wanted!r}")
    if isinstance(fact, str):
        return fact.lower() == str(wanted).lower()
    return bool(fact == wanted)


def _range(fact: Any, wanted: Any, where: str) -> bool:
    if not _is_number(fact):
        raise UsageError(f"{where} has no order: use terms or wildcards")
    bounds = _mapping(wanted, where, _COMPARES)
    for name, bound in bounds.items():
        if not _is_number(bound):
            raise UsageError(f"{where}.{name} must be a number, got {bound!r}")
    return all(_COMPARES[name](fact, bound) for name, bound in bounds.items())


def _wildcard(fact: Any, wanted: Any, where: str) -> bool:
    globs = [wanted] if isinstance(wanted, str) else wanted
    if not isinstance(globs, list) or not globs or not all(isinstance(glob, str) for glob in globs):
        raise UsageError(f"{where} must be patterns such as ['*h100*'], got {wanted!r}")
    return any(fnmatch.fnmatchcase(str(fact).lower(), glob.lower()) for glob in globs)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_CHECKS = {"terms": _term, "ranges": _range, "wildcards": _wildcard}
