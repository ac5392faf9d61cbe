"""The record of a case that lies in its folder: which commands ran; what `--replay` starts from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from tokenclock.atomic_file import atomic_write
from tokenclock.errors import UsageError
from tokenclock.perftest.case import Case
from tokenclock.perftest.outcome import Cell, Outcome, Ran

__all__ = ["NAME", "read_case_file", "write_case_file"]

NAME = "case.json"
_VERSION = 1


def write_case_file(outcome: Outcome, commands: Sequence[Ran]) -> None:
    """Write it into the outcome's folder, whole or not at all. Raises OSError where it cannot be written."""
    folder = outcome.folder
    content = {
        "version": _VERSION,
        "case": outcome.case.name,
        "canonical": outcome.case.canonical,
        "state": outcome.state,
        "reason": outcome.reason,
        "repeats": [dict(values) for values in outcome.repeats],
        "commands": [_to_json(ran, folder) for ran in commands],
    }
    with atomic_write(folder / NAME) as file:
        file.write((json.dumps(content, indent=1, allow_nan=False) + "\n").encode())


def read_case_file(path: Path, case: Case) -> list[Ran] | None:
    """The commands of a record; None where it is another case's.

    Raises:
        UsageError: no record, or one that cannot be read.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["canonical"] != case.canonical:
            return None
        if content["version"] != _VERSION:
            raise UsageError(f"{path} is of version {content['version']}, expected {_VERSION}: run the case anew")
        return [_from_json(entry, path.parent) for entry in content["commands"]]
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except UsageError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise UsageError(
            f"{path} is no record of a case ({type(error).__name__}: {error}); run the case anew"
        ) from error


def _to_json(ran: Ran, folder: Path) -> dict[str, Any]:
    return {
        "what": ran.what,
        "argv": list(ran.argv),
        "repeat": ran.repeat,
        "exit_code": ran.exit_code,
        "started": ran.started.isoformat(),
        "ended": ran.ended.isoformat(),
        "log": _relative(ran.log, folder),
        "result": _relative(ran.result, folder),
        "external": ran.external,
        "problem": ran.problem,
        "cells": [
            {
                "network": cell.network,
                "suffix": cell.suffix,
                "metric_types": list(cell.metric_types),
                "batch_size": cell.batch_size,
                "lengths": list(cell.lengths),
            }
            for cell in ran.cells
        ],
    }


def _relative(path: Path | None, folder: Path) -> str | None:
    """The folder may be moved: paths within it are kept from there."""
    return None if path is None else str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def _from_json(entry: Mapping[str, Any], folder: Path) -> Ran:
    def place(name: str) -> Path | None:
        return None if entry[name] is None else folder / entry[name]

    return Ran(
        what=entry["what"],
        argv=tuple(entry["argv"]),
        repeat=entry["repeat"],
        exit_code=entry["exit_code"],
        started=datetime.fromisoformat(entry["started"]),
        ended=datetime.fromisoformat(entry["ended"]),
        log=place("log"),
        result=place("result"),
        external=entry["external"],
        problem=entry["problem"],
        cells=tuple(
            Cell(
                cell["network"],
                cell["suffix"],
                tuple(cell["metric_types"]),
                cell["batch_size"],
                (cell["lengths"][0], cell["lengths"][1]),
            )
            for cell in entry["cells"]
        ),
    )
