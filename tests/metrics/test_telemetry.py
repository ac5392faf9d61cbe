"""GPU quantities from DCGM exporters: the page, the scales, the numbering of GPUs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from tokenclock.metrics.telemetry import dcgm_statistics, nvml_statistics
from tokenclock.report.genai_perf_telemetry import csv_rows, render
from tokenclock.serving import dcgm
from tokenclock.serving.dcgm import DcgmWatch, read_page

PAGE = """\
# HELP DCGM_FI_DEV_POWER_USAGE Power draw (in W).
# TYPE DCGM_FI_DEV_POWER_USAGE gauge
DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-a",device="nvidia0",modelName="X, Y"} 100.5
DCGM_FI_DEV_POWER_USAGE{gpu="1",UUID="GPU-b",device="nvidia1"} 50 1700000000000
DCGM_FI_DEV_FB_TOTAL{gpu="0",UUID="GPU-a"} 1000
DCGM_FI_DEV_FB_USED{gpu="0",UUID="GPU-a"} NaN
DCGM_FI_DEV_GPU_UTIL{UUID="GPU-a"} 5
other_metric{gpu="0"} 3
DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{gpu="0",UUID="GPU-a"} 2.5e9
"""


def test_a_page() -> None:
    assert read_page(PAGE) == {
        ("DCGM_FI_DEV_POWER_USAGE", "0"): 100.5,
        ("DCGM_FI_DEV_POWER_USAGE", "1"): 50.0,
        ("DCGM_FI_DEV_FB_TOTAL", "0"): 1000.0,
        ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "0"): 2.5e9,
    }


def test_statistics_and_scales() -> None:
    power, total = ("DCGM_FI_DEV_POWER_USAGE", "0"), ("DCGM_FI_DEV_FB_TOTAL", "0")
    looks = [{power: 100.0, total: 1000.0}, {power: 200.0, total: 1000.0}]
    found = dcgm_statistics({"http://a": looks, "http://b": [{power: 7.0}]})
    assert found is not None
    assert list(found) == ["gpu_power_usage", "total_gpu_memory"]
    usage = found["gpu_power_usage"]
    assert (usage["unit"], usage["gpu0"]["avg"], usage["gpu0"]["std"], usage["gpu0"]["p25"]) == ("W", 150, 50, 125)
    assert usage["gpu1"]["max"] == 7  # the second exporter's GPU 0
    assert found["total_gpu_memory"]["gpu0"] == {"avg": pytest.approx(1.048576)}
    assert dcgm_statistics({"http://a": []}) is None


def test_our_own_sampler_gives_what_it_keeps() -> None:
    device = {
        "index": 2,
        "lost": False,
        "power_w": {"min": 1.0, "mean": 2.0, "max": 4.0},
        "temperature_c": None,
        "clocks": {},
    }
    found = nvml_statistics({"usage": {"per_device": [device]}})
    assert found is not None
    assert list(found) == ["gpu_power_usage"]
    gpu = found["gpu_power_usage"]["gpu2"]
    assert (gpu["avg"], gpu["min"], gpu["max"], gpu["p99"], gpu["std"]) == (2, 1, 4, None, None)
    assert nvml_statistics(None) is None


def test_tables_and_csv_blocks() -> None:
    found = dcgm_statistics({"http://a": [read_page(PAGE)]})
    assert found is not None
    shown = render(found)
    assert shown.index("GPU Power Metrics") < shown.index("GPU Power Usage (W)") < shown.index("GPU Memory Metrics")
    assert "gpu1" in shown
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(csv_rows(found))
    statistics, constants = text.getvalue().strip().split("\n\n")
    assert statistics.splitlines()[0].startswith("Metric,GPU,avg,min,max,p99")
    assert constants.splitlines() == ["Metric,GPU,Value", "Total GPU Memory (GB),gpu0,1.05"]


@pytest.fixture
def exporter() -> Iterator[str]:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(PAGE.encode())

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/metrics"
        server.shutdown()
        thread.join()


def test_an_exporter_is_read_until_the_end(exporter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dcgm, "_INTERVAL_S", 0.01)
    said: list[str] = []
    watch = DcgmWatch([exporter, "http://127.0.0.1:1/metrics"], said.append)
    watch.begin()
    while len(watch.readings[exporter]) < 3:
        pass
    watch.end()
    assert len(said) == 1
    assert said[0] == "tokenclock serving: no GPU telemetry from http://127.0.0.1:1/metrics: Connection refused"
    assert watch.readings[exporter][0][("DCGM_FI_DEV_POWER_USAGE", "0")] == 100.5
    assert watch.readings["http://127.0.0.1:1/metrics"] == []
