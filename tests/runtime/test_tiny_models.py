from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from tokenclock.errors import MeasurementError, UsageError
from tokenclock.runtime.tiny_models import TINY_MODELS, tiny_model


@pytest.mark.parametrize("kind", TINY_MODELS)
def test_a_tiny_model_is_small_and_always_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    found = []
    for place in ("a", "b"):
        monkeypatch.setenv("TOKENCLOCK_CACHE", str(tmp_path / place))
        directory = Path(tiny_model(f"tiny:{kind}"))
        assert directory.is_relative_to(tmp_path / place)
        assert sum(file.stat().st_size for file in directory.iterdir()) < 2_000_000
        found.append(hashlib.sha256((directory / "model.bin").read_bytes()).hexdigest())
    assert found[0] == found[1]


def test_it_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENCLOCK_CACHE", str(tmp_path))
    first = Path(tiny_model("tiny:bert"))
    written_ns = (first / "model.bin").stat().st_mtime_ns
    assert tiny_model("tiny:bert") == str(first)
    assert (first / "model.bin").stat().st_mtime_ns == written_ns


def test_several_processes_at_once_leave_one_whole_model(tmp_path: Path) -> None:
    code = f"import os\nos.environ['TOKENCLOCK_CACHE'] = {str(tmp_path)!r}\n"
    code += "from tokenclock.runtime.tiny_models import tiny_model\nprint(tiny_model('tiny:t5'))"
    processes = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    places = {process.communicate(timeout=120)[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0] * 4
    assert len(places) == 1
    assert (Path(places.pop()) / "model.bin").is_file()
    assert len(list((tmp_path / "tiny").iterdir())) == 1  # nothing half-built is left


def test_an_unknown_one_is_refused() -> None:
    with pytest.raises(UsageError, match="must be one of tiny:llama, tiny:bert, tiny:t5, got tiny:gpt"):
        tiny_model("tiny:gpt")


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TOKENCLOCK_CACHE", str(tmp_path / "file"))
    with pytest.raises(MeasurementError, match="set TOKENCLOCK_CACHE to a directory"):
        tiny_model("tiny:llama")
