"""Where results go: the documented name, made ready before the first request, refused early."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tokenclock.errors import UsageError
from tokenclock.output_place import companion, prepare_output, result_path
from tokenclock.plan import EndpointPlan, LoadPlan, OutputPlan, RampUp, ServingPlan

DATE = "20260102-030405"


def plan(load: dict[str, Any] | None = None, model: str = "org/m", **output: Any) -> ServingPlan:
    return ServingPlan(EndpointPlan(model), LoadPlan(**load or {}), output=OutputPlan(**output))


@pytest.mark.parametrize(
    ("plan", "name"),
    [
        (plan(), "openai-infqps-m-20260102-030405.json"),
        (plan({"request_rate": 10, "max_concurrency": 4}), "openai-10.0qps-concurrency4-m-20260102-030405.json"),
        (plan(model="/models/llama/"), "openai-infqps-llama-20260102-030405.json"),
        (plan(label="cold"), "cold-infqps-m-20260102-030405.json"),
        (
            plan({"ramp_up": RampUp("linear", 1, 8.5), "max_concurrency": 4}),
            "openai-ramp-up-linear-1.0qps-8.5qps-concurrency4-m-20260102-030405.json",
        ),
        (plan(result_filename="r.json", result_dir="d"), "d/r.json"),
    ],
)
def test_names_are_those_of_the_documented_tool(plan: ServingPlan, name: str) -> None:
    assert result_path(plan, DATE) == Path(name)


def test_directories_are_made_before_anything_is_sent(tmp_path: Path) -> None:
    asked = plan(save_result=True, result_dir=str(tmp_path / "a/b"), save_events=str(tmp_path / "events"))
    path = prepare_output(asked, DATE)
    assert path is not None
    assert path.parent == tmp_path / "a/b"
    assert list(path.parent.iterdir()) == []
    assert (tmp_path / "events").is_dir()


def test_nothing_is_made_when_nothing_is_saved(tmp_path: Path) -> None:
    assert prepare_output(plan(result_dir=str(tmp_path / "a")), DATE) is None
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("flag", ["result_dir", "save_events"])
def test_a_place_that_cannot_be_written_is_refused_with_the_reason(tmp_path: Path, flag: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError) as caught:
        prepare_output(plan(save_result=True, **{flag: str(tmp_path / "file/below")}), DATE)
    assert f"--{flag.replace('_', '-')} must be a directory that can be written to, got {tmp_path}" in str(caught.value)
    assert "(Not a directory); give another" in str(caught.value)


def test_a_file_name_that_is_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--result-filename must name a file, got the directory"):
        prepare_output(plan(save_result=True, result_dir=str(tmp_path.parent), result_filename=tmp_path.name), DATE)


def test_files_beside_an_appended_result_are_one_for_each_run() -> None:
    path = Path("d/all.jsonl")
    assert companion(plan(), path, DATE) == path
    assert companion(plan(append_result=True), path, DATE) == path
    shared = plan(append_result=True, result_filename="all.jsonl")
    assert companion(shared, path, DATE) == Path("d/all-20260102-030405.jsonl")
