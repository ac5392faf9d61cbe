"""The event log and the GPUs' figures of `throughput`: what a killed run leaves, what a whole one does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests import stand_ins

from tokenclock import PacedServer, event_log
from tokenclock.__main__ import main
from tokenclock.from_events import rebuild
from tokenclock.plan_throughput import BenchOutput, BenchRuntime, BenchServer, ThroughputPlan
from tokenclock.plan_transport import TransportPlan
from tokenclock.readers.read import read_file
from tokenclock.result import Result

TINY = "tiny:llama"


def write_rows(path: Path, n: int, tokens: int = 200) -> Path:
    draws = np.random.default_rng(3)
    rows = [{"task_id": i, "input_ids": draws.integers(3, 2000, 8).tolist(), "output_tokens": tokens} for i in range(n)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def words(model: str, dataset: Path, *flags: str) -> list[str]:
    return ["--model", model, "throughput", "--dataset", str(dataset), "--disable-tqdm", *flags]


def kill_after_parts(command: list[str], log: Path, n_parts: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tokenclock", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        end = time.monotonic() + 60
        while len(list(log.glob("part-*.npz"))) < n_parts and time.monotonic() < end:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)


def test_a_killed_run_leaves_all_but_its_last_second(tmp_path: Path) -> None:
    pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed (pip install 'tokenclock[offline]')")
    dataset, report, log = write_rows(tmp_path / "d.jsonl", 20_000), tmp_path / "r.json", tmp_path / ".r.events"
    command = words(TINY, dataset, "--streaming", "--concurrency", "2", "--report_json", str(report))
    kill_after_parts(command, log, 4)  # the first has the lengths asked for
    assert not report.exists()
    result, records, _ = rebuild(log)
    assert result.incomplete
    assert result.plan["command"] == "throughput"
    assert records is not None
    ok = records.ok
    assert ok.sum() > 10
    assert (records.columns["osl"][ok] == 200).all()
    assert (np.diff(records.token_offsets)[ok] == 200).all()
    assert result.latencies["ttft"]["n"] == ok.sum()
    first, last = records.columns["t_first_token_ns"][ok], records.columns["t_last_token_ns"][ok]
    assert (first <= last).all()
    again = main(["report", "--from-events", str(log), "--json", str(tmp_path / "again.json")])
    assert again == 0
    assert Result.load(tmp_path / "again.json").requests["ok"] == ok.sum()


def test_a_killed_run_on_a_server_does_too(tmp_path: Path) -> None:
    dataset, report, log = write_rows(tmp_path / "d.jsonl", 20_000, 20), tmp_path / "r.json", tmp_path / ".r.events"
    with PacedServer(ttft_ms=5, itl_ms=1) as server:
        flags = ("--base-url", server.url, "--streaming", "--concurrency", "4", "--report_json", str(report))
        kill_after_parts(words("paced", dataset, *flags), log, 4)
    result, records, _ = rebuild(log)
    assert result.incomplete
    assert records is not None
    assert records.ok.sum() > 10


@pytest.mark.parametrize("streaming", [True, False])
def test_the_log_has_what_the_report_has(tmp_path: Path, streaming: bool) -> None:
    dataset, report, log = write_rows(tmp_path / "d.jsonl", 40, 5), tmp_path / "r.json", tmp_path / "log"
    flags = ["--runtime", "null", "--report_json", str(report), "--save-events", str(log)]
    assert main(words(TINY, dataset, *flags, *(["--streaming"] if streaming else []))) == 0
    assert not (tmp_path / ".r.events").exists()
    plan, logged, incomplete = event_log.read(log)
    assert not incomplete
    assert ThroughputPlan.from_dict(plan).to_dict() == plan
    own = read_file(str(report))[0].records()  # type: ignore[union-attr]
    assert own is not None
    for name, column in own.columns.items():
        np.testing.assert_array_equal(logged.columns[name], column, err_msg=name)
    assert (logged.t_token_ns == own.t_token_ns).all()
    assert (logged.token_offsets == own.token_offsets).all()
    assert main(words(TINY, dataset, *flags)) == 2, "it holds another run's events"


def test_a_whole_run_leaves_no_log(tmp_path: Path) -> None:
    dataset, report = write_rows(tmp_path / "d.jsonl", 4, 5), tmp_path / "r.json"
    assert main(words(TINY, dataset, "--runtime", "null", "--report_json", str(report))) == 0
    with PacedServer(ttft_ms=1, itl_ms=1) as server:
        assert main(words("paced", dataset, "--base-url", server.url, "--report_json", str(report))) == 0
    assert main(words(str(tmp_path / "nothing"), dataset, "--report_json", str(report))) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.jsonl", "r.columns.npz", "r.json"]


def test_a_plan_comes_back_as_it_was() -> None:
    runtime = BenchRuntime("m", runtime="trtllm-engine", max_batch_size=4, gpu_sampling_interval_ms=0)
    plan = ThroughputPlan("m", "d", runtime=runtime, concurrency=3, output=BenchOutput(save_events="e"))
    assert ThroughputPlan.from_dict(plan.to_dict()) == plan
    server = BenchServer("http://h:1", headers=(("K", "v"),), transport=TransportPlan(unix_socket="/s"))
    masked = ThroughputPlan("m", "d", server=server).to_dict()
    assert ThroughputPlan.from_dict(masked).to_dict() == masked


def throughput_with_gpus(folder: Path, *flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    dataset = write_rows(folder / "d.jsonl", 20, 200)
    command = words(TINY, dataset, "--streaming", "--concurrency", "1", "--report_json", str(folder / "r.json"), *flags)
    return subprocess.run(
        [sys.executable, "-m", "tokenclock", *command],
        capture_output=True, text=True, timeout=120, env={**os.environ, **environment}, check=False,
    )  # fmt: skip


def test_peaks_of_the_gpus_are_in_the_result(tmp_path: Path) -> None:
    gpus = stand_ins.FakeGpus(tmp_path / "gpus.txt")
    gpus.set("gpus 1", "used 0 2147483648")
    seen = {"LD_LIBRARY_PATH": str(stand_ins.directory()), "FAKE_NVML_STATE": str(gpus.path), "FAKE_CUDA_DEVICES": "1"}
    run = throughput_with_gpus(tmp_path, "--device", "cpu", "--runtime", "null", **seen)
    assert run.returncode == 0, run.stderr
    report, _, rest = run.stdout.partition("=============== GPUs of this host ================\n")
    assert "= PERFORMANCE OVERVIEW" in report
    assert "Peak memory, device (GiB):               2.00\n" in rest
    gpu = json.loads((tmp_path / "r.json").read_text())["tokenclock"]["gpu"]
    assert gpu["usage"]["label"] == "load"
    assert gpu["usage"]["peak_device_bytes"] == 2 << 30
    switched_off = throughput_with_gpus(tmp_path, "--gpu-sampling-interval", "0", "--runtime", "null", **seen)
    assert switched_off.returncode == 0
    assert "GPUs of this host" not in switched_off.stdout
    assert json.loads((tmp_path / "r.json").read_text())["tokenclock"]["gpu"] is None


def test_without_gpus_nothing_is_said(tmp_path: Path) -> None:
    for name in stand_ins.LIBRARIES.values():
        (tmp_path / name).write_text("no library")
    run = throughput_with_gpus(tmp_path, "--runtime", "null", LD_LIBRARY_PATH=str(tmp_path))
    assert run.returncode == 0, run.stderr
    assert "GPU" not in run.stderr
    assert "GPUs of this host" not in run.stdout
    assert json.loads((tmp_path / "r.json").read_text())["tokenclock"]["gpu"]["usage"]["per_device"] == []
