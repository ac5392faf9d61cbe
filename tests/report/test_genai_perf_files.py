"""The files and the table of `profile`: byte for byte those of tests/golden, and readable by the original's rules."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conftest import MakeRecords, MakeResult, hand_records

from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.genai_perf_face import STATISTICS
from tokenclock.metrics.request_series import request_series, window_ns
from tokenclock.report import genai_perf_csv, genai_perf_json, genai_perf_profile, genai_perf_table
from tokenclock.report.genai_perf_profile import cut_text
from tokenclock.result import Result

GOLDEN = Path(__file__).parents[1] / "golden"
MS = 1_000_000
REQUESTS: list[dict[str, Any]] = [
    {
        "sent": start * MS,
        "tokens": [(start + 1200 + 25 * token) * MS for token in range(4 + row)],
        "isl_requested": 8,
        "isl_server": 8 + row,
    }
    for row, start in enumerate((0, 3, 4500, 4600))
]
FACTS = RunFacts(max_concurrency=2, slos_ms={"ttft": 2000})
PLAN = {"command": "profile", "asked": {"model": ["m"], "concurrency": 2, "header": ["Key: ***"]}}
PAYLOADS = [json.dumps({"model": "m", "messages": [{"role": "user", "content": f"h\u00e9 {row}"}]}) for row in range(4)]


@pytest.fixture
def result(make_result: MakeResult) -> Result:
    return make_result(REQUESTS, FACTS, plan=PLAN)


def golden(name: str, text: str) -> None:
    assert text == (GOLDEN / name).read_text(encoding="utf-8")


def test_the_table(result: Result) -> None:
    golden("genai_perf_table.txt", genai_perf_table.render(result))


def test_the_table_for_terminals_without_boxes(result: Result) -> None:
    genai_perf_table.render(result, ascii_only=True).encode("ascii")


def test_the_csv(result: Result, tmp_path: Path) -> None:
    genai_perf_csv.write(result, tmp_path / "a.csv")
    golden("genai_perf.csv", (tmp_path / "a.csv").read_text())
    blocks = [list(csv.reader(block.splitlines())) for block in genai_perf_csv.content(result).split("\n\n")]
    assert blocks[0][0] == [
        "Metric",
        *["avg", "min", "max", "p99", "p95", "p90", "p75", "p50", "p25", "p10", "p5", "p1"],
    ]
    latency = next(row for row in blocks[0] if row[0] == "Request Latency (ms)")
    assert float(latency[1].replace(",", "")) == pytest.approx(1312.5)  # 1200 + 25 * (3 + 4 + 5 + 6) / 4
    assert blocks[1][0] == ["Metric", "Value"]
    assert blocks[1][-1] == ["Request Count (count)", "4.00"]


def test_the_json_has_an_object_per_metric_and_the_native_result(result: Result, tmp_path: Path) -> None:
    genai_perf_json.write(result, tmp_path / "a.json")
    found = json.loads((tmp_path / "a.json").read_text())
    assert Result.load(tmp_path / "a.json") == result
    native = found.pop("tokenclock")
    golden("genai_perf.json", json.dumps(found, indent=2) + "\n")
    assert native["faces"]["profile"]["percentile_rule"] == "linear"
    assert list(found["time_to_first_token"]) == ["unit", *STATISTICS]
    assert found["request_count"] == {"unit": "count", "avg": 4}


def write_profile(
    path: Path, *, streaming: bool = True, form: str = "openai-chat", texts: bool = True
) -> dict[str, Any]:
    records = hand_records(REQUESTS, client={"epoch_realtime_ns": 1_700_000_000 * 10**9})
    if texts:
        object.__setattr__(records, "texts", ["one two thrée", "abcdefg", "", "x" * 60])
    genai_perf_profile.write_profile(
        request_series(records), PAYLOADS.__getitem__, path, experiment={"mode": "concurrency", "value": 2},
        endpoint="v1/chat/completions", window_ns=window_ns(records), streaming=streaming, form=form, version="0",
    )  # fmt: skip
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_the_file_of_requests(tmp_path: Path) -> None:
    found = write_profile(tmp_path / "a.json")
    golden("genai_perf_profile.json", (tmp_path / "a.json").read_text())
    assert [found["service_kind"], found["endpoint"]] == ["openai", "v1/chat/completions"]
    (experiment,) = found["experiments"]
    assert experiment["experiment"] == {"mode": "concurrency", "value": 2}
    assert [json.loads(request["request_inputs"]["payload"]) for request in experiment["requests"]] == [
        json.loads(payload) for payload in PAYLOADS
    ]


def read_as_the_original(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The original's rules: events without content are removed with their stamps; times from the rest."""
    seen = []
    for request in found["experiments"][0]["requests"]:
        stamps, text = [], ""
        if "response_outputs" not in request:
            continue
        for stamp, output in zip(request["response_timestamps"], request["response_outputs"], strict=True):
            event = output["response"].strip()
            assert event.startswith("data: ")
            content = json.loads(event.removeprefix("data: "))["choices"][0]["delta"].get("content")
            if content:
                stamps.append(stamp)
                text += content
        if stamps:
            sent = request["timestamp"]
            seen.append({"ttft": stamps[0] - sent, "latency": stamps[-1] - sent, "n": len(stamps), "text": text})
    return seen


