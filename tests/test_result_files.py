"""The files of runs that share a place: none is written over another run's."""

from __future__ import annotations

from pathlib import Path

from tokenclock.output_place import result_path
from tokenclock.plan import EndpointPlan, OutputPlan, ServingPlan
from tokenclock.result_files import _own_names

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
