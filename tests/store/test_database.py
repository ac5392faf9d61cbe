from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from tests.store.synthetic import synthetic_runs

from tokenclock.errors import UsageError
from tokenclock.store.database import open_database
from tokenclock.store.filter import Filter
from tokenclock.store.record import Added, MetricValue, Pin, RunRecord, hash_of
from tokenclock.store.series import Point, line_of

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=timezone.utc)


def record(number: int, **given: Any) -> RunRecord:
    settings: dict[str, Any] = {
        "hash": hash_of({"n": number}), "created": NOON + timedelta(hours=number), "model": "m", "state": "valid",
        "metrics": {"ttft.mean": MetricValue(10e6 + number, None, None, "ns")},
    }  # fmt: skip
    return RunRecord(**{**settings, **given})


def test_a_run_comes_back_as_it_was(place: str) -> None:
    whole = record(
        1, kind="serving", tool="tokenclock", tool_version="0.1.0", model="m/ü", label="a%b_c", test="t[x]", gpu="H100",
        gpu_count=8, host="h", concurrency=4, request_rate=math.inf, batch_size=2, isl=12.5, osl=8.0, backend="openai",
        streaming=True, state="warn", source="x.json", tags={"branch": "main", "": ""}, content=b"\0\1\2",
        metrics={"ttft.mean": MetricValue(0.1 + 0.2, 0.3, 1e300, "ns"), "rate": MetricValue(2.0, None, None, "1/s")},
    )  # fmt: skip
    with open_database(place) as database:
        assert database.add([whole]) == Added(1, 0)
        assert database.add([whole, whole]) == Added(0, 2)
    with open_database(place, create=False, read_only=True) as database:
        (row,) = database.runs()
        back = database.run(row.hash[:8])
        assert {**back.__dict__, "id": 0} == whole.__dict__
        assert database.run(row.id) == back
        assert database.metrics(row.id) == dict(whole.metrics)
        assert (database.unit("rate"), database.unit("other")) == ("1/s", None)


def test_of_one_hash_the_first_stays(place: str) -> None:
    with open_database(place) as database:
        assert database.add([record(1, label="first"), record(1, label="second"), record(2)]) == Added(2, 1)
        assert [row.label for row in database.runs()] == ["", "first"]


def test_a_run_that_cannot_be_added_leaves_the_others_out_too(place: str) -> None:
    with open_database(place) as database:
        bad_unit = record(2, source="b.json", metrics={"ttft.mean": MetricValue(1.0, None, None, "ms")})
        with pytest.raises(UsageError, match=r"^b.json: ttft.mean is in ms, but the history has it in ns: "):
            database.add([record(1), bad_unit])
        with pytest.raises(UsageError, match=r"expected a state of valid, .*, got good of c.json"):
            database.add([record(1), record(2, state="good", source="c.json")])
        with pytest.raises(UsageError, match=r"ttft.mean must be a finite number, got nan"):
            database.add([record(1, metrics={"ttft.mean": MetricValue(math.nan, None, None, "ns")})])
        assert database.runs() == []
        assert database.add([record(1)]) == Added(1, 0)


def test_filters(place: str) -> None:
    runs = [
        record(0, model="llama-8b", label="a_b", concurrency=4, request_rate=math.inf, tags={"branch": "main"}),
        record(1, model="llama-70b", label="axb",
               concurrency=8, request_rate=0.1, streaming=True, tags={"branch": "fix"}),
        record(2, model="Llama-8b", label="a%b", state="failed", streaming=False),
        record(3, model="qwen", label="", state="invalid", tags={"other": "main"}),
    ]  # fmt: skip
    cases: list[tuple[Filter, list[int]]] = [
        (Filter(), [3, 2, 1, 0]),
        (Filter(model="llama-8b"), [0]),
        (Filter(model="llama*"), [1, 0]),
        (Filter(model="*8b"), [2, 0]),
        (Filter(label="a_b*"), [0]),
        (Filter(label="a%*"), [2]),
        (Filter(label=""), [3]),
        (Filter(tag={"branch": "*"}), [1, 0]),
        (Filter(tag={"branch": "m*n"}), [0]),
        (Filter(states=("failed", "invalid")), [3, 2]),
        (Filter(since=NOON + timedelta(hours=1)), [3, 2, 1]),
        (Filter(until=NOON + timedelta(hours=1)), [0]),
        (Filter(key={"concurrency": "8"}), [1]),
        (Filter(key={"concurrency": ""}), [3, 2]),
        (Filter(key={"request_rate": "inf"}), [0]),
        (Filter(key={"request_rate": "0.1"}), [1]),
        (Filter(key={"streaming": "yes"}), [1]),
        (Filter(key={"streaming": "no"}), [2]),
        (Filter(key={"model": "llama*"}), []),
        (Filter(key={"tag.branch": "main"}), [0]),
        (Filter(key={"tag.branch": ""}), [3, 2]),
        (Filter(model="llama*", states=("valid",), key={"tag.branch": "fix"}), [1]),
    ]
    with open_database(place) as database:
        database.add(runs)
        number = {run.hash: i for i, run in enumerate(runs)}
        for where, expected in cases:
            assert [number[row.hash] for row in database.runs(where)] == expected, where
            assert database.count(where) == len(expected)
        assert [number[row.hash] for row in database.runs(limit=2)] == [3, 2]
        assert database.values("model") == ["Llama-8b", "llama-70b", "llama-8b", "qwen"]
        assert database.values("concurrency") == ["", "4", "8"]
        assert database.values("tag.branch", Filter(model="llama*")) == ["fix", "main"]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ({"modell": "x"}, "runs cannot be told apart by modell: expected one of kind, tool, "),
        ({"tag.": "x"}, "runs cannot be told apart by tag.: "),
        ({"concurrency": "4.5"}, "concurrency must be a whole number, got 4.5"),
        ({"isl": "many"}, "isl must be a number, got many"),
        ({"streaming": "1"}, "streaming must be yes or no, got 1"),
    ],
)
def test_keys_that_there_are_not(tmp_path: Any, key: dict[str, str], message: str) -> None:
    with open_database(str(tmp_path / "h.sqlite")) as database, pytest.raises(UsageError) as error:
        database.runs(Filter(key=key))
    assert str(error.value).startswith(message)


