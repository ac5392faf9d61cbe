"""What the real server's room does without the server: where files go, and what is said when the wheels are missing."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tokenclock.cache_place import cache_dir
from tokenclock.errors import MeasurementError
from tokenclock.serving import real_server


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TOKENCLOCK_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, Path("/a")),
        ({"XDG_CACHE_HOME": "/b"}, Path("/b/tokenclock")),
        ({"XDG_CACHE_HOME": ""}, Path("/c/.cache/tokenclock")),
    ],
)
def test_the_cache_is_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: Path
) -> None:
    for name in ("TOKENCLOCK_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", "/c")
    assert cache_dir() == expected


def test_missing_wheels_are_named_with_the_command_that_brings_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def only_the_model(name: str) -> object:
        return None if name == "xllamacpp" else object()

    monkeypatch.setattr(importlib.util, "find_spec", only_the_model)
    assert real_server.missing_wheels() == ["xllamacpp"]
    with pytest.raises(MeasurementError, match=r"needs xllamacpp: pip install 'tokenclock\[demo\]'"):
        real_server.RealServer().__enter__()


def test_a_server_that_cannot_start_says_its_last_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A cache folder that is a file: the child fails for real, and the reason reaches the user."""
    if real_server.missing_wheels():
        pytest.skip("the real server's wheels are not installed: make real-server")
    (tmp_path / "models").write_text("in the way")
    monkeypatch.setenv("TOKENCLOCK_CACHE", str(tmp_path))
    with pytest.raises(MeasurementError, match=r"not ready.*models"):
        real_server.RealServer().__enter__()
