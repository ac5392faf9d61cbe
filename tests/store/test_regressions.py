"""Regressions over the series of a history: direction, keys, states, what is still so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from tests.store.synthetic import synthetic_runs

from tokenclock.store.database import Database, open_database
from tokenclock.store.filter import Filter
from tokenclock.store.record import MetricValue, RunRecord, hash_of
from tokenclock.store.regressions import Found, regressions

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def history(values: list[float], metric: str = "ttft.mean", unit: str = "ns", **facts: str) -> list[RunRecord]:
    """A run an hour with these values."""
    return [
        RunRecord(
            hash=hash_of({"i": i, "metric": metric, **facts}),
            created=START + timedelta(hours=i),
            model="m",
            state=facts.get("state", "valid"),
            label=facts.get("label", ""),
            metrics={metric: MetricValue(value, None, None, unit)},
        )
        for i, value in enumerate(values)
    ]


def step(before: float, after: float, n: int = 20) -> list[float]:
    noise = np.random.default_rng(1).normal(scale=0.01, size=2 * n)
    return [float(v) for v in np.repeat([before, after], n) * (1 + noise)]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(str(tmp_path / "history.sqlite")) as found:
        yield found


def only(database: Database) -> Found:
    (found,) = regressions(database)
    return found


@pytest.mark.parametrize(
    ("metric", "unit", "verdict"),
    [
        ("ttft.mean", "ns", "regression"),
        ("output_throughput", "1/s", "improvement"),
        ("goodput_share", "share", "improvement"),
        ("INFERENCE_TIME", "ms", "regression"),
        ("TOKEN_THROUGHPUT", "tok/s", "improvement"),
        ("KV_CACHE_SIZE", "GiB", "improvement"),
    ],
)
def test_more_is_worse_for_times_and_better_for_rates(database: Database, metric: str, unit: str, verdict: str) -> None:
    database.add(history(step(100, 120), metric, unit))
    found = only(database)
    assert (found.verdict, found.unit, found.n_after, found.current) == (verdict, unit, 20, True)
    assert found.created == START + timedelta(hours=20)
    assert found.change.ratio == pytest.approx(1.2, abs=0.01)


def test_series_are_apart_and_runs_that_do_not_count_are_left_out(database: Database) -> None:
    database.add(history([100.0] * 20, label="a"))
    database.add(history([200.0] * 20, label="b"))  # one series of both would look like a change
    database.add(history(step(100, 150), label="c", state="invalid"))
    assert regressions(database) == []
    assert regressions(database, by=("label",)) == []


def test_a_regression_that_was_half_mended_still_stands(database: Database) -> None:
    database.add(history([*step(100, 130), *step(115, 115)]))
    later, earlier = regressions(database)
    assert (later.verdict, later.current) == ("improvement", True)
    assert (earlier.verdict, earlier.current) == ("regression", True)


def test_what_was_undone_is_said(database: Database) -> None:
    values = [*step(100, 130), *step(130, 100)]
    database.add(history(values))
    later, earlier = regressions(database)
    assert (later.verdict, later.current) == ("improvement", True)
    assert (earlier.verdict, earlier.current) == ("regression", False)
    assert later.created > earlier.created


def test_a_blip_that_was_undone_is_not_made_lasting_by_a_later_step(database: Database) -> None:
    database.add(history([*step(100, 120), *step(100, 130)]))
    second, undoing, first = regressions(database)
    assert [one.verdict for one in (first, undoing, second)] == ["regression", "improvement", "regression"]
    assert [one.current for one in (first, second)] == [False, True]


def test_two_steps_that_were_undone_at_once_are_undone(database: Database) -> None:
    database.add(history([*step(100, 120), *step(150, 100)]))
    assert [one.current for one in regressions(database) if one.verdict == "regression"] == [False, False]


def test_since_hides_older_changes_and_keeps_their_runs_for_comparison(database: Database) -> None:
    database.add(history(step(100, 130)))
    at = START + timedelta(hours=20)
    assert len(regressions(database, since=at)) == 1
    assert regressions(database, since=at + timedelta(hours=1)) == []
    assert regressions(database, Filter(since=at)) == []  # nothing to compare with is left


def test_the_synthetic_slowdown_is_found_in_its_series_alone(database: Database) -> None:
    database.add(replace(run, state="valid") for run in synthetic_runs(4800))
    counts: list[int] = []
    found = regressions(database, metrics=["ttft.mean"], looked_at=counts.append)
    assert counts == [120]
    planted = [
        one
        for one in found
        if "llama-3.1" in one.key["model"] and "H100" in one.key["gpu"] and one.verdict == "regression"
    ]
    assert {one.key["concurrency"] for one in planted} == {"1", "2", "4", "8", "16", "32"}
    assert all(one.current for one in planted)
    assert all(one.change.ratio == pytest.approx(1.1, abs=0.03) for one in planted)
    assert len(found) - len(planted) <= 4  # of noise: up to about 1 of 120 series
    found = planted
    told = found[0].to_dict()
    assert told["key"]["request_rate"] == "inf"
    assert "inf" not in found[0].series_name().split(", ")
    assert told["change"] == pytest.approx(0.1, abs=0.02)
