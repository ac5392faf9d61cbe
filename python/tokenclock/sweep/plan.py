"""Everything a sweep is going to do, settled and checked before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenclock.errors import UsageError
from tokenclock.sweep.commands import Settled, check_options_file, settle
from tokenclock.sweep.flags import Vocabulary, vocabulary_of
from tokenclock.sweep.point_maker import PointMaker
from tokenclock.sweep.points import SERVER_AXIS, Point, Variant, Visit, make_variants, n_points, visits
from tokenclock.sweep.schema import Server, Sweep, load_sweep
from tokenclock.sweep.yaml_file import YamlFile, expand

__all__ = ["MOST_POINTS", "Commands", "SweepPlan", "build_plan"]

MOST_POINTS = 10_000
"""More points than this are asked about."""


@dataclass(frozen=True)
class Commands:
    """What the commands say of themselves.

    Args:
        flags_of: command -> its flags; None where it is not there.
        check: raises UsageError for a command line the command would refuse.
    """

    flags_of: Callable[[str], Sequence[str] | None]
    check: Callable[[Sequence[str]], None]


@dataclass(frozen=True)
class SweepPlan:
    """A sweep that is ready to run.

    Args:
        sweep, file: as read.
        result_dir: of all results.
        words: the vocabulary of the benchmark's command.
        settled: folder -> the commands of that server.
        visits: starts of servers with their points, in order.
        maker: of points that are made later: tries of a search, warm-ups.
    """

    sweep: Sweep
    file: YamlFile
    result_dir: Path
    words: Vocabulary
    settled: Mapping[str, Settled]
    visits: tuple[Visit, ...]
    maker: PointMaker

    @property
    def points(self) -> list[Point]:
        """Every point, in the order it runs."""
        return [point for visit in self.visits for point in visit.points]

    @property
    def variants(self) -> list[Variant]:
        """Every server as it is started, once each."""
        return list({visit.variant.folder: visit.variant for visit in self.visits}.values())


def build_plan(
    path: str, environment: Mapping[str, str], commands: Commands, *, yes: bool = False, result_dir: str | None = None
) -> SweepPlan:
    """Read a file and settle everything.

    Args:
        path: the YAML file.
        environment: for `${NAME}`.
        commands: asked for their flags, and to check each point's command line.
        yes: more than `MOST_POINTS` points are wanted.
        result_dir: instead of the file's.

    Raises:
        UsageError: one line on what is wrong.
    """
    sweep, file = load_sweep(path)
    if result_dir is not None:
        sweep = sweep.model_copy(update={"result_dir": result_dir})
    total = n_points(sweep)
    if total > MOST_POINTS and not yes:
        raise file.error(("matrix",), f"the matrix has {total} points, more than {MOST_POINTS}; --yes runs them all")
    command = str(sweep.benchmark.get("command", "serving"))
    words = vocabulary_of(command, commands.flags_of(command))
    try:
        folder = Path(expand(sweep.result_dir, environment))
    except UsageError as error:
        raise file.error(("result_dir",), str(error)) from None
    sweep = _with_urls(sweep, file, environment)
    variants = make_variants(sweep, file)
    maker = PointMaker(sweep, file, words, environment, folder)
    points = maker.all(variants)
    settled = {variant.folder: _settled(variant, sweep, file, folder) for variant in variants}
    for point in _one_of_each(points):
        try:
            commands.check(point.argv)
        except UsageError as error:
            raise file.error(_place_of(str(error), point, sweep, words), f"{point.key}: {error}") from None
    return SweepPlan(sweep, file, folder, words, settled, tuple(visits(sweep, points)), maker)


def _place_of(text: str, point: Point, sweep: Sweep, words: Vocabulary) -> tuple[Any, ...]:
    """Where the value stands that a command refuses: in the matrix if an axis sets the flag that is named."""
    for name, values in sweep.matrix.items():
        axis = words.axis_name(name)
        if name.startswith(SERVER_AXIS) or not any(flag in text for flag in _flags_of(axis, words)):
            continue
        value = point.axes.get(axis)
        return ("matrix", name, values.index(value)) if value in values else ("matrix", name)
    return ("benchmark",)


def _flags_of(axis: str, words: Vocabulary) -> list[str]:
    try:
        return [words.flag(flag) for flag in words.axis(axis)]
    except UsageError:
        return []


def _settled(variant: Variant, sweep: Sweep, file: YamlFile, folder: Path) -> Settled:
    try:
        settled = settle(variant, folder)
        check_options_file(settled)
    except UsageError as error:
        raise file.error(("servers", sweep.servers.index(variant.server)), str(error)) from None
    return settled


def _one_of_each(points: Sequence[Point]) -> Iterator[Point]:
    """Enough points for every value of every axis of every server to be among them."""
    seen: set[tuple[str, str, str]] = set()
    for point in points:
        parts = {(point.variant.server.name, name, repr(value)) for name, value in (point.axes or {"": ""}).items()}
        if parts - seen:
            seen |= parts
            yield point


def _with_urls(sweep: Sweep, file: YamlFile, environment: Mapping[str, str]) -> Sweep:
    """The sweep with `${NAME}` filled into its servers' addresses."""
    servers = []
    for index, server in enumerate(sweep.servers):
        for name in ("url", "health"):
            try:
                filled = expand(getattr(server, name), environment)
                server = server.model_copy(update={name: Server.checked_url(filled) if name == "url" else filled})
            except ValueError as error:  # UsageError is one
                raise file.error(("servers", index, name), str(error)) from None
        servers.append(server)
    return sweep.model_copy(update={"servers": servers})
