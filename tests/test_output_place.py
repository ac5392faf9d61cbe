"""Where results go: the documented name, made ready before the first request, refused early."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tokenclock.errors import UsageError
from tokenclock.output_place import companion, prepare_output, reserve, result_path, set_aside, temporary_log
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


def test_a_name_that_is_taken_gets_a_number_and_is_held(tmp_path: Path) -> None:
    (tmp_path / "r-2.columns.npz").touch()

    def files(name: Path) -> list[Path]:
        return [name, name.with_suffix(".columns.npz")]

    names = [reserve(tmp_path / "r.json", files).name for _ in range(3)]
    assert names == ["r.json", "r-3.json", "r-4.json"]
    assert (tmp_path / "r-4.json").read_bytes() == b""


def test_each_run_has_a_temporary_log_of_its_own_and_others_are_kept_and_said(tmp_path: Path) -> None:
    said: list[str] = []
    first = temporary_log(tmp_path / "r.json", said.append)
    (first / "part-000001.npz").touch()
    assert (first.name, said) == (".r.events", [])
    second = temporary_log(tmp_path / "r.json", said.append)
    assert second.name == ".r-2.events"
    assert (first / "part-000001.npz").exists()
    assert said == [f"{first} holds what another run into {tmp_path / 'r.json'} measured; it was killed, or still "
                    "runs: it is kept"]  # fmt: skip


def test_a_rank_s_old_log_is_set_aside(tmp_path: Path) -> None:
    log = tmp_path / "rank-0001"
    for _ in range(2):
        log.mkdir()
        (log / "part-000001.npz").touch()
        set_aside(log)
        assert not log.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rank-0001-earlier", "rank-0001-earlier-2"]


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("", True),
        ("\n", True),
        ('{"tokenclock": {}}\n', True),
        ('{"half\n{"schema_version": "1.2"}\n', True),
        ("notes\n", False),
        ('{"a": 1}\n', False),
    ],
)
def test_lines_are_added_to_files_of_results_only(tmp_path: Path, text: str, taken: bool) -> None:
    (tmp_path / "all.jsonl").write_text(text)
    asked = plan(save_result=True, append_result=True, result_dir=str(tmp_path), result_filename="all.jsonl")
    if taken:
        assert prepare_output(asked, DATE) == tmp_path / "all.jsonl"
    else:
        with pytest.raises(UsageError, match=r"--append-result must be given a file of results, .* holds none"):
            prepare_output(asked, DATE)
    assert (tmp_path / "all.jsonl").read_text() == text
