"""Which points of a sweep were measured already: a file that a sweep which was stopped goes on from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from tokenclock.atomic_file import atomic_write
from tokenclock.errors import UsageError
from tokenclock.plan_checks import shown
from tokenclock.result import Result
from tokenclock.whole_file import read_json

__all__ = ["Checkpoint"]

_MOST_BYTES = 64 << 20


class Checkpoint:
    """`checkpoint.json` of a directory: plan -> its result's file. Written after each point."""

    def __init__(self, directory: Path) -> None:
        """Raises UsageError where the directory cannot be used, or the file is none of ours."""
        self.path = directory / "checkpoint.json"
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"--checkpoint-dir must be a directory that can be written to, got {directory}: {error.strerror}"
            ) from error
        self._points: dict[str, Any] = _points_of(self.path) if self.path.exists() else {}

    def has(self, plan: Mapping[str, Any], result: Path) -> bool:
        """Whether this very plan was measured, and its result still lies where it was written."""
        point = self._points.get(_key(plan))
        if point is None or point["result"] != str(result):
            return False
        try:
            measured = Result.load(result)
        except UsageError:
            return False
        return not measured.incomplete and _key(measured.to_dict()["plan"]) == _key(plan)

    def add(self, plan: Mapping[str, Any], result: Path) -> None:
        """Note a measured point. Raises UsageError where the file cannot be written."""
        self._points[_key(plan)] = {"result": str(result), "asked": plan["asked"]}
        try:
            with atomic_write(self.path) as file:
                file.write(json.dumps({"version": 1, "points": self._points}, indent=1).encode() + b"\n")
        except OSError as error:
            raise UsageError(f"cannot write {self.path}: {error.strerror or error}") from error


def _key(plan: Mapping[str, Any]) -> str:
    return sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()


def _points_of(path: Path) -> dict[str, Any]:
    """The points of a checkpoint. Raises UsageError with the line where the file is none of ours."""

    def wrong(expected: str, got: Any) -> UsageError:
        return UsageError(
            f"{path}:1: expected a checkpoint of tokenclock, with {expected}, got {shown(got)}; give another "
            "--checkpoint-dir"
        )

    found = read_json(path, what="a checkpoint", most_bytes=_MOST_BYTES)
    if not isinstance(found, dict) or not isinstance(found.get("points"), dict):
        raise wrong("an object of points", found)
    for key, point in found["points"].items():
        if not isinstance(point, dict) or not isinstance(point.get("result"), str):
            raise wrong(f"the result of point {key[:8]}", point)
    return dict(found["points"])
