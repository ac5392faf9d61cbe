"""The report as JSON: against a golden file, and read again as a result."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from tests.conftest import MakeResult
from tests.metrics.test_trtllm_bench_face import REQUESTS, facts, hand_records

from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.trtllm_bench_face import trtllm_bench_face
from tokenclock.report.trtllm_bench_files import FACE, report, write_json, write_lines
from tokenclock.result import Result

GOLDEN = Path(__file__).parents[1] / "golden" / "trtllm_bench_report.json"


def test_the_report_is_the_golden_one(tmp_path: Path) -> None:
    sections = trtllm_bench_face(hand_records(REQUESTS), facts())["sections"]
    write_json(sections, tmp_path / "report.json")
    assert (tmp_path / "report.json").read_text() == GOLDEN.read_text()


def test_the_whole_result_lies_under_its_own_key(make_result: MakeResult, tmp_path: Path) -> None:
    records = hand_records(REQUESTS)
    plain = make_result(REQUESTS, RunFacts(model="m", num_prompts=4))
    result = replace(plain, faces={**plain.faces, FACE: trtllm_bench_face(records, facts())})
    content = report(result)
    assert list(content)[-1] == "tokenclock"
    assert content["performance"]["total_latency_ms"] == 80
    write_json(content, tmp_path / "report.json")
    assert Result.load(tmp_path / "report.json").to_dict() == result.to_dict()


def test_lines_are_json(tmp_path: Path) -> None:
    write_lines([{"iter": 0, "stats": None}, {"iter": 1}], tmp_path / "log")
    lines = (tmp_path / "log").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"iter": 0, "stats": None}, {"iter": 1}]
