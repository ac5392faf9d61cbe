"""Conditions of a block of tests: terms, ranges and wildcards over the facts of a machine."""

from __future__ import annotations

import difflib
import fnmatch
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tokenclock.errors import UsageError

__all__ = ["FACTS", "Condition", "parse_condition"]

FACTS: Mapping[str, type] = {
    "gpu": str, "system_gpu_count": float, "gpu_memory": float, "compute_capability": float, "supports_fp8": bool,
    "supports_fp4": bool, "cpu": str, "cpu_count": float, "os": str, "hostname": str,
}  # fmt: skip
"""What machines tell of themselves (`machine_facts`), and of which kind it is; float: a number."""

_RANGES: Mapping[str, Callable[[float, float], bool]] = {
    "gte": operator.ge, "gt": operator.gt, "lte": operator.le, "lt": operator.lt,
}  # fmt: skip
_KINDS = ("terms", "ranges", "wildcards")


@dataclass(frozen=True)
class Condition:
    """All of its parts must hold. A fact that the machine does not tell fulfils nothing.

    Args:
        terms: fact -> value that it must equal, text without regard to case.
        ranges: fact -> ``gte``, ``gt``, ``lte``, ``lt`` -> limit.
        wildcards: fact -> patterns, of which any must match, without regard to case.
    """

    terms: Mapping[str, bool | int | float | str] = field(default_factory=dict)
    ranges: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    wildcards: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def strange(self) -> tuple[str, ...]:
        """Facts that no machine tells: such a condition holds nowhere."""
        return tuple(name for part in (self.terms, self.ranges, self.wildcards) for name in part if name not in FACTS)

    @property
    def is_empty(self) -> bool:
        """It holds on every machine."""
        return not (self.terms or self.ranges or self.wildcards)

    def holds(self, facts: Mapping[str, Any]) -> bool:
        """Whether a machine with these facts fulfils it."""
        return (
            all(_equal(facts.get(name), value) for name, value in self.terms.items())
            and all(_within(facts.get(name), limits) for name, limits in self.ranges.items())
            and all(_matches(facts.get(name), patterns) for name, patterns in self.wildcards.items())
        )


def _equal(fact: Any, value: bool | int | float | str) -> bool:
    if fact is None or isinstance(fact, bool) != isinstance(value, bool):
        return False
    if isinstance(value, str) or isinstance(fact, str):
        return str(fact).lower() == str(value).lower()
    return bool(fact == value)


def _within(fact: Any, limits: Mapping[str, float]) -> bool:
    if isinstance(fact, bool) or not isinstance(fact, (int, float)):
        return False
    return all(_RANGES[name](fact, limit) for name, limit in limits.items())


def _matches(fact: Any, patterns: tuple[str, ...]) -> bool:
    return fact is not None and any(fnmatch.fnmatchcase(str(fact).lower(), pattern.lower()) for pattern in patterns)


def parse_condition(data: Any, place: str) -> Condition:
    """A condition as the YAML says it; none holds everywhere.

    Raises:
        UsageError: a part is of the wrong kind; begins with `place`.
    """
    parts = _mapping({} if data is None else data, place)
    for kind in parts:
        if kind not in _KINDS:
            close = difflib.get_close_matches(str(kind), _KINDS, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise UsageError(f"{place} must hold {', '.join(_KINDS)}, got {kind}{hint}")
    terms = _facts(parts, "terms", place)
    for name, value in terms.items():
        if not isinstance(value, (bool, int, float, str)):
            raise UsageError(f"{place}.terms.{name} must be one value, got {_said(value)}")
        if (FACTS.get(name) is bool) != isinstance(value, bool) and name in FACTS:
            expected = "true or false" if FACTS[name] is bool else "a number" if FACTS[name] is float else "a text"
            raise UsageError(f"{place}.terms.{name} must be {expected}, got {_said(value)}")
    ranges = _facts(parts, "ranges", place)
    for name in ranges:
        if FACTS.get(name, float) is not float:
            raise UsageError(f"{place}.ranges.{name} has no order: use terms or wildcards")
    wildcards = _facts(parts, "wildcards", place)
    return Condition(
        terms,
        {name: _limits(value, f"{place}.ranges.{name}") for name, value in ranges.items()},
        {name: _patterns(value, f"{place}.wildcards.{name}") for name, value in wildcards.items()},
    )


def _facts(parts: Mapping[str, Any], kind: str, place: str) -> dict[str, Any]:
    """One kind of a condition; a name that is nearly that of a fact is a slip."""
    found = _mapping(parts.get(kind) or {}, f"{place}.{kind}")
    for name in found:
        close = [] if name in FACTS else difflib.get_close_matches(name, FACTS, n=1, cutoff=0.75)
        if close:
            raise UsageError(f"{place}.{kind} names {name}, which no machine tells; did you mean {close[0]}?")
    return found


def _limits(value: Any, place: str) -> dict[str, float]:
    limits = _mapping(value, place)
    if not limits:
        raise UsageError(f"{place} must hold gte, gt, lte or lt, got nothing")
    for name, limit in limits.items():
        if name not in _RANGES:
            raise UsageError(f"{place} must hold gte, gt, lte or lt, got {name}")
        if isinstance(limit, bool) or not isinstance(limit, (int, float)):
            raise UsageError(f"{place}.{name} must be a number, got {_said(limit)}")
    return limits


def _patterns(value: Any, place: str) -> tuple[str, ...]:
    patterns = [value] if isinstance(value, str) else value
    if not isinstance(patterns, list) or not patterns or not all(isinstance(one, str) for one in patterns):
        raise UsageError(f"{place} must be a list of patterns such as '*h100*', got {_said(value)}")
    return tuple(patterns)


def _mapping(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise UsageError(f"{place} must be a mapping of names, got {_said(value)}")
    return dict(value)


def _said(value: Any) -> str:
    return f"{type(value).__name__} {str(value)[:60]}"
