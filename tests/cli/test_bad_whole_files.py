"""Files that are read whole, with every fault: options in YAML, checkpoints, results and columns that are merged."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conftest import hand_records, result_of

from tokenclock.__main__ import main
from tokenclock.errors import UsageError
from tokenclock.metrics.facts import RunFacts
from tokenclock.plan import EndpointPlan, LoadPlan, ServingPlan, SyntheticDataset
from tokenclock.report import columns_file, genai_perf_json
from tokenclock.result import Result
from tokenclock.runtime.llm_api_options import read_options

NOBODY = "http://127.0.0.1:9"
_NO_MAPPING = re.compile(r"a: [\[!92]|a: 1\nb|-|5|te?xt|1")
ROW = {"task_id": 0, "input_ids": [5, 6], "output_tokens": 4}


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says in one line, with exit code 2."""
    code = main(words)
    out, err = capsys.readouterr()
    assert (code, out) == (2, ""), err
    assert len(err.splitlines()) == 1, err
    return err


SAMPLER = [
    ("temperature: hot", 1), ("temperature: -1", 1), ("a: 1\ntemperature: .nan", 2), ("top_p: [1]", 1),
    ("top_p: 7", 1), ("top_k: 1.5", 1), ("top_k: true", 1), ("min_p: 2", 1), ("repetition_penalty: 0", 1),
    ("no_repeat_ngram_size: -1", 1), ("presence_penalty: x", 1), ("top_p: 0.5\n\ntop_p: 0.6", 3),
    ("top_p: 0.5\nmax_tokens: 5", 2), ("top_p: 0.5\nend_id: 5", 2), ("- a", 1), ("5", 1), ("text", 1), ("1: 2", 1),
    ("a: [1\nb: 2", 2), ("a: 1\nb: \xff", 2), ("a: 1\n\tb: 2", 2), ("a: 1\nb: \x01", 2), ("a: 2026-13-45", 1),
    ("a: !!python/object/apply:os.system [ls]", 1), ("a: " + "[" * 1000, 1), ("a: " + "9" * 5000, 1),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line"), SAMPLER)
def test_bad_sampler_options_name_their_line(
    text: str, line: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(ROW) + "\n")
    path = tmp_path / "options.yaml"
    path.write_bytes(text.encode("latin-1"))
    for target in (["--base-url", NOBODY], ["--runtime", "null"]):
        words = ["--model", "m", "throughput", *target, "--dataset", str(tmp_path / "rows.jsonl")]
        err = refused([*words, "--sampler_options", str(path)], capsys)
        assert f"{path}:{line}: " in err


@pytest.mark.parametrize(
    ("text", "line"), [case for case in SAMPLER if re.match(r"a: [\[!92]|a: 1\nb|-|5|te?xt|1", case[0])]
)
def test_bad_llm_options_name_their_line(text: str, line: int, tmp_path: Path) -> None:
    path = tmp_path / "options.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=rf"options.yaml:{line}: "):
        read_options(path)


def test_small_files_of_2_gb_are_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    big = tmp_path / "big"
    with open(big, "wb") as file:
        file.truncate(2 << 30)
    (tmp_path / "rows.jsonl").write_text(json.dumps(ROW) + "\n")
    words = ["--model", "m", "throughput", "--base-url", NOBODY, "--dataset", str(tmp_path / "rows.jsonl")]
    assert "of at most 1 MiB, got a larger file" in refused([*words, "--sampler_options", str(big)], capsys)
    with pytest.raises(UsageError, match="big:1: expected the result of at most 1024 MiB, got a larger file"):
        Result.load(big)
    with pytest.raises(UsageError, match="big is no columns file"):
        columns_file.read(big)


@pytest.mark.parametrize(
    ("text", "line"),
    [("", 1), ("{", 1), ("[]", 1), ("5", 1), ('{"points": 3}', 1), ('{"points": {"a": 3}}', 1), ("{}", 1),
     ('{"points": {"a": {}}}', 1), ('{"points":\n {"a": {"result": 5}}}', 1), ('{\n"points": \n\xff}', 3),
     ("[" * 9999, 1)],
)  # fmt: skip
def test_a_bad_checkpoint_is_named(text: str, line: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "checkpoint.json").write_bytes(text.encode("latin-1"))
    words = ["analyze", "-m", "m", "-u", "127.0.0.1:9", "--endpoint-type", "chat", "--sweep-list", "1"]
    err = refused([*words, "--artifact-dir", str(tmp_path / "a"), "--checkpoint-dir", str(tmp_path)], capsys)
    assert f"{tmp_path}/checkpoint.json:{line}: expected a checkpoint" in err


def exported(folder: Path) -> Path:
    """A run of `profile` as it is copied for `process-export-files`."""
    path = folder / "in" / "a" / "profile_export_genai_perf.json"
    records = hand_records(
        [{"sent": 0, "tokens": [5, 9], "isl_requested": 5}],
        client={"epoch_realtime_ns": 1_700_000_000_000_000_000, "wall_ns": 10, "interrupted": False},
    )
    plan = ServingPlan(
        endpoint=EndpointPlan("m"), load=LoadPlan(num_prompts=1, max_concurrency=1), dataset=SyntheticDataset(),
        command="profile", asked={"model": ["m"], "endpoint_type": "chat", "streaming": True},
    ).to_dict()  # fmt: skip
    path.parent.mkdir(parents=True)
    genai_perf_json.write(result_of(records, RunFacts(max_concurrency=1), plan=plan), path)
    columns_file.write(records, columns_file.columns_path(path))
    return path


def merging(folder: Path) -> list[str]:
    return ["process-export-files", "-d", str(folder / "in"), "--artifact-dir", str(folder / "out")]


def changed(path: Path, place: str, value: Any) -> None:
    """Set what lies at a dotted place of the native result; None takes it away."""
    data = json.loads(path.read_text())
    *way, last = place.split(".")
    inner = data["tokenclock"]
    for key in way:
        inner = inner[key]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    path.write_text(json.dumps(data))


NEEDED = (
    "schema_version", "kind", "tool", "created", "plan", "plan.asked", "plan.load", "plan.load.request_rate",
    "plan.load.max_concurrency", "plan.load.streaming", "plan.load.burstiness", "plan.endpoint",
    "plan.endpoint.model", "plan.endpoint.backend", "plan.output", "plan.output.percentile_metrics",
    "plan.output.metric_percentiles", "plan.output.goodput_ms", "plan.dataset", "environment", "workload",
    "workload.sha256", "requests", "latencies", "throughput", "client", "quality", "quality.checks", "faces",
)  # fmt: skip
OBJECTS = [place for place in NEEDED if place.count(".") == 0 and place not in ("schema_version", "kind", "created")]
WRONG = [
    *((place, None) for place in NEEDED),
    *((place, value) for place in (*OBJECTS, "plan.load", "plan.asked", "plan.output") for value in (5, [], "x")),
    ("schema_version", 5), ("created", 5), ("created", "yesterday"), ("kind", 5), ("plan.load.request_rate", "x"),
    ("plan.load.max_concurrency", "x"), ("plan.load.burstiness", []), ("workload.sha256", 5), ("quality.checks", [5]),
    ("plan.output.goodput_ms", 5), ("plan.output.percentile_metrics", 5),
]  # fmt: skip


@pytest.mark.parametrize(("place", "value"), WRONG)
def test_a_result_that_is_not_whole_is_named_and_not_merged(
    place: str, value: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = exported(tmp_path)
    changed(path, place, value)
    assert str(path) in refused(merging(tmp_path), capsys)


def test_results_of_other_bytes_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = exported(tmp_path)
    whole = path.read_bytes()
    for content, line in (
        (b"", 1),
        (b"{", 1),
        (whole[:200], whole[:200].count(b"\n") + 1),
        (whole.replace(b"\n", b"\n\xff", 1), 2),
        (b"[" * 99999, 1),
        (b"hello", 1),
    ):
        path.write_bytes(content)
        assert f"{path}:{line}" in refused(merging(tmp_path), capsys)
    for content in (b"[]", b"5", b"{}", b'{"tokenclock": 5}', b'{"tokenclock": {}}'):
        path.write_bytes(content)
        assert str(path) in refused(merging(tmp_path), capsys)


def test_columns_that_do_not_fit_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = columns_file.columns_path(exported(tmp_path))
    whole = path.read_bytes()
    with np.load(path) as loaded:
        arrays = dict(loaded)
    for content in (b"", b"PK", whole[:-30], whole[:200], b"\x93NUMPY" + b"\0" * 100, whole.replace(b"meta", b"mete")):
        path.write_bytes(content)
        assert f"{path} is no columns file" in refused(merging(tmp_path), capsys)
    for name, value in (
        ("t_sent_ns", np.zeros(3, np.int64)),
        ("status", np.array(["ok"])),
        ("isl_requested", np.zeros((1, 1), np.int32)),
        ("request_id", np.int64(3)),
        ("token_offsets", np.array([0, 7])),
        ("token_offsets", np.array([2, 2])),
        ("t_token_ns", np.zeros(5, np.int64)),
        ("n_tokens", np.zeros(1, np.int32)),
        ("t_read_ns", np.zeros(2, np.float32)),
        ("meta", np.zeros(3, np.uint8)),
        ("meta", np.frombuffer(b"[]", np.uint8)),
        ("meta", np.frombuffer(b"{}", np.uint8)),
    ):
        np.savez(path, **(arrays | {name: value}))
        assert f"{path} is no columns file" in refused(merging(tmp_path), capsys), name
