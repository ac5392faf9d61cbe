from __future__ import annotations

from pathlib import Path

import pytest
from tests import stand_ins

from tokenclock.device import facts


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> stand_ins.FakeGpus:
    """A machine with stand-in GPUs: for child processes, which load the libraries anew."""
    state = stand_ins.FakeGpus(tmp_path / "gpus.txt")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(stand_ins.directory()))
    monkeypatch.setenv("FAKE_NVML_STATE", str(state.path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    monkeypatch.setattr(facts, "has_driver", lambda: True)
    facts._ask.cache_clear()
    return state


@pytest.fixture
def no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose NVIDIA libraries, if any, cannot be loaded."""
    for name in stand_ins.LIBRARIES.values():
        (tmp_path / name).write_text("no library")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    monkeypatch.setattr(facts, "has_driver", lambda: False)
    facts._ask.cache_clear()
