"""`--external` and `build` with a stand-in `trtllm-bench` that emits a log as the original lays it out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tokenclock.__main__ import main
from tokenclock.result import Result

GOLDEN = Path(__file__).parents[1] / "golden" / "trtllm_bench.log"

STAND_IN = """\
#!{python}
import json, os, signal, sys, time
argv = sys.argv[1:]
with open({argv_file!r}, "w") as file:
    json.dump(argv, file)
print("[11/24/2026-10:00:00] [TRT-LLM] [I] Preparing to run throughput benchmark...", flush=True)
print("[11/24/2026-10:00:01] [TRT-LLM] [I] Allocated 12.50 GiB for max tokens in paged KV cache (800).", flush=True)
if "fail" in argv:
    print("ValueError: the dataset is longer than the engine allows", file=sys.stderr)
    sys.exit(2)
if "slow" in argv:
    time.sleep(30)
print("[11/24/2026-10:00:02] [TRT-LLM] [I]")
skipped = [word.partition("=")[2] for word in argv if word.startswith("--skip=")]
for line in open({golden!r}):
    if not any(line.startswith(label) for label in skipped):
        sys.stdout.write(line)
sys.exit(9 if "ends-badly" in argv else 0)
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the PATH with `trtllm-bench`; returns the file that its arguments go to."""
    program, argv = tmp_path / "bin" / "trtllm-bench", tmp_path / "argv.json"
    program.parent.mkdir()
    program.write_text(STAND_IN.format(python=sys.executable, argv_file=str(argv), golden=str(GOLDEN)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return argv


def test_its_log_is_shown_and_kept(stand_in: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--dataset=d.jsonl", f"--report_json={tmp_path / 'report.json'}", "--concurrency", "8", "--streaming"]
    assert main(["--model=llama_hf", "--model_path=/m", "throughput", "--external", *words]) == 0
    assert json.loads(stand_in.read_text()) == ["--model=llama_hf", "--model_path=/m", "throughput", *words]
    out, err = capsys.readouterr()
    assert GOLDEN.read_text() in out
    path = tmp_path / "report.tokenclock.json"
    assert f"result in {path}" in err
    content = json.loads(path.read_text())
    assert content["performance"]["total_latency_ms"] == 22560.25
    assert content["log"] == {"kv_cache_size_gib": 12.5, "engine_build_s": None}
    result = Result.load(path)
    assert result.tool == {"name": "trtllm-bench", "version": "1.2.1"}
    assert result.requests["ok"] == 3000
    assert result.requests["loop"] == "closed"
    assert result.latencies["ttft"]["mean"] == pytest.approx(1044.5e6)
    assert result.latencies["e2el"]["percentiles"]["floor"]["99"] == pytest.approx(20000.875e6)
    assert result.throughput["output_throughput"] == 16954.3125
    assert result.faces["trtllm_bench"]["left_out"] == {"log.engine_build_s": "the log has no such line"}
    assert result.quality.verdict == "VALID with warnings"
    assert result.tokens["osl"] is None


def test_a_line_that_its_log_lacks_is_said(stand_in: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", "m", "throughput", "--external", "--skip=Request Throughput"]) == 0
    assert "no line for performance.request_throughput_req_s" in capsys.readouterr().err
    (path,) = tmp_path.glob("trtllm-bench-*.tokenclock.json")
    assert json.loads(path.read_text())["performance"]["request_throughput_req_s"] is None


def test_how_it_ended_is_how_we_end(stand_in: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", "m", "throughput", "--external", "ends-badly"]) == 3
    assert len(list(tmp_path.glob("*.tokenclock.json"))) == 1
    capsys.readouterr()
    assert main(["--model", "m", "throughput", "--external", "fail"]) == 1
    err = capsys.readouterr().err
    assert "ended with exit code 2 and without a report: ValueError: the dataset is longer" in err
    assert len(list(tmp_path.glob("*.tokenclock.json"))) == 1


def test_an_interrupt_reaches_it(stand_in: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tokenclock", "--model", "m", "throughput", "--external", "slow"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        while "Allocated" not in process.stdout.readline():
            pass
        time.sleep(0.2)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "interrupted before it had a report" in err


def test_build_is_handed_to_it(stand_in: Path) -> None:
    words = ["--max_batch_size", "8"]
    assert main(["--model", "m", "-w", "/w", "build", *words]) == 0
    assert json.loads(stand_in.read_text()) == ["--model=m", "--workspace=/w", "build", *words]
    assert main(["-m", "m", "build", "fail"]) == 2, "its own exit code"


def test_without_it_both_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for words in (["throughput", "--external"], ["build"]):
        assert main(["--model", "m", *words]) == 2
        err = capsys.readouterr().err
        assert "needs trtllm-bench on the PATH, and there is none" in err
        assert len(err.splitlines()) == 1


def test_the_old_modules_name(stand_in: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tokenclock.trtllm_bench", "--model", "m", "build", "x"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(stand_in.read_text()) == ["--model=m", "build", "x"]
