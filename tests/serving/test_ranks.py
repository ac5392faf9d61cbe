"""`tokenclock serving` by several ranks: what one big client would have written, and what becomes of it without one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.parallel.launching import LAUNCHERS, Ended, launch
from tests.parallel.two_hosts import ADDRESSES, NAMES, two_hosts

from tokenclock import PacedServer
from tokenclock.records import MISSING_NS, STATUS_NAMES, Records
from tokenclock.report.columns_file import read as read_columns
from tokenclock.result import Result

ULFM = ("--with-ft", "ulfm")


@pytest.fixture(scope="module")
def server() -> Iterator[PacedServer]:
    with PacedServer(ttft_ms=10, itl_ms=5) as paced:
        yield paced


def serving(url: str, path: Path, *flags: str, n_prompts: int = 41) -> list[str]:
    return [
        "-m", "tokenclock", "serving", "--model", "paced", "--base-url", url, "--dataset-name", "random",
        "--random-ids", "--random-input-len", "8", "--random-output-len", "6", "--num-prompts", str(n_prompts),
        "--ignore-eos", "--save-result", "--result-dir", str(path.parent), "--result-filename", path.name, *flags,
    ]  # fmt: skip


def run(n: int, url: str, path: Path, *flags: str, launcher: str = "pypi", **options: Any) -> Ended:
    return launch(LAUNCHERS[launcher](), n, serving(url, path, *flags, **_only(options, "n_prompts")), **options)


def _only(options: dict[str, Any], name: str) -> dict[str, Any]:
    return {name: options.pop(name)} if name in options else {}


def read(path: Path) -> tuple[Result, Records]:
    return Result.load(path), read_columns(path.with_suffix(".columns.npz"))


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_closed_loop_is_what_one_client_would_have_sent(server: PacedServer, launcher: str, tmp_path: Path) -> None:
    alone, shared = tmp_path / "alone.json", tmp_path / "shared.json"
    command = [sys.executable, *serving(server.url, alone, "--max-concurrency", "5")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    ended = run(2, server.url, shared, "--max-concurrency", "5", launcher=launcher)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("Successful requests:") == 1
    assert len(re.findall("result in", ended.stderr)) == 1
    (one, one_records), (two, two_records) = read(alone), read(shared)
    assert two.workload["sha256"] == one.workload["sha256"]
    assert two.requests["ok"] == one.requests["ok"] == 41
    assert two.tokens["osl"] == one.tokens["osl"] == 246
    for name in ("request_id", "isl_requested", "osl_requested", "osl"):
        assert two_records.columns[name].tolist() == one_records.columns[name].tolist()
    assert set(two.faces["serving"]) == set(one.faces["serving"])
    assert two_records.client["max_in_flight"] == 5  # 3 slots and 2
    assert set(two_records.columns["worker"].tolist()) == {0, 1}
    assert one.ranks is None
    assert two.ranks is not None
    assert [rank["n_requests"] for rank in two.ranks["of"]] == [25, 16]  # as 3 slots and 2 need
    assert {rank["ended"] for rank in two.ranks["of"]} == {"well"}
    assert all(rank["quality"]["verdict"] for rank in two.ranks["of"])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{name}{suffix}" for name in ("alone", "shared") for suffix in (".json", ".columns.npz")
    )


def test_an_open_loop_is_sent_by_one_schedule(server: PacedServer, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    ended = run(3, server.url, path, "--request-rate", "100", n_prompts=100)
    assert ended.returncode == 0, ended.stderr
    result, records = read(path)
    due, sent = records.columns["t_scheduled_ns"], records.columns["t_sent_ns"]
    assert (np.diff(due) >= 0).all()  # rows of three ranks, one rising schedule
    assert result.requests["loop"] == "open"
    assert result.ranks is not None
    assert len({rank["epoch_ns"] - rank["clock_offset_ns"] for rank in result.ranks["of"]}) <= 3
    assert np.median(sent - due) < 20e6  # they do run together


def test_a_rank_whose_clock_counts_from_another_start(server: PacedServer, tmp_path: Path) -> None:
    unshare = shutil.which("unshare") or "false"
    if subprocess.run([unshare, "--time", "--monotonic", "1", "true"], capture_output=True).returncode:
        pytest.skip("time namespaces are not permitted here (unshare --time needs root)")
    script = tmp_path / "rank"
    script.write_text(
        f'#!/bin/sh\n[ "$OMPI_COMM_WORLD_RANK" = 1 ] && exec {unshare} --time --monotonic 5000 --fork "$@"\nexec "$@"\n'
    )
    script.chmod(0o755)
    path = tmp_path / "r.json"
    ended = run(2, server.url, path, "--request-rate", "50", before=[str(script)])
    assert ended.returncode == 0, ended.stderr
    result, records = read(path)
    assert result.ranks is not None
    first, second = result.ranks["of"]
    assert abs(second["clock_offset_ns"] - 5000 * 10**9) <= second["clock_uncertainty_ns"] < 5_000_000
    assert second["epoch_ns"] - first["epoch_ns"] == pytest.approx(5000 * 10**9, abs=5e6)
    sent = records.columns["t_sent_ns"]
    assert 0 <= sent.min() <= sent.max() < 5e9  # every column counts from the agreed instant
    assert np.median(sent - records.columns["t_scheduled_ns"]) < 20e6


@pytest.fixture
def slow_server() -> Iterator[PacedServer]:
    with PacedServer(ttft_ms=50, itl_ms=100) as paced:  # 0.55 s for six tokens
        yield paced


def test_a_lost_rank_leaves_the_rest_to_finish(slow_server: PacedServer, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    part = tmp_path / ".r.events/rank-0001/part-000003.npz"  # asked-for lengths, and two seconds of events
    ended = run(
        3, slow_server.url, path, "--max-concurrency", "6", n_prompts=60, kill_rank=(1, part), flags=ULFM
    )  # fmt: skip
    assert ended.returncode == 3, ended.stderr  # its requests are failures
    assert "INVALID" in ended.stdout
    assert re.search(r"rank 1 of 3 was\s+lost", ended.stdout)
    result, records = read(path)
    assert not result.incomplete
    assert result.quality.verdict == "INVALID"
    check = result.quality.check("ranks")
    assert check is not None
    assert check.details["lost"] == "1"
    assert "see mpirun" in (check.remedy or "")
    assert result.ranks is not None
    assert [rank["ended"] for rank in result.ranks["of"]] == ["well", "lost", "well"]
    of_rank = np.arange(60) % 3
    status = records.columns["status"]
    assert (status[of_rank != 1] == 0).all()
    assert 2 <= (status[of_rank == 1] == 0).sum() < 20  # what its log held
    unsent = (status == STATUS_NAMES.index("not_sent")) & (of_rank == 1)
    assert unsent.any()
    assert (records.columns["t_sent_ns"][unsent] == MISSING_NS).all()


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_run_is_kept_up_to_its_last_second(rank: int, slow_server: PacedServer, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    part = tmp_path / ".r.events/rank-0001/part-000004.npz"
    ended = run(2, slow_server.url, path, "--max-concurrency", "4", n_prompts=60, kill_rank=(rank, part))
    assert ended.returncode != 0
    result = wait_for_result(path)
    assert result.incomplete
    assert result.quality.verdict == "INVALID"
    assert result.requests["ok"] >= 8
    assert result.ranks is not None
    assert [rank["ended"] for rank in result.ranks["of"]] == ["ended from outside"] * 2


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_ctrl_c_saves_what_was_measured(launcher: str, slow_server: PacedServer, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    part = tmp_path / ".r.events/rank-0001/part-000003.npz"
    ended = run(
        2, slow_server.url, path, "--max-concurrency", "4", n_prompts=60, launcher=launcher, interrupt_when=part
    )  # fmt: skip
    assert ended.returncode != 0
    result = wait_for_result(path)
    assert result.incomplete
    assert result.requests["ok"] >= 4


def wait_for_result(path: Path) -> Result:
    """The result that is written while mpirun is already gone."""
    deadline_s = time.monotonic() + 15
    while not path.exists() and time.monotonic() < deadline_s:
        time.sleep(0.1)
    return Result.load(path)


def test_what_cannot_be_shared_is_refused_once(server: PacedServer, tmp_path: Path) -> None:
    ended = run(2, server.url, tmp_path / "r.json", "--max-concurrency", "1")
    assert ended.returncode == 2
    lines = re.findall(r"^tokenclock.*", ended.stderr, re.MULTILINE)
    assert lines == ["tokenclock serving: --max-concurrency must be 2 or more to be shared by 2 ranks, got 1; "
                     "start fewer ranks"]  # fmt: skip


def test_a_server_that_is_not_there_is_said_once(tmp_path: Path) -> None:
    ended = run(2, "http://127.0.0.1:9", tmp_path / "r.json")
    assert ended.returncode == 1
    assert len(re.findall(r"^tokenclock.*no server at", ended.stderr, re.MULTILINE)) == 1, ended.stderr


# --- two hosts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [False, True])
def test_two_hosts_are_one_client(lost: bool, tmp_path: Path) -> None:
    path, said = tmp_path / "r.json", tmp_path / "server"
    part = tmp_path / ".r.events/rank-0001/part-000003.npz"
    with two_hosts(tmp_path, monotonic_s=0 if lost else 7000) as hosts, said.open("w") as out:
        command = [sys.executable, "-m", "tokenclock", "paced-server", "--host", ADDRESSES[0], "--port", "8000",
                   "--ttft-ms", "50", "--itl-ms", "100" if lost else "5"]  # fmt: skip
        with subprocess.Popen(hosts.on(0, *command), stdout=out, stderr=out, stdin=subprocess.PIPE) as paced:
            flags = ["--max-concurrency", "4", "--ready-check-timeout-sec", "20"]
            arguments = serving(f"http://{ADDRESSES[0]}:8000", path, *flags, n_prompts=40)
            options: dict[str, Any] = {"kill_rank": (1, part), "flags": ULFM} if lost else {}
            try:
                ended = launch(hosts.launcher, 2, arguments, **options)
            finally:
                paced.terminate()
    assert ended.returncode == (3 if lost else 0), ended.stderr
    result, records = read(path)
    assert result.ranks is not None
    first, second = result.ranks["of"]
    assert [(rank["host"], rank["local_rank"]) for rank in (first, second)] == [(NAMES[0], 0), (NAMES[1], 0)]
    assert [first["ended"], second["ended"]] == ["well", "lost" if lost else "well"]
    assert (records.columns["status"][::2] == 0).all()
    if lost:
        assert result.quality.verdict == "INVALID"
    else:
        assert result.requests["ok"] == 40
        assert abs(second["clock_offset_ns"] - 7000 * 10**9) <= second["clock_uncertainty_ns"] < 10_000_000


def test_profile_by_two_ranks_is_one_run(server: PacedServer, tmp_path: Path) -> None:
    """Rank 0 alone prints and writes, and its files hold the requests of both."""
    arguments = ["-m", "tokenclock", "profile", "-m", "paced", "--url", server.url, "--endpoint-type", "chat"]
    arguments += ["--streaming", "--concurrency", "4", "--request-count", "40", "--num-prompts", "40", "--isl", "4"]
    ended = launch(LAUNCHERS["pypi"](), 2, [*arguments, "--osl", "3", "--artifact-dir", str(tmp_path)])
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("LLM Metrics") == 1
    folder = tmp_path / "paced-openai-chat-concurrency4"
    result = Result.load(folder / "profile_export_genai_perf.json")
    assert result.requests["ok"] == 40
    assert result.ranks is not None
    assert result.ranks["world_size"] == 2
    (experiment,) = json.loads((folder / "profile_export.json").read_text())["experiments"]
    assert len(experiment["requests"]) == 40
    assert {len(request["response_timestamps"]) for request in experiment["requests"]} == {3}
