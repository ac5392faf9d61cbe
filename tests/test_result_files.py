"""The files of runs that share a place: none is written over another run's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenclock.findings import SideResults
from tokenclock.metrics.facts import RunFacts
from tokenclock.output_place import result_path
from tokenclock.plan import EndpointPlan, OutputPlan, ServingPlan
from tokenclock.result_files import _own_names, save_result_files

DATE = "20260102-030405"


def names(tmp_path: Path, **output: object) -> list[tuple[str, str]]:
    plan = ServingPlan(EndpointPlan("m"), output=OutputPlan(save_result=True, result_dir=str(tmp_path), **output))  # type: ignore[arg-type]
    found = [_own_names(plan, result_path(plan, DATE), DATE) for _ in range(2)]
    return [(path.name, beside.name) for path, beside in found]


def test_generated_names_are_numbered(tmp_path: Path) -> None:
    stem = "openai-infqps-m-20260102-030405"
    assert names(tmp_path) == [(f"{stem}.json",) * 2, (f"{stem}-2.json",) * 2]


def test_the_columns_of_appended_results_are_numbered(tmp_path: Path) -> None:
    assert names(tmp_path, append_result=True, result_filename="all.jsonl") == [
        ("all.jsonl", "all-20260102-030405.jsonl"),
        ("all.jsonl", "all-20260102-030405-2.jsonl"),
    ]


def test_a_name_that_was_given_is_taken_as_it_is(tmp_path: Path) -> None:
    assert names(tmp_path, result_filename="r.json") == [("r.json", "r.json")] * 2
    assert list(tmp_path.iterdir()) == []


def test_the_timeline_lies_beside_the_result(tmp_path: Path, make_records: Any, make_result: Any) -> None:
    requests = [{"sent": 0, "tokens": [10_000_000, 20_000_000]}]
    output = OutputPlan(save_result=True, result_dir=str(tmp_path), result_filename="r.json", plot_timeline=True)
    plan = ServingPlan(EndpointPlan("m"), output=output)
    said: list[str] = []
    side, result, records = SideResults({}, None, None, None), make_result(requests, RunFacts()), make_records(requests)
    assert save_result_files(plan, result, records, side, path=tmp_path / "r.json", date=DATE, say=said.append)
    assert len(said) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.columns.npz", "r.json", "r.timeline.html"]
    assert b'id="run0-timeline"' in (tmp_path / "r.timeline.html").read_bytes()
