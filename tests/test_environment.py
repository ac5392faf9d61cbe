from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from tokenclock import environment

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_it_is_json_and_names_this_machine() -> None:
    facts = environment.collect()
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["host"] == platform.node()
    assert facts["kernel"] == platform.release()
    assert facts["python"] == platform.python_version()
    assert facts["cpus_allowed"] >= 1
    assert facts["memory_bytes"] > 2**20
    assert set(facts["versions"]) == {"tokenclock", "numpy", "tokenizers"}


def repository(folder: Path) -> Path:
    git = folder / ".git"
    (git / "refs/heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    return git


def test_commit_of_a_branch_from_a_folder_inside(tmp_path: Path) -> None:
    git = repository(tmp_path)
    (git / "refs/heads/main").write_text(COMMIT + "\n")
    (tmp_path / "a/b").mkdir(parents=True)
    assert environment.git_commit(tmp_path / "a/b") == COMMIT


def test_commit_of_a_packed_branch(tmp_path: Path) -> None:
    (repository(tmp_path) / "packed-refs").write_text(f"# pack-refs\n{COMMIT} refs/heads/main\n")
    assert environment.git_commit(tmp_path) == COMMIT


def test_detached_commit(tmp_path: Path) -> None:
    (repository(tmp_path) / "HEAD").write_text(COMMIT + "\n")
    assert environment.git_commit(tmp_path) == COMMIT


def test_commit_of_a_work_tree(tmp_path: Path) -> None:
    git = repository(tmp_path / "main")
    (git / "refs/heads/side").write_text(COMMIT + "\n")
    (git / "worktrees/side").mkdir(parents=True)
    (git / "worktrees/side/HEAD").write_text("ref: refs/heads/side\n")
    (git / "worktrees/side/commondir").write_text("../..\n")
    side = tmp_path / "side"
    side.mkdir()
    (side / ".git").write_text(f"gitdir: {git}/worktrees/side\n")
    assert environment.git_commit(side) == COMMIT


def test_no_commit_is_none(tmp_path: Path) -> None:
    repository(tmp_path)
    assert environment.git_commit(tmp_path) is None


@pytest.mark.timing
def test_it_is_quick() -> None:
    import time

    took_s = []
    for _ in range(5):
        start = time.perf_counter()
        environment.collect()
        took_s.append(time.perf_counter() - start)
    assert sorted(took_s)[2] < 0.05
