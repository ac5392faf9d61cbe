"""Where a run's files go: named and made ready before the first request, so that a typo costs a second, not an hour."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path

from tokenclock.atomic_file import clear_stale_parts, refuse_irregular
from tokenclock.errors import UsageError
from tokenclock.plan import ServingPlan
from tokenclock.plan_checks import shown

__all__ = [
    "companion",
    "makeable_directory",
    "prepare_output",
    "reserve",
    "result_path",
    "set_aside",
    "temporary_log",
    "usable_directory",
    "usable_file",
]


def result_path(plan: ServingPlan, date: str) -> Path:
    """The JSON file of a run; `date` is YYYYMMDD-HHMMSS in local time.

    --result-filename, else `{label}-{rate}qps[-concurrency{N}]-{end of the model name}-{date}.json`; the label is the
    backend where none was given, and with a ramp-up the rate reads `ramp-up-{strategy}-{start}qps-{end}qps`.
    """
    output, load = plan.output, plan.load
    name = output.result_filename
    if not name:
        limit = f"-concurrency{load.max_concurrency}" if load.max_concurrency is not None else ""
        model = plan.endpoint.model.rstrip("/").rpartition("/")[2]
        ramp, label = load.ramp_up, output.label or plan.endpoint.backend
        rate = f"{float(load.request_rate)}qps"
        if ramp is not None:
            rate = f"ramp-up-{ramp.strategy}-{float(ramp.start_rps)}qps-{float(ramp.end_rps)}qps"
        name = f"{label}-{rate}{limit}-{model}-{date}.json"
    return Path(output.result_dir or ".") / name


def prepare_output(plan: ServingPlan, date: str) -> Path | None:
    """Create the directories the run will write to, and try them; returns the result's path, or None if none is saved.

    Raises UsageError when a directory cannot be made or written to.
    """
    output = plan.output
    if output.save_events is not None:
        usable_directory(Path(output.save_events), "--save-events")
    if not output.save_result:
        return None
    path = result_path(plan, date)
    if os.path.isdir(path):
        raise UsageError(f"--result-filename must name a file, got the directory {path}")
    try:
        refuse_irregular(path)
    except OSError as error:
        raise UsageError(
            f"--result-filename must be a file that can be written, got {path} ({error.strerror}); give another"
        ) from error
    usable_directory(path.parent, "--result-dir")
    if output.result_filename:
        clear_stale_parts(path.parent, path.stem.removesuffix("_genai_perf"))  # of which the raw profile has none
    if output.append_result:
        _usable_lines(path)
    _usable_name(path, companion(plan, path, date))
    return path


def companion(plan: ServingPlan, path: Path, date: str) -> Path:
    """The path that names of files beside the result are made from; runs that share a file each have their own."""
    shared = plan.output.append_result and plan.output.result_filename is not None  # a generated name has the date
    return path.with_name(f"{path.stem}-{date}{path.suffix}") if shared else path


def reserve(path: Path, files: Callable[[Path], Sequence[Path]]) -> Path:
    """The first of `NAME`, `NAME-2`, `NAME-3` ... that no other run has.

    Args:
        path: the name wanted.
        files: what goes by a name: none of it must be there, and the first is made, empty, to hold the name.

    Raises OSError where no file can be made there.
    """
    for name in _numbered(path):
        first, *others = files(name)
        if any(file.exists() for file in others):
            continue
        try:
            first.open("x").close()
        except FileExistsError:
            continue
        return name
    raise AssertionError("unreachable")


def temporary_log(path: Path, say: Callable[[str], None]) -> Path:
    """A directory of this run's own beside its result, for the event log until the result is there.

    Those of other runs into the same file stay as they are; each is said in one line.
    """
    for name in _numbered(path.with_name(f".{path.stem}.events")):
        try:
            name.mkdir()
        except FileExistsError:
            say(f"{name} holds what another run into {path} measured; it was killed, or still runs: it is kept")
        except OSError:  # the log says so when it is opened
            return name
        else:
            return name
    raise AssertionError("unreachable")


def set_aside(directory: Path) -> None:
    """Rename a log that another run left on a host whose disk is its own, so that it is not written over."""
    if not any(directory.glob("part-*.npz")):
        return
    for name in _numbered(directory.with_name(f"{directory.name}-earlier")):
        if not name.exists():
            directory.rename(name)
            return


def _numbered(path: Path) -> Iterator[Path]:
    yield path
    yield from (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in count(2))


def _usable_lines(path: Path) -> None:
    """A file that lines are to be added to holds at least one result, or nothing."""
    try:
        with open(path, "rb") as file:
            lines = (line for line in file if line.strip())
            first = next(lines, None)
            if first is None or _is_result(first) or any(map(_is_result, lines)):
                return
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(
            f"--append-result: cannot read {path}: {error.strerror or error}; give another file"
        ) from error
    raise UsageError(
        f"--append-result must be given a file of results, one a line, got {path}, which holds none; give another name"
    )


def _is_result(line: bytes) -> bool:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and bool({"schema_version", "tokenclock"} & value.keys())


def _usable_name(path: Path, beside: Path) -> None:
    """Try the longest name that is made of the result's: a file beside it, while it is being written."""
    longest = beside.with_name(f".{beside.stem}-perf_metrics.json.{os.getpid()}.part")
    try:
        longest.touch()
        longest.unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"--result-filename must be a name that files beside the result can be named after, got {shown(path.name)} "
            f"of {len(os.fsencode(path.name))} bytes ({reason}); give a shorter one"
        ) from error


def usable_directory(directory: Path, flag: str) -> None:
    """Make the directory that `flag` names, and try to write there. Raises UsageError."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"{flag} must be a directory that can be written to, got {directory} ({reason}); give another"
        ) from error


def makeable_directory(directory: Path, flag: str) -> None:
    """Try whether the directory that `flag` names can be made, and written to; nothing is left. Raises UsageError."""
    try:
        there = next(parent for parent in (directory, *directory.absolute().parents) if parent.exists())
        with tempfile.TemporaryDirectory(dir=there):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"{flag} must be a directory that can be written to, got {directory} ({reason}); give another"
        ) from error


def usable_file(path: str | os.PathLike[str], flag: str) -> None:
    """Try whether the file that `flag` names can be written; nothing is left, and what is there stays.

    Raises:
        UsageError: an empty name, no such directory, one that cannot be written to, a directory, a device or a pipe.
    """
    target = Path(os.path.realpath(path))
    problem, remedy = None, "give another"
    if not os.fspath(path):
        problem = "an empty name"
    elif os.path.isdir(target):
        problem = "it is a directory"
    elif not target.parent.is_dir():
        problem, remedy = f"there is no directory {os.path.dirname(path) or target.parent}", "make it first"
    else:
        partial = target.with_name(f".{target.name}.{os.getpid()}.part")  # as while it is being written
        try:
            refuse_irregular(path)
            clear_stale_parts(target.parent, target.stem)
            partial.touch()
            partial.unlink()
        except OSError as error:
            problem = error.strerror or str(error)
    if problem is not None:
        raise UsageError(f"{flag} must name a file that can be written, got {os.fspath(path)} ({problem}); {remedy}")
