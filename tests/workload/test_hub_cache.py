"""The hub's cache on this machine is looked into, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokenclock.workload.hub_cache import cached_snapshot


@pytest.mark.parametrize("variable", ["HF_HUB_CACHE", "HF_HOME"])
def test_a_snapshot_is_found_by_branch_and_by_commit(tmp_path: Path, variable: str) -> None:
    hub = tmp_path if variable == "HF_HUB_CACHE" else tmp_path / "hub"
    snapshot = hub / "models--org--name" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (hub / "models--org--name" / "refs").mkdir()
    (hub / "models--org--name" / "refs" / "main").write_text("abc\n")
    environment = {variable: str(tmp_path)}
    assert cached_snapshot("org/name", "main", environment) is None
    (snapshot / "tokenizer.json").write_text("{}")
    assert cached_snapshot("org/name", "main", environment) == str(snapshot)
    assert cached_snapshot("org/name", "abc", environment) == str(snapshot)
    assert cached_snapshot("org/name", "other", environment) is None
    assert cached_snapshot("org/unknown", "main", environment) is None
