"""A result that could not be saved: the measurement is printed, the exit code is 1, and nothing false is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tokenclock import PacedServer
from tokenclock.__main__ import main

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")


@pytest.fixture(scope="module")
def server() -> Iterator[PacedServer]:
    with PacedServer(ttft_ms=5, itl_ms=1) as paced:
        yield paced


def on_small_disk(tmp_path: Path, size: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command whose word DISK is a directory on a disk of that size."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o size={size} none "$0" && exec "$@"', str(disk)]
    if subprocess.run([*mount, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this sandbox mounts nothing")
    named = [word.replace("DISK", str(disk)) for word in words]
    return subprocess.run(
        [*mount, sys.executable, "-m", "tokenclock", *named], capture_output=True, text=True, timeout=60, check=False
    )


def rows(tmp_path: Path) -> str:
    path = tmp_path / "rows.jsonl"
    lines = [{"task_id": at, "input_ids": list(range(5, 25 + at)), "output_tokens": 40} for at in range(40)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return str(path)


def test_serving(server: PacedServer, tmp_path: Path) -> None:
    words = [
        "serving",
        "--model",
        "m",
        "--dataset-name",
        "random",
        "--base-url",
        server.url,
        "--num-prompts",
        "200",
        "--max-concurrency",
        "8",
    ]
    words += ["--random-output-len", "40", "--save-result", "--save-detailed", "--result-dir", "DISK", "--disable-tqdm"]
    done = on_small_disk(tmp_path, "64k", *words)
    assert done.returncode == 1, done.stderr
    assert "cannot write" in done.stderr
    assert "Successful requests:                     200" in done.stdout
    assert "everything that was measured is kept" not in done.stderr


def test_profile(server: PacedServer, tmp_path: Path) -> None:
    words = [
        "profile",
        "-m",
        "m",
        "--endpoint-type",
        "chat",
        "--url",
        server.url,
        "--request-count",
        "200",
        "--streaming",
    ]
    done = on_small_disk(tmp_path, "64k", *words, "--isl", "8", "--osl", "40", "--streaming", "--artifact-dir", "DISK")
    assert done.returncode == 1, done.stderr
    assert "cannot write" in done.stderr
    assert "Request Latency" in done.stdout


def test_throughput(server: PacedServer, tmp_path: Path) -> None:
    words = ["--model", "m", "throughput", "--base-url", server.url, "--dataset", rows(tmp_path), "--streaming"]
    done = on_small_disk(
        tmp_path, "16k", *words, "--report_json", "DISK/r.json", "--disable-tqdm", "--concurrency", "8"
    )
    assert done.returncode == 1, done.stderr
    assert "cannot write" in done.stderr
    assert "Total Latency (ms):" in done.stdout
    assert "everything that was measured is kept" not in done.stderr


def test_a_log_that_cannot_be_begun_names_the_flag_that_was_given(server: PacedServer, tmp_path: Path) -> None:
    words = ["--model", "m", "throughput", "--base-url", server.url, "--dataset", rows(tmp_path)]
    done = on_small_disk(tmp_path, "4k", *words, "--report_json", "DISK/r.json", "--disable-tqdm")
    assert done.returncode == 2, done.stderr
    assert "--report_json" in done.stderr
    assert "--save-events" not in done.stderr


@pytest.mark.parametrize("flag", ["--report_json", "--request_json"])
@pytest.mark.parametrize("is_link", [False, True])
def test_a_device_is_refused_before_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str, is_link: bool
) -> None:
    place = Path("/dev/full")
    if is_link:
        place = tmp_path / "link.json"
        place.symlink_to("/dev/full")
    words = ["--model", "m", "throughput", "--base-url", "http://127.0.0.1:9", "--dataset", rows(tmp_path)]
    assert main([*words, flag, str(place)]) == 2
    assert f"{flag} must be a file that can be written, got {place} (it is a device" in capsys.readouterr().err
    assert not Path("/dev/full.columns.npz").exists()


def test_a_profile_that_cannot_begin_its_log_names_no_flag_that_it_lacks(server: PacedServer, tmp_path: Path) -> None:
    words = ["profile", "-m", "m", "--endpoint-type", "chat", "--url", server.url, "--request-count", "900"]
    done = on_small_disk(tmp_path, "4k", *words, "--isl", "8", "--osl", "4", "--artifact-dir", "DISK")
    assert done.returncode == 2, done.stderr
    assert "--artifact-dir" in done.stderr
    assert "--save-events" not in done.stderr
