"""Units: nanoseconds are what is stored; only this file knows the factors between ns and what people read."""

from __future__ import annotations

__all__ = ["NS_PER_MS", "NS_PER_S", "NS_PER_US", "ms_to_ns", "ns_to_ms", "ns_to_s", "ns_to_us", "per_s", "s_to_ns"]

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


def ns_to_us(value_ns: float) -> float:
    """Nanoseconds -> microseconds."""
    return float(value_ns) / NS_PER_US


def ns_to_ms(value_ns: float) -> float:
    """Nanoseconds -> milliseconds."""
    return float(value_ns) / NS_PER_MS


def ns_to_s(value_ns: float) -> float:
    """Nanoseconds -> seconds."""
    return float(value_ns) / NS_PER_S


def ms_to_ns(value_ms: float) -> int:
    """Milliseconds -> whole nanoseconds, rounded to the nearest."""
    return round(value_ms * NS_PER_MS)


def s_to_ns(value_s: float) -> int:
    """Seconds -> whole nanoseconds, rounded to the nearest."""
    return round(value_s * NS_PER_S)


def per_s(count: float, duration_ns: float) -> float:
    """A count over a duration in ns -> a rate per second; the duration must be positive."""
    return count / ns_to_s(duration_ns)
