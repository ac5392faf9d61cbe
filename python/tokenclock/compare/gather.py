"""From the paths on a command line to named sides, each with its runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tokenclock.compare.run import Run, runs_of
from tokenclock.errors import UsageError
from tokenclock.readers.read import FORMATS, AnyResult, read_directory, read_file

__all__ = ["Sides", "gather", "paths_of"]

Sides = dict[str, list[Run]]


def gather(arguments: Sequence[str], *, steady: bool = False) -> Sides:
    """Name -> runs, in the order given.

    Args:
        arguments: files or directories, each a side, ``NAME=PATH`` to name it; one directory: its sub-folders are the
            sides; none: those of the current directory.
        steady: take the numbers of steady windows.

    Raises:
        UsageError: fewer than two sides, a path that is not there, or one without results.
    """
    places = [_named(argument) for argument in arguments] or [("", Path("."))]
    if len(places) == 1:
        found = _sub_folders(places[0][1], whole=not arguments)
    else:
        found = {name: _results(path) for name, path in _distinct(places)}
    sides = {
        name: [run for result in results for run in runs_of(result, steady=steady)] for name, results in found.items()
    }
    for name, runs in sides.items():
        if not any(run.estimates for run in runs):
            what = "has no steady window with numbers; leave --steady out" if steady else "measured nothing"
            raise UsageError(f"{name} {what}: {', '.join(str(run.path) for run in runs[:3]) or 'no case was measured'}")
    return sides


def paths_of(arguments: Sequence[str]) -> list[Path]:
    """The files and directories that such arguments name; the current directory where there are none."""
    return [_named(argument)[1] for argument in arguments] or [Path(".")]


def _named(argument: str) -> tuple[str, Path]:
    name, mark, path = argument.partition("=")
    if mark and name and "/" not in name and not os.path.exists(argument):
        return name, Path(path)
    return "", Path(argument)


def _sub_folders(path: Path, *, whole: bool) -> dict[str, list[AnyResult]]:
    where = "the current directory" if whole else str(path)
    if not path.is_dir():
        _results(path)  # the reason why it is no result comes first
        raise UsageError(f"expected two results or more, got only {path}; name what to compare it with")
    try:
        folders = sorted(entry.name for entry in os.scandir(path) if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    found = {name: read_directory(path / name) for name in folders}
    found = {name: results for name, results in found.items() if results}
    if len(found) < 2:
        got = f"only {next(iter(found))}" if found else "none"
        raise UsageError(f"expected two sub-folders or more with results in {where}, got {got}; or name the results")
    return found


def _results(path: Path) -> list[AnyResult]:
    if path.is_dir():
        found = read_directory(path)
        if not found:
            raise UsageError(f"{path} holds no result: expected {FORMATS}")
        return found
    return read_file(path)


def _distinct(places: Sequence[tuple[str, Path]]) -> list[tuple[str, Path]]:
    """A name for each: as given, else the last part of the path, with the parts before it where that is not enough."""
    resolved = [path.resolve() for _, path in places]
    for i, path in enumerate(resolved):
        if path in resolved[:i] and not places[i][0]:
            raise UsageError(f"{places[i][1]} is named twice: a result does not differ from itself")
    for depth in range(1, max(len(path.parts) for path in resolved) + 1):
        names = [name or _tail(path, depth) for (name, _), path in zip(places, resolved, strict=True)]
        if len(set(names)) == len(names):
            return [(name, path) for name, (_, path) in zip(names, places, strict=True)]
    raise UsageError(f"two sides have the name {max(names, key=names.count)}: name each differently, NAME=PATH")


def _tail(path: Path, depth: int) -> str:
    parts = [*path.parts[-depth:-1], path.stem if path.suffix in (".json", ".csv", ".log", ".txt") else path.name]
    return "/".join(part.strip("/") for part in parts if part.strip("/"))
