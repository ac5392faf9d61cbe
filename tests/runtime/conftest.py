"""The stand-in `tensorrt_llm`, installed for one test at a time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from tests.standins.tensorrt_llm_package import write_package

InstallTrtllm = Callable[[str], ModuleType]


def _forget() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] in ("tensorrt_llm", "tensorrt")]:
        del sys.modules[name]


@pytest.fixture
def install_trtllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InstallTrtllm]:
    """`install_trtllm("1.2.1")` puts the stand-in of that release on the path and imports it; times are short."""
    for name in ("PREFILL", "STEP", "SETUP", "ENCODER"):
        monkeypatch.setenv(f"STANDIN_{name}_MS", "0.5")
    monkeypatch.delenv("OMPI_COMM_WORLD_SIZE", raising=False)
    monkeypatch.setenv("TLLM_LOG_LEVEL", "error")

    def install(release: str) -> ModuleType:
        _forget()
        monkeypatch.syspath_prepend(str(write_package(tmp_path / f"trtllm-{release}", release)))
        import tensorrt_llm

        assert tensorrt_llm.__version__ == release
        return tensorrt_llm

    yield install
    _forget()
