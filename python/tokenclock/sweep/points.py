"""The points of a sweep: which command runs against which server, where its result goes, and in what order."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tokenclock.sweep.schema import Server, Sweep
from tokenclock.sweep.yaml_file import YamlFile

__all__ = ["SERVER_AXIS", "Point", "Variant", "Visit", "file_word", "make_variants", "n_points", "visits"]

SERVER_AXIS = "server."
"""Axes of the matrix that begin so vary the server."""


@dataclass(frozen=True)
class Variant:
    """A server as it is started once: its options are settled.

    Args:
        server: what the YAML says of it.
        settings: `server.*` axis -> value.
        folder: of its results, below the result directory.
    """

    server: Server
    settings: Mapping[str, Any]
    folder: str


@dataclass(frozen=True)
class Point:
    """One run of the benchmark.

    Args:
        variant: the server it runs against.
        axes: axis -> value, `lengths` as `isl` and `osl`, those of the server included.
        repeat: from 1.
        stem: of its files' names.
        argv: words after `tokenclock`.
        expected_s: by the plan's own guess.
        expected_answers: how long the load is expected to last, in answers' times (E2EL).
    """

    variant: Variant
    axes: Mapping[str, Any]
    repeat: int
    stem: str
    argv: tuple[str, ...]
    expected_s: float
    expected_answers: float
    key: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", f"{self.variant.folder}/{self.stem}")

    @property
    def fingerprint(self) -> str:
        """Of everything that decides what it measures: a result of another one is none of this point."""
        server = self.variant.server
        asked = [self.argv, server.command, server.url, server.environment, server.extra_llm_api_options,
                 dict(self.variant.settings)]  # fmt: skip
        return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Visit:
    """One start of a server and the points that are run before it is stopped."""

    variant: Variant
    points: tuple[Point, ...]


def n_points(sweep: Sweep) -> int:
    """How many runs the matrix asks for."""
    total = len(sweep.servers) * sweep.repeat
    for values in sweep.matrix.values():
        total *= len(values)
    return total


def make_variants(sweep: Sweep, file: YamlFile) -> list[Variant]:
    """Every server under every combination of its own options."""
    axes = {name: values for name, values in sweep.matrix.items() if name.startswith(SERVER_AXIS)}
    short = _short_names(list(axes))
    variants = []
    for server, values in itertools.product(sweep.servers, itertools.product(*axes.values())):
        settings = dict(zip(axes, values, strict=True))
        if settings and server.command is None:
            name = next(iter(settings))
            raise file.error(("matrix", name), f"{name} needs servers that are started; {server.name} has no command")
        parts = [f"{short[name]}_{file_word(value)}" for name, value in settings.items()]
        variants.append(Variant(server, settings, "-".join([server.name, *parts])))
    folders = [variant.folder for variant in variants]
    if twice := next((folder for folder in folders if folders.count(folder) > 1), None):
        raise file.error(("matrix",), f"two points would write into the folder {twice}; name values that differ")
    return variants


def _short_names(names: Sequence[str]) -> dict[str, str]:
    """The last part of each dotted name; of those that end alike as many parts as tell them apart."""
    parts = {name: name.removeprefix(SERVER_AXIS).split(".") for name in names}
    short = {}
    for name, mine in parts.items():
        others = [other for one, other in parts.items() if one != name]
        depth = next((n for n in range(1, len(mine)) if all(mine[-n:] != other[-n:] for other in others)), len(mine))
        short[name] = ".".join(mine[-depth:])
    return short


def visits(sweep: Sweep, points: Sequence[Point]) -> list[Visit]:
    """In which order the points run.

    blocked: server by server, each point as often as asked. interleaved: every repeat visits each server in turn, the
    next one backwards, so that a slow drift of the machine falls on all alike; servers that run anyway take turns at
    every point.
    """
    variants = list({point.variant.folder: point.variant for point in points}.values())
    of = {variant.folder: [point for point in points if point.variant is variant] for variant in variants}
    if sweep.order == "blocked":
        return [Visit(variant, tuple(of[variant.folder])) for variant in variants]
    rounds: list[list[tuple[Variant, list[Point]]]] = []
    for repeat in range(1, sweep.repeat + 1):
        here = [(variant, [p for p in of[variant.folder] if p.repeat == repeat]) for variant in variants]
        if all(variant.server.command is None for variant in variants):
            rounds += [[(variant, [mine[n]]) for variant, mine in here] for n in range(len(here[0][1]))]
        else:
            rounds.append(here)
    return [
        Visit(variant, tuple(mine))
        for n, round_ in enumerate(rounds)
        for variant, mine in (round_ if n % 2 == 0 else round_[::-1])
    ]


def file_word(value: Any) -> str:
    """A value as it can stand in a file's name."""
    text = "x".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    if isinstance(value, (int, float)):
        return text
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", text).strip("-")[:60] or "none"
