"""Runs of several clients become one result: on one axis of time, and only where they have time in common."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conftest import hand_records, result_of

from tokenclock.cli.process_export_files import main
from tokenclock.errors import UsageError
from tokenclock.merge_exports import Export, merge_exports, read_exports
from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.time_overlap import overlap_of
from tokenclock.plan import EndpointPlan, LoadPlan, ServerPlan, ServingPlan, SyntheticDataset
from tokenclock.report import columns_file, genai_perf_json
from tokenclock.result import Result

S = 1_000_000_000
PERCENTILES = ("p1", "p5", "p10", "p25", "p50", "p75", "p90", "p95", "p99")
DAY = 1_700_000_000 * S


def run(
    folder: Path,
    name: str,
    begin_s: float,
    *,
    n: int = 4,
    concurrency: int = 1,
    gpus: dict[str, Any] | None = None,
    dcgm_urls: tuple[str, ...] = (),
    **asked: Any,
) -> Export:
    """n requests one after the other, a second each, three tokens each."""
    requests = [
        {"sent": i * S, "tokens": [i * S + S // 2, i * S + 3 * S // 4, (i + 1) * S], "isl_requested": 5}
        for i in range(n)
    ]
    epoch_ns = DAY + round(begin_s * S)
    records = hand_records(requests, client={"epoch_realtime_ns": epoch_ns, "wall_ns": n * S, "interrupted": False})
    plan = ServingPlan(
        endpoint=EndpointPlan("m"), load=LoadPlan(num_prompts=n, max_concurrency=concurrency),
        dataset=SyntheticDataset(), command="profile", server=ServerPlan(dcgm_urls=dcgm_urls),
        asked={"model": ["m"], "endpoint_type": "chat", "streaming": True, "concurrency": concurrency, **asked},
    ).to_dict()  # fmt: skip
    result = result_of(records, RunFacts(max_concurrency=concurrency), plan=plan)
    if gpus is not None:
        faces = result.to_dict()["faces"]
        faces["profile"]["telemetry"] = gpus
        result = replace(result, faces=faces)
    path = folder / name / "x" / "profile_export_genai_perf.json"
    path.parent.mkdir(parents=True)
    genai_perf_json.write(result, path)
    columns_file.write(records, columns_file.columns_path(path))
    return Export(path, result, records)


def test_rates_are_totals_over_the_whole_time(tmp_path: Path) -> None:
    run(tmp_path, "a", 0.0)
    run(tmp_path, "b", 1.5)
    result, records, overlap = merge_exports(read_exports(tmp_path))
    assert overlap.share == pytest.approx(2.5 / 5.5)
    metrics = result.faces["profile"]["metrics"]
    assert metrics["request_count"]["avg"] == 8
    assert metrics["request_throughput"]["avg"] == pytest.approx(8 / 5.5)  # the original says 1 + 1
    assert metrics["output_token_throughput"]["avg"] == pytest.approx(24 / 5.5)
    assert metrics["time_to_first_token"]["max"] == 500
    assert np.diff(records.columns["t_sent_ns"][[0, 4]]) == [3 * S // 2]
    assert records.t_token_ns[12] - records.t_token_ns[0] == 3 * S // 2
    assert result.plan["command"] == "profile"
    assert result.ranks is not None
    assert [part["t_first_sent_ns"] for part in result.ranks["of"]] == [DAY, DAY + 3 * S // 2]


def test_runs_without_common_time_are_refused(tmp_path: Path) -> None:
    run(tmp_path, "a", 0.0)
    run(tmp_path, "b", 4.25)
    with pytest.raises(UsageError, match=r"b/.* began 0\.250 s after .*a/.* had ended; start the clients together"):
        merge_exports(read_exports(tmp_path))


def test_runs_of_different_configuration_are_refused(tmp_path: Path) -> None:
    run(tmp_path, "a", 0.0)
    run(tmp_path, "b", 0.0, endpoint_type="completions")
    with pytest.raises(UsageError, match=r"has endpoint_type completions, .* chat"):
        merge_exports(read_exports(tmp_path))


def test_the_command_writes_files_that_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path / "in", "a", 0.0)
    run(tmp_path / "in", "b", 1.5)
    assert main(["-d", str(tmp_path / "in"), "--artifact-dir", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr()
    assert "Request Count (count)" in shown.out
    assert "all runs were under way for 45% of the time" in shown.err
    assert "runs sent the same prompts" in shown.err
    merged = Result.load(tmp_path / "out" / "profile_export_genai_perf.json")
    assert merged.requests["ok"] == 8
    assert columns_file.read(tmp_path / "out" / "profile_export_genai_perf.columns.npz").n_requests == 8
    assert (tmp_path / "out" / "profile_export_genai_perf.csv").read_text().startswith("Metric,avg,")


def power(**by_gpu: tuple[float, float, float]) -> dict[str, Any]:
    """Mean, lowest and highest power of GPUs."""
    return {
        "gpu_power_usage": {
            "unit": "W",
            **{
                gpu: {"avg": mean, **dict.fromkeys(PERCENTILES, mean), "min": low, "max": high, "std": 1.0}
                for gpu, (mean, low, high) in by_gpu.items()
            },
        },
        "gpu_power_limit": {"unit": "W", **{gpu: {"avg": 700.0} for gpu in by_gpu}},
    }


def test_gpus_of_several_exporters_are_numbered_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path / "in", "a", 0.0, gpus=power(gpu0=(100, 50, 200), gpu1=(10, 5, 20)), dcgm_urls=("http://a:9400",))
    run(tmp_path / "in", "b", 0.001)
    run(tmp_path / "in", "c", 0.002, gpus=power(gpu0=(300, 1, 400)), dcgm_urls=("http://c:9400",))
    result, _, _ = merge_exports(read_exports(tmp_path / "in"))
    telemetry = result.faces["profile"]["telemetry"]
    assert {gpu: values["avg"] for gpu, values in telemetry["gpu_power_usage"].items() if gpu != "unit"} == {
        "gpu0": 100,
        "gpu1": 10,
        "gpu2": 300,
    }
    assert telemetry["gpu_power_usage"]["gpu2"]["p50"] == 300
    assert telemetry["gpu_power_limit"]["gpu1"] == {"avg": 700.0}
    assert main(["-d", str(tmp_path / "in"), "--artifact-dir", str(tmp_path / "out")]) == 0
    written = json.loads((tmp_path / "out" / "profile_export_genai_perf.json").read_text())
    assert written["telemetry_stats"]["gpu_power_usage"]["gpu2"]["max"] == 400
    assert "GPU Power Usage (W),gpu2," in (tmp_path / "out" / "profile_export_genai_perf.csv").read_text()
    assert "GPU Power Metrics" in capsys.readouterr().out


def test_gpus_that_two_clients_saw_are_there_once(tmp_path: Path) -> None:
    """One of 4 s and one of 2 s: the mean is (4 * 100 + 2 * 400) / 6."""
    urls = ("http://server:9400/metrics",)
    run(tmp_path, "a", 0.0, n=4, gpus=power(gpu0=(100, 50, 200)), dcgm_urls=urls)
    run(tmp_path, "b", 0.0, n=2, gpus=power(gpu0=(400, 60, 500)), dcgm_urls=urls)
    telemetry = merge_exports(read_exports(tmp_path))[0].faces["profile"]["telemetry"]
    assert dict(telemetry["gpu_power_usage"]) == {
        "unit": "W",
        "gpu0": {"avg": pytest.approx(200), **dict.fromkeys(PERCENTILES), "min": 50, "max": 500, "std": None},
    }
    assert telemetry["gpu_power_limit"]["gpu0"] == {"avg": pytest.approx(700)}


def test_without_gpus_there_is_no_telemetry(tmp_path: Path) -> None:
    run(tmp_path, "a", 0.0)
    assert merge_exports(read_exports(tmp_path))[0].faces["profile"]["telemetry"] is None


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--input-directory must be a directory"):
        read_exports(tmp_path / "none")
    with pytest.raises(UsageError, match=r"holds no \*_genai_perf.json in its sub-directories"):
        read_exports(tmp_path)
    export = run(tmp_path, "a", 0.0)
    columns_file.columns_path(export.path).unlink()
    with pytest.raises(UsageError, match=r"columns\.npz is missing"):
        read_exports(tmp_path)
    export.path.write_text(
        '{"request_latency": {"unit": "ms", "avg": 3}, "request_count": {"unit": "count", "avg": 3}}'
    )
    with pytest.raises(UsageError, match=r"profile_export\.json is missing: the requests of .* are in it"):
        read_exports(tmp_path)
    export.path.write_text('{"request_count": {"unit": "count", "avg": 3}}')
    with pytest.raises(UsageError, match="holds no tokenclock result"):
        read_exports(tmp_path)


@pytest.mark.parametrize(
    ("windows", "share"),
    [([(0, 10)], 1.0), ([(0, 10), (5, 20)], 0.25), ([(0, 10), (10, 20)], 0.0), ([(0, 1), (5, 6)], 0.0)],
)
def test_common_time(windows: list[tuple[int, int]], share: float) -> None:
    assert overlap_of(windows).share == share


def test_a_run_that_was_copied_twice_is_refused(tmp_path: Path) -> None:
    run(tmp_path, "a", 0.0)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    with pytest.raises(UsageError, match=r"b/.* is the same run as .*a/.*; remove one of them"):
        merge_exports(read_exports(tmp_path))