def test_series(place: str) -> None:
    ttft = {i: {"ttft.mean": MetricValue(float(i), i - 1.0, i + 1.0, "ns")} for i in range(6)}
    runs = [record(i, concurrency=(2, 10)[i % 2], tags={"k": "v"} if i > 3 else {}, metrics=ttft[i]) for i in range(6)]
    with open_database(place) as database:
        database.add([*reversed(runs), record(9, metrics={"rate": MetricValue(1.0, None, None, "1/s")})])
        ids = {row.hash: row.id for row in database.runs()}

        def point(i: int) -> Point:
            return Point(ids[runs[i].hash], runs[i].created, float(i), i - 1.0, i + 1.0, "valid")

        assert database.series("ttft.mean") == {(): [point(i) for i in range(6)]}
        by_load = database.series("ttft.mean", by=("concurrency",), last=2)
        assert list(by_load) == [("2",), ("10",)]
        assert by_load == {("2",): [point(2), point(4)], ("10",): [point(3), point(5)]}
        by_tag = database.series("ttft.mean", by=("tag.k", "model"))
        assert by_tag == {("", "m"): [point(i) for i in range(4)], ("v", "m"): [point(4), point(5)]}
        for group, points in by_load.items():  # a group's text is a key that finds its runs
            assert database.series("ttft.mean", where=Filter(key={"concurrency": group[0]}))[()][-2:] == points
        assert database.series("none") == {}
        assert database.metric_names() == ["rate", "ttft.mean"]
        assert database.metric_names(Filter(key={"concurrency": "2"})) == ["ttft.mean"]


def test_lines_are_the_values_of_series(place: str) -> None:
    records = [  # added in another order than they were started, some at the same instant
        record(i, created=NOON - timedelta(hours=i // 2), concurrency=i % 3, streaming=i % 2 == 0) for i in range(12)
    ]
    with open_database(place) as database:
        database.add(records)
        for by in ((), ("concurrency", "model"), ("streaming",), ("tag.k",)):
            for last in (None, 1, 3, 100):
                points = database.series("ttft.mean", by=by, last=last)
                lines = database.lines("ttft.mean", by=by, last=last)
                assert list(lines) == list(points)
                assert lines == {group: line_of(of) for group, of in points.items()}
                assert all(one.first <= one.last for one in lines.values())
        where = Filter(key={"concurrency": "1"})
        assert list(database.lines("ttft.mean", where=where)[()].values) == [
            point.value for point in database.series("ttft.mean", where=where)[()]
        ]
        assert database.lines("none") == {}
        assert database.run(1).created.tzinfo is not None  # text again after binary rows


def test_pins(place: str) -> None:
    key = {"label": "a", "gpu": "H100", "tag.branch": "main"}
    pin = Pin(key, "ttft.mean", (0.1, 2.0), (3, 4), NOON, "why not", "me")
    with open_database(place) as database:
        database.pin(Pin(key, "ttft.mean", (9.0,), (1,), NOON))
        database.pin(pin)
        other = Pin({"label": "b"}, "ttft.mean", (1.0,), (), NOON)
        database.pin(other)
        second = Pin(key, "tpot.mean", (1.0,), (), NOON)
        database.pin(second)
    with open_database(place) as database:
        assert database.pins() == [second, pin, other]
        assert database.pins(Filter(gpu="H*")) == [second, pin]
        assert database.pins(Filter(key={"label": "b"})) == [other]
        assert database.pins(Filter(tag={"branch": "main"}, label="a")) == [second, pin]
        assert database.unpin(dict(reversed(key.items())), "ttft.mean") == 1
        assert database.pins(Filter(label="a")) == [second]
        assert (database.unpin(key), database.unpin(key)) == (1, 0)
        assert database.pins() == [other]


def test_runs_that_there_are_not(place: str) -> None:
    with open_database(place) as database:
        database.add(synthetic_runs(40))
        hashes = sorted(row.hash for row in database.runs())
        for text in ("41", "zzzz", "abc", "", "0" * 16, "%%%%", "-1"):
            with pytest.raises(UsageError, match="the history has no run"):
                database.run(text)
        assert database.run(hashes[0]).hash == hashes[0]


def test_more_runs_than_one_part(place: str) -> None:
    with open_database(place) as database:
        assert database.add(synthetic_runs(4_500)) == Added(4_500, 0)
        assert database.add(synthetic_runs(4_600)) == Added(100, 4_500)
        assert len(database.metrics_of([row.id for row in database.runs()])) == database.count()
