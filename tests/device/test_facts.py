from __future__ import annotations

import json
import statistics
import time

import pytest
from tests.stand_ins import FakeGpus, run_python

from tokenclock.device import facts
from tokenclock.device.facts import collect_facts


def test_clocks_limits_reasons_and_versions(gpus: FakeGpus) -> None:
    gpus.set("sm 0 1200", "reasons 0 5", "limit 0 350000")
    found = collect_facts()
    assert found is not None
    assert (found["driver_version"], found["cuda_version"], found["problems"]) == ("550.54.15", "12.8", [])
    assert found["gpus"] == [
        {
            "index": 0, "uuid": "GPU-00000000-0000-0000-0000-000000000000", "name": "Stand-in GPU", "mig": False,
            "compute_cap": "sm90", "memory_bytes": 80 << 30, "power_limit_w": 350.0, "sm_mhz": 1200.0,
            "sm_max_mhz": 1980, "memory_mhz": 2600.0, "memory_max_mhz": 2619, "temperature_c": 45.0,
            "throttle_reasons": ["gpu_idle", "sw_power_cap"], "persistence_mode": True, "slices": [],
        }
    ]  # fmt: skip
    assert [device["name"] for device in found["visible"]] == ["Stand-in GPU 0"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_what_is_not_told_is_none(gpus: FakeGpus) -> None:
    gpus.set("fail nvmlDeviceGetEnforcedPowerLimit 3", "fail nvmlDeviceGetPersistenceMode 4", "reasons 0 0")
    found = collect_facts()
    assert found is not None
    gpu = found["gpus"][0]
    assert (gpu["power_limit_w"], gpu["persistence_mode"], gpu["throttle_reasons"]) == (None, None, [])


def test_what_could_not_be_asked_is_told(gpus: FakeGpus, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus.set("fail nvmlInitWithFlags 9")
    monkeypatch.setenv("FAKE_CUDA_FAIL", "cuInit=100")
    found = collect_facts()
    assert found is not None
    assert (found["visible"], found["gpus"]) == ([], [])
    assert len(found["problems"]) == 2
    assert found["problems"][1] == "NVML does not start: Driver Not Loaded; see what nvidia-smi says"


def test_a_driver_that_hangs_is_told_too(gpus: FakeGpus, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus.set("hang nvmlDeviceGetCount_v2")
    monkeypatch.setattr(facts, "_LIMIT_S", 1.0)
    found = collect_facts()
    assert found is not None
    assert found["problems"] == ["the process that asks gave nothing: it gave no answer within 1 s"]


def test_a_machine_without_a_driver_has_none(no_gpu: None) -> None:
    assert collect_facts() is None


def test_the_driver_is_noticed() -> None:
    done = run_python("from tokenclock.device.facts import has_driver; print(has_driver())")
    assert done.stdout == "True\n", done.stderr
    code = "import os; from tokenclock import environment; print(environment.collect()['gpu']['driver_version'])"
    assert run_python(code).stdout == "550.54.15\n"


@pytest.mark.timing
def test_no_driver_costs_nothing(no_gpu: None) -> None:
    took_s = []
    for _ in range(5):
        start_s = time.perf_counter()
        assert not any(map(facts._can_be_loaded, ("libtokenclock-no-such.so.1", "libtokenclock-no-such.so.2")))
        took_s.append(time.perf_counter() - start_s)
    assert statistics.median(took_s) < 0.01
