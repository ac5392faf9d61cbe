"""What several ranks had to say, each thing once."""

from __future__ import annotations

from tokenclock.parallel.notes import names_of, said_once


def test_each_note_is_said_once() -> None:
    notes = [["clocks ramp", "hot"], ["clocks ramp", "clocks ramp"], ["clocks ramp", "hot", "full"]]
    assert said_once(notes, ["a", "a", "b"]) == [
        "clocks ramp",
        "hot (ranks 0 on a, 2 on b)",
        "full (rank 2 on b)",
    ]


def test_one_rank_needs_no_name() -> None:
    assert said_once([["hot", "hot"]], ["a"]) == ["hot"]
    assert said_once([[], []], ["a", "a"]) == []


def test_ranks_are_named_by_host() -> None:
    assert names_of([(1, "a")]) == "rank 1 on a"
    assert names_of([(0, "a"), (1, "a"), (4, "b")]) == "ranks 0, 1 on a, 4 on b"
