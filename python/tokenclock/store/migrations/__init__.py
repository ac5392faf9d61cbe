"""How a database comes from each version of the schema to the next, keeping what it holds. One file a version."""

from __future__ import annotations

from tokenclock.store.migrations import version_1, version_2

__all__ = ["NEWEST", "STEPS", "statements"]

STEPS: tuple[tuple[str, ...], ...] = (version_1.STATEMENTS, version_2.STATEMENTS)
"""The n-th leads from version n to version n + 1; version 0 is an empty database. Steps that users have are final."""

NEWEST = len(STEPS)

_TYPES = {
    "sqlite": {"{INT}": "BIGINT", "{REAL}": "FLOAT", "{BLOB}": "BLOB", "{CLUSTERED}": " WITHOUT ROWID"},
    "postgresql": {"{INT}": "BIGINT", "{REAL}": "DOUBLE PRECISION", "{BLOB}": "BYTEA", "{CLUSTERED}": ""},
}


def statements(dialect: str, version: int) -> list[str]:
    """SQL that leads from `version` to the newest.

    Args:
        dialect: ``sqlite`` or ``postgresql``.
        version: 0 to ``NEWEST``.
    """
    found = [statement for step in STEPS[version:] for statement in step]
    for mark, word in _TYPES[dialect].items():
        found = [statement.replace(mark, word) for statement in found]
    return found
