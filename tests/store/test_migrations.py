"""Histories that earlier versions made open and keep what they hold; newer ones are refused."""

from __future__ import annotations

import math
import sqlite3
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest
from sqlalchemy import inspect
from tests.store.synthetic import synthetic_history, synthetic_runs

from tokenclock.errors import UsageError
from tokenclock.store import engine
from tokenclock.store.database import open_database
from tokenclock.store.filter import Filter
from tokenclock.store.migrations import NEWEST, STEPS
from tokenclock.store.record import Added, MetricValue, Pin
from tokenclock.store.tables import METADATA

HERE = Path(__file__).parent


def make_old(place: str, version: int) -> None:
    """A history as that version made it, from its stored SQL."""
    kind = "postgresql" if "://" in place else "sqlite"
    script = (HERE / f"version_{version}.{kind}.sql").read_text()
    if kind == "sqlite":
        connection = sqlite3.connect(place)
        connection.executescript(script)
        connection.close()
        return
    import psycopg

    with psycopg.connect(place) as server:
        server.execute(script.encode())


def set_version(place: str, version: int) -> None:
    if "://" not in place:
        connection = sqlite3.connect(place)
        connection.execute("UPDATE tokenclock_schema SET version = ?", (version,))
        connection.commit()
        connection.close()
        return
    import psycopg

    with psycopg.connect(place) as server:
        server.execute("UPDATE tokenclock_schema SET version = %s", (version,))


def test_every_earlier_version_is_tested() -> None:
    assert NEWEST >= 2
    stored = {path.name for path in HERE.glob("version_*.sql")}
    assert stored >= {f"version_{v}.{kind}.sql" for v in range(1, NEWEST) for kind in ("sqlite", "postgresql")}
    assert [step[-1] for step in STEPS] == [f"UPDATE tokenclock_schema SET version = {v}" for v in range(1, NEWEST + 1)]


@pytest.mark.parametrize("version", range(1, NEWEST))
def test_an_earlier_version_opens_and_keeps_its_data(place: str, version: int) -> None:
    make_old(place, version)
    with pytest.raises(UsageError, match=f"has schema version {version}, and {NEWEST} is needed: open it once with "):
        open_database(place, read_only=True)
    with open_database(place, create=False) as database:
        second, first = database.runs()
        assert (first.hash, first.model, first.label, first.tags) == (
            "aa11",
            "old-model",
            "nightly",
            {"branch": "main"},
        )
        assert (first.created, first.request_rate) == (datetime(2026, 1, 1, tzinfo=timezone.utc), math.inf)
        assert (first.streaming, first.state, second.tool, second.batch_size) == (True, "valid", "vllm", 4)
        assert database.metrics(first.id) == {
            "ttft.mean": MetricValue(20e6, 19e6, 21e6, "ns"),
            "output_throughput": MetricValue(125.5, None, None, "1/s"),
        }
        assert database.content(first.id) == {"kind": "serving"}
        assert [point.value for point in database.series("ttft.mean")[()]] == [20e6, 22e6]
        pin = Pin({"model": "old-model"}, "ttft.mean", (20e6,), (1,), first.created)
        database.pin(pin)  # what the version did not have works
        assert database.add(synthetic_runs(3)) == Added(3, 0)
    with open_database(place, create=False, read_only=True) as database:
        assert database.pins() == [pin]
        assert database.count(Filter(model="old-model")) == 2


def test_a_newer_schema_is_refused_and_left_alone(place: str) -> None:
    synthetic_history(place, 1)
    set_version(place, NEWEST + 1)
    for read_only in (False, True):
        with pytest.raises(UsageError) as error:
            open_database(place, read_only=read_only)
        assert f"has schema version {NEWEST + 1}, this tokenclock knows up to {NEWEST}: use the" in str(error.value)
    set_version(place, NEWEST)
    with open_database(place) as database:
        assert database.count() == 1


def test_the_migrations_make_the_tables_that_are_asked(place: str) -> None:
    open_database(place).close()
    made = inspect(engine.connect(place, create=False, read_only=True))
    assert set(made.get_table_names()) == set(METADATA.tables)
    for name, table in METADATA.tables.items():
        columns = {column["name"]: column for column in made.get_columns(name)}
        assert set(columns) == set(table.c.keys())
        for column in table.c:
            found = columns[column.name]
            assert found["nullable"] == bool(column.nullable), column
            assert isinstance(found["type"], column.type._type_affinity or object), column
        key = made.get_pk_constraint(name)["constrained_columns"]
        assert key == [column.name for column in table.primary_key]
        indices = {str(index["name"]): index["column_names"] for index in made.get_indexes(name) if not index["unique"]}
        assert indices == {str(index.name): [column.name for column in index.columns] for index in table.indexes}


def test_five_processes_bring_one_history_up_to_date(place: str) -> None:
    make_old(place, 1)
    code = "import sys; from tokenclock.store.database import open_database as o; print(o(sys.argv[1]).count())"
    many = [
        subprocess.Popen([sys.executable, "-c", code, place], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(5)
    ]
    assert [process.communicate(timeout=60) for process in many] == [("2\n", "")] * 5
