from __future__ import annotations

from pathlib import Path

import pytest

from tokenclock.cache import cache_dir


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
