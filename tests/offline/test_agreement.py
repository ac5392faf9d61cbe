"""Ranks as threads: what one of them says reaches all."""

from __future__ import annotations

import pytest
from tests.offline.rows import ThreadWorld, in_ranks

from tokenclock.errors import MeasurementError, UsageError
from tokenclock.offline import agreement
from tokenclock.offline.agreement import CaseFailed, CaseRefused, Turn, agree, describe, together
from tokenclock.parallel import OneProcess


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("a\n b"), "ValueError: a b"),
        (MemoryError(), "out of memory"),
        (RuntimeError("CUDA out of memory. Tried 2 GiB"), "out of memory: CUDA out of memory. Tried 2 GiB"),
        (type("OutOfMemoryError", (RuntimeError,), {})("x"), "out of memory: x"),
        (KeyError(), "KeyError"),
        (MeasurementError("say this"), "say this"),
        (RuntimeError("x" * 200_000), f"RuntimeError: {'x' * 2000}..."),
    ],
)
def test_errors_in_one_line(error: BaseException, text: str) -> None:
    assert describe(error) == text


def test_alone_a_turn_is_ones_own() -> None:
    turn = Turn(goes_on=False, stop=True)
    assert agree(OneProcess(), turn, lockstep=True) == turn
    with pytest.raises(CaseFailed, match=r"^boom$"):
        agree(OneProcess(), Turn(error="boom"), lockstep=False)


def test_rank_0_decides_and_anybody_may_stop() -> None:
    def work(world: ThreadWorld) -> Turn:
        return agree(world, Turn(goes_on=world.rank == 0, stop=world.rank == 2), lockstep=False)

    assert in_ranks(3, work) == [Turn(goes_on=True, stop=True)] * 3


def test_an_error_of_one_is_an_error_of_all() -> None:
    def work(world: ThreadWorld) -> None:
        with together(world, lockstep=False):
            if world.rank == 1:
                raise RuntimeError("boom")

    found = in_ranks(3, work)
    assert [(type(error), str(error)) for error in found] == [(CaseFailed, "rank 1: RuntimeError: boom")] * 3
    assert "RuntimeError: boom" in found[0].trace


def test_a_refusal_stays_one() -> None:
    def work(world: ThreadWorld) -> None:
        with together(world, lockstep=False):
            raise UsageError("no beams here")

    assert {(type(error), str(error)) for error in in_ranks(2, work)} == {(CaseRefused, "rank 0: no beams here")}


def test_ranks_in_lockstep_do_not_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rank 0 fails while rank 1 hangs elsewhere: rank 0 ends the run, with its reason."""
    monkeypatch.setattr(agreement, "_PATIENCE_S", 0.1)

    def work(world: ThreadWorld) -> None:
        if world.rank == 0:
            with together(world, lockstep=True):
                raise RuntimeError("boom")

    in_ranks(2, work)
    assert "rank 0 failed while the others wait for it: RuntimeError: boom" in capsys.readouterr().err


def test_all_is_well() -> None:
    def work(world: ThreadWorld) -> str:
        with together(world, lockstep=True):
            pass
        return "on"

    assert in_ranks(2, work) == ["on", "on"]
