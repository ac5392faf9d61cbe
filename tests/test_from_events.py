from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.simulate.processes import stalling_server

from tokenclock.errors import UsageError
from tokenclock.event_log import EventLog
from tokenclock.from_events import rebuild
from tokenclock.iteration_log import IterationLog
from tokenclock.iteration_records import TIMED, IterationRecords, empty_iterations
from tokenclock.metrics.summary import summarise
from tokenclock.plan import EndpointPlan, LoadPlan, OutputPlan, ServingPlan
from tokenclock.plan_benchmark import BenchmarkPlan
from tokenclock.plan_facts import facts_of
from tokenclock.records import Records

PLAN = ServingPlan(
    endpoint=EndpointPlan(model="m"), load=LoadPlan(num_prompts=160, max_concurrency=8), output=OutputPlan()
)


def write_log(folder: Path, records: Records, *, finished: bool = True, n_parts: int = 3) -> None:
    """The log that a run of these records leaves."""
    asked = {name: records.columns[name] for name in ("isl_requested", "osl_requested")}
    log = EventLog(folder, PLAN.to_dict(), asked, warn=pytest.fail)
    row_of_event = records.row_of_event().astype(np.int32)
    for part in np.array_split(np.arange(records.n_requests), n_parts):
        events = np.isin(row_of_event, part)
        final = {
            "rows": part, "event_row": row_of_event[events], "t_token_ns": records.t_token_ns[events],
            "n_tokens": records.n_tokens[events], "t_read_ns": records.t_read_ns[events],
        }  # fmt: skip
        log.write(final, records.columns)
    if finished:
        log.finish(records)


@pytest.fixture(scope="module")
def records() -> Records:
    return stalling_server(np.random.default_rng(0), 160, 8)


def test_a_run_is_computed_again_to_the_same_numbers(tmp_path: Path, records: Records) -> None:
    write_log(tmp_path / "ev", records)
    result, again, iterations = rebuild(tmp_path / "ev")
    assert iterations is None
    assert again is not None
    assert np.array_equal(again.t_token_ns, records.t_token_ns)
    facts = facts_of(PLAN, 160, float("inf"), shared_prefix=False)
    expected = summarise(records, facts).distributions
    for tag in ("ttft", "tpot", "itl", "e2el"):
        assert result.latencies[tag]["mean"] == expected[tag].mean
        assert result.latencies[tag]["percentiles"]["rank"]["99"] == expected[tag].percentile(99.0)
    assert (result.incomplete, result.plan["endpoint"]["model"]) == (False, "m")
    assert result.confidence is not None
    assert (result.workload["sha256"], dict(result.environment)) == (None, {})  # not in a log


def test_a_killed_run_is_incomplete(tmp_path: Path, records: Records) -> None:
    write_log(tmp_path / "ev", records, finished=False)
    last = sorted((tmp_path / "ev").glob("part-*.npz"))[-1]
    last.unlink()
    result, again, _ = rebuild(tmp_path / "ev")
    assert result.incomplete
    assert again is not None
    assert 0 < result.requests["ok"] < 160 == again.n_requests
    assert result.quality.check("complete") is not None or result.quality.status != "ok"


def test_a_killed_run_keeps_the_source_of_its_stamps(tmp_path: Path, records: Records) -> None:
    for name, lag_ns, share in (("kernel", 5_000, 1.0), ("unknown", 0, None)):
        write_log(tmp_path / name, replace(records, t_read_ns=records.t_token_ns + lag_ns), finished=False)
        result, _, _ = rebuild(tmp_path / name)
        check = result.quality.check("stamps")
        assert check is not None
        assert (check.value, check.status) == (share, "ok")
        assert check.details["source"] == ("kernel" if share else "not known")
        clock = result.quality.check("clock")
        assert clock is not None
        assert clock.value is None  # no counter of steps is in the log of a killed run


def test_the_logs_of_ranks_are_one_run(tmp_path: Path, records: Records) -> None:
    for rank in range(2):
        write_log(tmp_path / "ev" / f"rank-{rank:04d}", records.take(np.arange(rank, 160, 2)))
    result, again, _ = rebuild(tmp_path / "ev")
    assert again is not None
    assert np.array_equal(again.columns["t_sent_ns"], records.columns["t_sent_ns"])
    assert result.requests["ok"] == 160
    shutil.rmtree(tmp_path / "ev" / "rank-0000")
    with pytest.raises(UsageError, match="has no rank-0000: copy the logs of all hosts into one place"):
        rebuild(tmp_path / "ev")


def iterations(case: int, n: int, latency_ns: int) -> IterationRecords:
    columns = empty_iterations(n)
    columns["case"][:] = case
    columns["rank"][:] = 0
    columns["iteration"][:] = np.arange(n)
    columns["phase"][:] = TIMED
    columns["batch_size"][:] = 1
    columns["isl_requested"][:] = 8
    columns["osl_requested"][:] = 4
    columns["n_tokens"][:] = 4
    columns["t_start_ns"][:] = np.arange(n) * 2 * latency_ns
    columns["t_done_ns"][:] = columns["t_start_ns"] + latency_ns
    nothing = np.zeros(0, np.int64)
    return IterationRecords(columns, np.zeros(n + 1, np.int64), nothing, nothing)


@pytest.mark.parametrize("killed", [False, True])
def test_an_offline_run(tmp_path: Path, killed: bool) -> None:
    """Two cases; of the killed run the second had begun, and nobody noted its end."""
    plan = BenchmarkPlan(batch_sizes=(1,), lengths=((8, 4), (16, 4), (32, 4)))
    log = IterationLog(tmp_path / "ev", plan.to_dict(), 0, pytest.fail)
    log.write(iterations(0, 10, 5_000_000))
    log.case_ended({"index": 0, "status": "measured", "reason": None})
    log.write(iterations(1, 7, 9_000_000))
    if not killed:
        log.case_ended({"index": 1, "status": "measured", "reason": None})
        log.case_ended({"index": 2, "status": "skipped", "reason": "too long"})
        log.finish(incomplete=False)
    result, records, rows = rebuild(tmp_path / "ev")
    assert records is None
    assert rows is not None
    assert len(rows) == 17
    assert [case["status"] for case in result.cases] == ["measured", "measured", "not_run" if killed else "skipped"]
    assert [case["latencies"]["latency"]["mean"] for case in result.cases[:2]] == [5_000_000, 9_000_000]
    assert result.incomplete is killed
    assert result.faces["benchmark"]["cases"][1]["latency(ms)"] == 9.0
    assert result.quality.check("overhead") is None  # what the loop costs is not in a log


@pytest.mark.parametrize("text", [None, "{", '{"plan": 3}', '{"format": 1, "plan": {"command": "serving"}}'])
def test_what_is_no_event_log_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "plan.json").write_text(text)
    with pytest.raises(UsageError, match=r"is no event log|plan"):
        rebuild(tmp_path)
    with pytest.raises(UsageError, match="is no event log"):
        rebuild(tmp_path / "nowhere")
