from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram as ReferenceHistogram
from hdrh.log import HistogramLogReader
from tests.conftest import result_of
from tests.simulate.processes import stalling_server

from tokenclock.__main__ import main
from tokenclock.hdr_log import read_hlog
from tokenclock.metrics import latency
from tokenclock.metrics.facts import RunFacts
from tokenclock.report import columns_file, json_file

JAR = os.environ.get("TOKENCLOCK_HDR_JAR") if shutil.which("java") else None


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result with its columns."""
    path = tmp_path_factory.mktemp("results") / "run.json"
    records = stalling_server(np.random.default_rng(0), 320, 8)
    json_file.write(result_of(records, RunFacts(max_concurrency=8)), path)
    columns_file.write(records, columns_file.columns_path(path))
    return path


def run(*argv: str | Path) -> int:
    return main(["report", *map(str, argv)])


def test_alone_it_prints_markdown(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(saved) == 0
    out, err = capsys.readouterr()
    assert out.startswith("## run\n\nMeasurement quality: **")
    assert "| TTFT | 320 |" in out
    assert "| Output token throughput |" in out
    assert err == ""


def test_every_file(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = {name: tmp_path / f"r.{name}" for name in ("html", "png", "markdown")}
    assert run(saved, *(f"--{name}={path}" for name, path in paths.items())) == 0
    out, err = capsys.readouterr()
    assert (out, err.count("written to")) == ("", 3)
    assert paths["png"].read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert b'id="run0-timeline"' in paths["html"].read_bytes()
    assert paths["markdown"].read_text().startswith("## run")


def test_several_results_share_a_page_and_have_a_picture_each(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.json"
    other.write_bytes(saved.read_bytes())  # without columns
    assert run(saved, other, "--png", tmp_path / "p.png", "--html", tmp_path / "p.html") == 0
    err = capsys.readouterr().err
    assert "no picture of other: no columns of a load test lie beside its result" in err
    assert (tmp_path / "p-run.png").exists()
    assert not (tmp_path / "p-other.png").exists()
    assert "No columns lie beside this result" in (tmp_path / "p.html").read_text()


def test_an_interval_log_is_read_back(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(saved, "--hlog", tmp_path / "run.hlog") == 0
    assert capsys.readouterr().out == ""
    counts: dict[str, int] = {}
    for tag, _, _, histogram in read_hlog(tmp_path / "run.hlog"):
        counts[str(tag)] = counts.get(str(tag), 0) + histogram.total_count
    records = columns_file.read(columns_file.columns_path(saved))
    assert counts == {"ttft": 320, "tpot": 320, "e2el": 320, "itl": records.n_events - 320}


def test_the_interval_log_reads_the_same_by_the_python_implementation(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "r.hlog"
    assert run(saved, "--hlog", path) == 0
    merged: dict[str, ReferenceHistogram] = {}
    reader: Any = HistogramLogReader(str(path), ReferenceHistogram(1000, 3_600_000_000_000, 4))
    while (interval := reader.get_next_interval_histogram()) is not None:
        merged.setdefault(interval.get_tag(), ReferenceHistogram(1000, 3_600_000_000_000, 4)).add(interval)
    reader.close()
    ttft_ns = latency.ttft_ns(columns_file.read(columns_file.columns_path(saved)))
    assert set(merged) == {"ttft", "tpot", "e2el", "itl"}
    for p in (50.0, 90.0, 99.0):
        value = np.percentile(ttft_ns, p, method="inverted_cdf")
        assert merged["ttft"].get_value_at_percentile(p) == pytest.approx(value, rel=2e-4)


@pytest.mark.skipif(JAR is None, reason="needs TOKENCLOCK_HDR_JAR, HdrHistogram's jar from Maven, and java")
def test_the_interval_log_is_processed_by_the_java_implementation(saved: Path, tmp_path: Path) -> None:
    assert run(saved, "--hlog", tmp_path / "r.hlog") == 0
    command = ["java", "-cp", str(JAR), "org.HdrHistogram.HistogramLogProcessor", "-i", str(tmp_path / "r.hlog")]
    tags = subprocess.run([*command, "-listtags"], capture_output=True, text=True, check=True).stdout
    assert tags.split("\n")[1:5] == ["e2el", "itl", "tpot", "ttft"]
    out = ["-tag", "ttft", "-outputValueUnitRatio", "1000000", "-o", str(tmp_path / "ttft")]
    subprocess.run([*command, *out], check=True)
    percentiles = (tmp_path / "ttft.hgrm").read_text()  # what HdrHistogram's page of plots takes
    assert "       Value     Percentile TotalCount 1/(1-Percentile)" in percentiles
    assert re.search(r"Total count +=\s+320\]", percentiles)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "expected a RESULT, or --from-events DIR"),
        (["RUN", "--from-events", "x"], "--from-events is used without RESULT"),
        (["RUN", "--json", "x"], "--json is used with --from-events only"),
        (["RUN", "--html", "nowhere/x"], "there is no directory nowhere); make it first"),
        (["CUT", "--png", "/proc/x.png"], "--png must name a file that can be written, got /proc/x.png"),
        (["CUT", "--hlog", "/"], "--hlog must name a file that can be written, got / (it is a directory)"),
        (["RUN", "--html", "x", "--markdown", "./x"], "name the same file"),
        (["RUN", "RUN", "--hlog", "x"], "--hlog takes one result with its columns, got 2 results"),
        (["--from-events", "nowhere"], "nowhere is no event log"),
        (["FOREIGN"], "holds no result of tokenclock but benchmark_serving; `tokenclock compare` reads those"),
        (["CUT"], "is no whole JSON"),
        (["EMPTY"], "empty holds no result: expected a JSON of tokenclock serving or benchmark in it"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    saved: Path, tmp_path: Path, argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "foreign.json").write_text(json.dumps({"completed": 1, "duration": 1, "request_throughput": 1}))
    (tmp_path / "cut.json").write_text(saved.read_text()[:500])
    places = {
        "RUN": saved,
        "FOREIGN": tmp_path / "foreign.json",
        "CUT": tmp_path / "cut.json",
        "EMPTY": tmp_path / "empty",
    }
    places["EMPTY"].mkdir()
    assert run(*(places.get(word, word) for word in argv)) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err


def test_help_starts_without_numpy() -> None:
    code = (
        "import sys; from tokenclock.cli.report import build_parser; build_parser(); sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
