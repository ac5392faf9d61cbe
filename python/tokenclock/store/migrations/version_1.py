"""Version 1: runs, their tags, numbers and results."""

from __future__ import annotations

__all__ = ["STATEMENTS"]

STATEMENTS: tuple[str, ...] = (
    "CREATE TABLE tokenclock_schema (version INTEGER NOT NULL)",
    "INSERT INTO tokenclock_schema (version) VALUES (0)",
    """CREATE TABLE runs (
        id {INT} NOT NULL PRIMARY KEY, hash TEXT NOT NULL UNIQUE, created_us {INT} NOT NULL,
        kind TEXT NOT NULL, tool TEXT NOT NULL, tool_version TEXT NOT NULL, model TEXT NOT NULL, label TEXT NOT NULL,
        test TEXT NOT NULL, gpu TEXT NOT NULL, gpu_count INTEGER, host TEXT NOT NULL, concurrency INTEGER,
        request_rate {REAL}, batch_size INTEGER, isl {REAL}, osl {REAL}, backend TEXT NOT NULL, streaming BOOLEAN,
        state TEXT NOT NULL, source TEXT NOT NULL, content_hash TEXT)""",
    "CREATE INDEX runs_created ON runs (created_us)",
    "CREATE INDEX runs_model ON runs (model, created_us)",
    "CREATE INDEX runs_label ON runs (label, created_us)",
    "CREATE INDEX runs_test ON runs (test, created_us)",
    """CREATE TABLE tags (
        run_id {INT} NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (run_id, name)){CLUSTERED}""",
    "CREATE INDEX tags_value ON tags (name, value, run_id)",
    "CREATE TABLE metric_names (id INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL UNIQUE, unit TEXT NOT NULL)",
    """CREATE TABLE metrics (
        name_id INTEGER NOT NULL, run_id {INT} NOT NULL, value {REAL} NOT NULL, low {REAL}, high {REAL},
        PRIMARY KEY (name_id, run_id)){CLUSTERED}""",
    "CREATE INDEX metrics_run ON metrics (run_id)",
    "CREATE TABLE contents (hash TEXT NOT NULL PRIMARY KEY, content {BLOB} NOT NULL)",
    "UPDATE tokenclock_schema SET version = 1",
)
