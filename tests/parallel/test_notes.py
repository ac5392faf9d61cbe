"""What several ranks had to say, each thing once."""

from __future__ import annotations

from tokenclock.parallel.notes import names_of, notes_of_others


def test_each_note_is_said_once_and_not_again_for_another_rank() -> None:
    notes = [["clocks ramp"], ["clocks ramp", "hot", "hot"], ["full", "hot"]]
    assert notes_of_others(notes, ["a", "a", "b"]) == ["hot (ranks 1 on a, 2 on b)", "full (rank 2 on b)"]


def test_rank_0_says_its_own() -> None:
    assert notes_of_others([["hot", "full"]], ["a"]) == []
    assert notes_of_others([["hot"], ["hot"]], ["a", "a"]) == []
    assert notes_of_others([[], []], ["a", "a"]) == []


def test_ranks_are_named_by_host() -> None:
    assert names_of([(1, "a")]) == "rank 1 on a"
    assert names_of([(0, "a"), (1, "a"), (4, "b")]) == "ranks 0, 1 on a, 4 on b"
