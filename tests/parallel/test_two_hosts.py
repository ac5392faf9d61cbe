"""Ranks on two hosts: local ranks start anew, clocks are told apart, and a rank lost on one ends the other's."""

from __future__ import annotations

import ast
import json
import re
import time
from pathlib import Path

import pytest
from tests.parallel.launching import launch, program
from tests.parallel.two_hosts import NAMES, two_hosts

from tokenclock.result import Result


def test_each_host_counts_its_own_ranks(tmp_path: Path) -> None:
    with two_hosts(tmp_path, slots=2) as hosts:
        ended = launch(hosts.launcher, 4, program("talk"))
    assert ended.returncode == 0, ended.stderr
    places = ast.literal_eval(ended.stdout.partition("places ")[2])
    assert [place[0] for place in places] == [0, 1, 2, 3]
    assert [place[3] for place in places] == [NAMES[0]] * 2 + [NAMES[1]] * 2
    assert sorted(place[2] for place in places[:2]) == sorted(place[2] for place in places[2:]) == [0, 1]


def test_a_benchmark_names_host_and_local_rank(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    with two_hosts(tmp_path) as hosts:
        ended = launch(
            hosts.launcher, 2,
            ["-m", "tokenclock", "benchmark", "-m", "enc", "--engine_dir", "tiny:bert", "--batch_size", "1;8",
             "--input_len", "20;128", "--duration", "0", "--num_runs", "3", "--json", str(path)],
        )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("[BENCHMARK]") == 4
    ranks = Result.load(path).ranks
    assert ranks is not None
    assert [(rank["host"], rank["local_rank"]) for rank in ranks["of"]] == [(NAMES[0], 0), (NAMES[1], 0)]


@pytest.mark.parametrize("how", ["kill", "raise", "usage", "leave", "alone"])
def test_a_rank_lost_on_one_host_ends_the_other(how: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with two_hosts(tmp_path) as hosts:
        ended = launch(hosts.launcher, 2, program("fail", how, str(mark)))
    assert ended.returncode != 0
    assert time.time() - float(mark.read_text()) < 10
    # the kill is noticed by Open MPI itself: by the daemon, or first by the peer whose connection broke
    killed = "signal 9|unexpectedly disconnected|Socket closed"
    words = killed if how == "kill" else rf"rank 1 on {NAMES[1]}: "
    assert re.search(words, ended.stderr), ended.stderr


def test_clocks_of_two_hosts_are_told_apart(tmp_path: Path) -> None:
    with two_hosts(tmp_path, monotonic_s=7000) as hosts:
        ended = launch(hosts.launcher, 2, program("offsets"))
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["hosts"] == list(NAMES)
    for _, offset in found["offsets"]:
        assert abs(offset["offset_ns"] - 7000 * 10**9) <= offset["uncertainty_ns"] < 10_000_000
