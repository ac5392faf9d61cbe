"""Version 2: baselines that stay until another is accepted."""

from __future__ import annotations

__all__ = ["STATEMENTS"]

STATEMENTS: tuple[str, ...] = (
    """CREATE TABLE pins (
        pin_key TEXT NOT NULL, metric TEXT NOT NULL, pinned_values TEXT NOT NULL, run_ids TEXT NOT NULL,
        accepted_us {INT} NOT NULL, reason TEXT NOT NULL, accepted_by TEXT NOT NULL, PRIMARY KEY (pin_key, metric))""",
    "UPDATE tokenclock_schema SET version = 2",
)
