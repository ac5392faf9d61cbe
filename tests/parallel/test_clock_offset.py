"""Offsets of ranks' clocks: by hand, and between ranks whose clocks are known to stand apart."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.parallel.launching import LAUNCHERS, PROGRAMS, launch, program

from tokenclock.parallel import OneProcess
from tokenclock.parallel.clock_offset import ClockOffset, between, from_round_trips, measure_offsets


def test_the_shortest_round_trip_counts() -> None:
    # asked at 100, answered by a clock 1000 ahead in the middle, returned at 110: known to 5
    trips = [(0, 1040, 50), (100, 1105, 110), (200, 1230, 240)]
    assert from_round_trips(trips) == ClockOffset(1000, 5, 3)


@given(
    offset=st.integers(-(10**15), 10**15),
    ways=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=20),
)
def test_the_truth_lies_within_the_uncertainty(offset: int, ways: list[tuple[int, int]]) -> None:
    trips, now = [], 1000
    for there, back in ways:  # however uneven the two ways are
        trips.append((now, now + there + offset, now + there + back))
        now += there + back + 7
    found = from_round_trips(trips)
    assert abs(found.offset_ns - offset) <= found.uncertainty_ns
    assert found.uncertainty_ns == (min(there + back for there, back in ways) + 1) // 2


def test_a_run_is_known_as_well_as_both_its_ends() -> None:
    assert between(ClockOffset(1000, 5, 3), ClockOffset(1000, 5, 3)) == ClockOffset(1000, 5, 6)
    # drifted from 995..1005 to 1015..1025: all of it lies in 995..1025
    assert between(ClockOffset(1000, 5, 3), ClockOffset(1020, 5, 3)) == ClockOffset(1010, 15, 6)


@pytest.mark.parametrize("trips", [[], [(10, 5, 9)]])
def test_what_is_no_round_trip_is_refused(trips: list[tuple[int, int, int]]) -> None:
    with pytest.raises(ValueError, match="round trips"):
        from_round_trips(trips)


def test_one_process_knows_its_own_clock() -> None:
    assert measure_offsets(OneProcess()) == [ClockOffset(0, 0, 0)]


def test_ranks_of_one_host_share_a_clock() -> None:
    ended = launch(LAUNCHERS["pypi"](), 3, program("offsets"))
    assert ended.returncode == 0, ended.stderr
    for offsets in json.loads(ended.stdout)["offsets"]:
        assert offsets[0] == {"offset_ns": 0, "uncertainty_ns": 0, "n_round_trips": 0}
        for offset in offsets[1:]:
            assert abs(offset["offset_ns"]) <= offset["uncertainty_ns"] < 5_000_000


def test_a_rank_whose_clock_counts_from_another_start(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    probe = [unshare or "false", "--time", "--monotonic", "1", "true"]
    if unshare is None or subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("time namespaces are not permitted here (unshare --time needs root)")
    script = tmp_path / "rank"
    script.write_text(
        f'#!/bin/sh\n[ "$OMPI_COMM_WORLD_RANK" = 1 ] && exec {unshare} --time --monotonic 5000 --fork "$@"\nexec "$@"\n'
    )
    script.chmod(0o755)
    launcher = LAUNCHERS["pypi"]()
    command = [*launcher.command, "-n", "2", str(script), sys.executable, str(PROGRAMS / "offsets.py")]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=os.environ | launcher.environment, check=True
    )
    for _, offset in json.loads(ended.stdout)["offsets"]:
        assert abs(offset["offset_ns"] - 5000 * 10**9) <= offset["uncertainty_ns"] < 5_000_000