def test_the_originals_parser_gets_our_numbers_from_it(tmp_path: Path, make_records: MakeRecords) -> None:
    seen = read_as_the_original(write_profile(tmp_path / "a.json"))
    records = make_records(REQUESTS)
    with_text = [0, 1, 3]  # a reply without text is skipped by the original
    ttft = (records.columns["t_first_token_ns"] - records.columns["t_sent_ns"])[with_text]
    latency = (records.columns["t_last_token_ns"] - records.columns["t_sent_ns"])[with_text]
    assert [request["ttft"] for request in seen] == ttft.tolist()
    assert [request["latency"] for request in seen] == latency.tolist()
    assert [request["n"] for request in seen] == np.diff(records.token_offsets)[with_text].tolist()
    assert [request["text"] for request in seen] == ["one two thrée", "abcdefg", "x" * 60]


def test_whole_answers_are_bodies(tmp_path: Path) -> None:
    found = write_profile(tmp_path / "a.json", streaming=False, form="openai")
    first = found["experiments"][0]["requests"][0]["response_outputs"][0]["response"]
    assert json.loads(first)["object"] == "text_completion"


def test_cuts_that_were_not_kept_are_said_and_texts_that_were_not_are_left_out(tmp_path: Path) -> None:
    requests = write_profile(tmp_path / "a.json")["experiments"][0]["requests"]
    assert [request.get("tokenclock_cuts") for request in requests] == ["by tokens", "by tokens", None, "by tokens"]
    assert "response_outputs" not in requests[2], "its text is empty: nothing was kept of it"
    assert len(requests[2]["response_timestamps"]) == len(REQUESTS[2]["tokens"])
    for without in (write_profile(tmp_path / "b.json", texts=False), write_profile(tmp_path / "c.json", form="rerank")):
        assert all("response_outputs" not in request for request in without["experiments"][0]["requests"])
        assert "have no response_outputs" in without["tokenclock_note"]


def test_an_answer_of_one_event_is_as_it_came(tmp_path: Path) -> None:
    records = hand_records([{"sent": 0, "tokens": [5_000_000]}], client={"epoch_realtime_ns": 10**18})
    object.__setattr__(records, "texts", ["a whole answer"])
    genai_perf_profile.write_profile(
        request_series(records), lambda row: "{}", tmp_path / "a.json", experiment={}, endpoint="v1/completions",
        window_ns=window_ns(records), streaming=True, form="openai", version="0",
    )  # fmt: skip
    (request,) = json.loads((tmp_path / "a.json").read_text())["experiments"][0]["requests"]
    assert request["response_timestamps"] == [10**18 + 5_000_000]
    assert request["tokenclock_cuts"] == "as received"
    (output,) = request["response_outputs"]
    assert json.loads(output["response"].removeprefix("data: "))["choices"] == [{"index": 0, "text": "a whole answer"}]


@pytest.mark.parametrize("text", ["", "a", "abcdef", "é" * 100])
@pytest.mark.parametrize("n_tokens", [[1], [1, 1, 1], [1, 4, 1, 0], [-1]])
def test_the_pieces_of_a_text_are_the_text(text: str, n_tokens: list[int]) -> None:
    pieces = cut_text(text, n_tokens)
    assert "".join(pieces) == text
    assert len(pieces) == len(n_tokens)
    assert all(pieces) or len(text) < len(n_tokens)


def test_the_inputs(tmp_path: Path) -> None:
    genai_perf_profile.write_inputs(((text, {}) for text in PAYLOADS), tmp_path / "inputs.json")
    golden("genai_perf_inputs.json", (tmp_path / "inputs.json").read_text())
    found = json.loads((tmp_path / "inputs.json").read_text())
    assert [row["payload"][0] for row in found["data"]] == [json.loads(payload) for payload in PAYLOADS]
