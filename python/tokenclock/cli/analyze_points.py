"""The points of a sweep in genai-perf's words: which flag takes which values, and each point's command line."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tokenclock.cli import arguments as words
from tokenclock.cli.arguments import CommandParser
from tokenclock.errors import UsageError

__all__ = ["SWEEP_FLAGS", "Sweep", "add_sweep_flags", "points_of"]

SWEEP_FLAGS = ("--sweep-type", "--sweep-range", "--sweep-list")
_KINDS: dict[str, tuple[tuple[str, ...], tuple[int, int]]] = {  # kind -> flags of `profile` it sets, default range
    "concurrency": (("--concurrency",), (1, 1024)),
    "request_rate": (("--request-rate",), (16, 8192)),
    "num_dataset_entries": (("--num-dataset-entries", "--num-prompts"), (100, 1000)),
    "input_sequence_length": (("--synthetic-input-tokens-mean", "--isl"), (100, 1000)),
    "batch_size": (("--batch-size", "--batch-size-text", "-b"), (1, 128)),  # of embeddings and rankings
}
_MOST_POINTS = 1000


@dataclass(frozen=True)
class Sweep:
    """What is swept, over which values, and the flags that all points have."""

    kind: str
    values: tuple[int | float, ...]
    flags: tuple[str, ...]
    artifact_dir: str
    checkpoint_dir: str

    def arguments(self) -> Iterator[list[str]]:
        """The arguments of `profile` for each point; where its directory's name does not tell, in one of its own."""
        flag = _KINDS[self.kind][0][0]
        for value in self.values:
            told = self.kind in ("concurrency", "request_rate")
            folder = self.artifact_dir if told else os.path.join(self.artifact_dir, f"{self.kind}{value}")
            yield [*self.flags, f"--artifact-dir={folder}", f"{flag}={value}"]


def add_sweep_flags(parser: argparse.ArgumentParser) -> None:
    """Add the group `sweep`."""
    add = parser.add_argument_group("sweep").add_argument
    add("--sweep-type", default="concurrency", metavar="T", help=f"of {', '.join(_KINDS)} (default: concurrency)")
    add(
        "--sweep-range", metavar="A:B[:STEP]", help="from A to B by STEP; without STEP powers of two (default: by type)"
    )
    add("--sweep-list", metavar="A,B,C", help="these values")
    add(
        "--checkpoint-dir", default="checkpoint", metavar="DIR", help="where checkpoint.json lies (default: checkpoint)"
    )


def points_of(argv: Sequence[str]) -> Sweep:
    """Read the sweep off a command line. Raises UsageError for a wrong one, and for flags that it sets itself."""
    parser = CommandParser(add_help=False)
    add_sweep_flags(parser)
    parser.add_argument("--artifact-dir", default="artifacts")
    parser.add_argument("--enable-checkpointing", action="store_true")
    known, rest = parser.parse_known_args(list(argv))
    kind = known.sweep_type
    if kind not in _KINDS:
        raise UsageError(f"--sweep-type must be one of {', '.join(_KINDS)}, got {kind}")
    if known.sweep_range is not None and known.sweep_list is not None:
        raise UsageError("--sweep-range and --sweep-list exclude each other: give one")
    for argument in rest:
        flag = argument.partition("=")[0]
        if flag in _KINDS[kind][0]:
            raise UsageError(f"{flag} and --sweep-type {kind} exclude each other: the sweep sets it")
    values = _listed(known.sweep_list, kind) if known.sweep_list is not None else _ranged(known.sweep_range, kind)
    if not 1 <= len(values) <= _MOST_POINTS:
        raise UsageError(f"a sweep must have 1 to {_MOST_POINTS} points, got {len(values)}; raise the step")
    return Sweep(kind, values, tuple(rest), known.artifact_dir, known.checkpoint_dir)


def _number(text: str, kind: str, flag: str) -> int | float:
    read = words.number if kind == "request_rate" else words.whole_number
    try:
        value: int | float = read(text)
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"{flag} {error}") from error
    if not 0 < value < 1e9:
        raise UsageError(f"{flag} must hold numbers from above 0 to 1e9, got {text}")
    return int(value) if value == int(value) else value


def _listed(text: str, kind: str) -> tuple[int | float, ...]:
    values = [_number(part.strip(), kind, "--sweep-list") for part in text.split(",") if part.strip()]
    return tuple(dict.fromkeys(values))


def _ranged(text: str | None, kind: str) -> tuple[int | float, ...]:
    parts = [str(bound) for bound in _KINDS[kind][1]] if text is None else text.split(":")
    if len(parts) not in (2, 3):
        raise UsageError(f"--sweep-range must be MIN:MAX or MIN:MAX:STEP, got {text}")
    low, high, *step = (_number(part, kind, "--sweep-range") for part in parts)
    if low > high:
        raise UsageError(f"--sweep-range must rise, got {text}")
    values = [low]
    while len(values) <= _MOST_POINTS:
        following = values[-1] + step[0] if step else values[-1] * 2
        if following > high:
            return tuple(values)
        values.append(following)
    return tuple(values)
