"""Runs of genai-perf itself are merged by time, with each other and with ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tokenclock.cli.process_export_files import main
from tokenclock.errors import UsageError
from tokenclock.merge_exports import merge_exports, read_exports
from tokenclock.report import columns_file
from tokenclock.result import Result

GOLDEN = Path(__file__).parent / "golden" / "perf_analyzer_profile.json"
S = 1_000_000_000
STATISTICS = {
    "request_latency": {"unit": "ms", "avg": 35.0},
    "request_count": {"unit": "count", "avg": 2.0},
    "input_config": {"model_names": ["org/m"], "perf_analyzer": {"stimulus": {"concurrency": 2}}},
}


def run(folder: Path, name: str, *, later_ns: int = 0, usage: bool = True) -> None:
    """The golden run as genai-perf leaves it, begun later; without usage its two answers have no token count."""
    found: dict[str, Any] = json.loads(GOLDEN.read_text("utf-8"))
    for request in found["experiments"][0]["requests"]:
        request["timestamp"] += later_ns
        request["response_timestamps"] = [stamp + later_ns for stamp in request["response_timestamps"]]
        if not usage:
            request["response_outputs"] = [
                {"response": "data: [DONE]\n\n"} if "usage" in output["response"] else output
                for output in request["response_outputs"]
            ]
    place = folder / name / "org_m-openai-chat-concurrency2"
    place.mkdir(parents=True)
    (place / "profile_export.json").write_text(json.dumps(found), "utf-8")
    (place / "profile_export_genai_perf.json").write_text(json.dumps(STATISTICS), "utf-8")


def test_they_are_on_one_axis(tmp_path: Path) -> None:
    run(tmp_path, "a")
    run(tmp_path, "b", later_ns=S // 100)
    result, records, overlap = merge_exports(read_exports(tmp_path))
    # a: 0 to 45 ms, b: 10 to 55 ms, so 35 ms of 55 are common; five of six requests' instants by hand
    assert overlap.share == pytest.approx(35 / 55)
    assert (records.columns["t_sent_ns"] // 1_000_000).tolist() == [0, 5, 50, 10, 15, 60]
    assert result.requests["by_status"] == {"ok": 4, "stream_error": 2}
    metrics = result.faces["profile"]["metrics"]
    assert metrics["request_count"]["avg"] == 4
    assert metrics["request_throughput"]["avg"] == pytest.approx(4 / 0.055)
    assert metrics["time_to_first_token"]["avg"] == pytest.approx(20.0)  # 20 and 20 ms, twice
    assert metrics["request_latency"]["avg"] == pytest.approx(35.0)  # 30 and 40 ms, twice
    assert result.to_dict()["plan"]["asked"]["input_config"] == STATISTICS["input_config"]
    assert metrics["output_token_throughput"]["avg"] is None  # two answers have no count
    assert result.ranks is not None
    assert [part["host"] for part in result.ranks["of"]] == [None, None]


def test_runs_that_do_not_overlap_are_refused(tmp_path: Path) -> None:
    run(tmp_path, "a")
    run(tmp_path, "b", later_ns=S)
    with pytest.raises(UsageError, match=r"b/.* began 0\.955 s after .*a/.* had ended"):
        merge_exports(read_exports(tmp_path))


def test_the_command_says_what_is_lacking(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path / "in", "a", usage=False)
    run(tmp_path / "in", "b", later_ns=1000, usage=False)
    assert main(["-d", str(tmp_path / "in"), "--artifact-dir", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr()
    assert "2 runs are genai-perf's own: failed requests are not in its files" in shown.err
    assert "4 of their answers have no token count" in shown.err
    assert "runs sent the same prompts" not in shown.err  # that is not known
    merged = json.loads((tmp_path / "out" / "profile_export_genai_perf.json").read_text("utf-8"))
    assert merged["request_count"]["avg"] == 4
    assert merged["output_token_throughput"]["avg"] is None
    assert merged["output_sequence_length"]["avg"] is None
    assert Result.load(tmp_path / "out" / "profile_export_genai_perf.json").requests["ok"] == 4
    assert columns_file.read(tmp_path / "out" / "profile_export_genai_perf.columns.npz").n_requests == 6
