"""Which points of a sweep were measured already: a file that a sweep which was stopped goes on from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from tokenclock.atomic_file import atomic_write
from tokenclock.errors import UsageError
from tokenclock.result import Result

__all__ = ["Checkpoint"]


class Checkpoint:
    """`checkpoint.json` of a directory: plan -> its result's file. Written after each point."""

    def __init__(self, directory: Path) -> None:
        """Raises UsageError where the directory cannot be used, or the file is none of ours."""
        self.path = directory / "checkpoint.json"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            text = self.path.read_text(encoding="utf-8") if self.path.exists() else "{}"
            found = json.loads(text)
            self._points: dict[str, Any] = dict(found.get("points", {}))
            if not all(isinstance(point, dict) and "result" in point for point in self._points.values()):
                raise ValueError("points without result")
        except OSError as error:
            raise UsageError(
                f"--checkpoint-dir must be a directory that can be written to, got {directory}: {error.strerror}"
            ) from error
        except (ValueError, AttributeError, TypeError) as error:
            raise UsageError(f"{self.path} is no checkpoint of tokenclock ({error}); give another directory") from error

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
