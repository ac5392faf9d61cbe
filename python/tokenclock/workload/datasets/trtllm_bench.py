"""The requests of `trtllm-bench`: JSON lines with `task_id`, `prompt` or `input_ids`, and `output_tokens`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock.errors import UsageError
from tokenclock.plan_checks import LONGEST, shown
from tokenclock.workload.datasets.fields import RowKeys, text_of, whole_number
from tokenclock.workload.datasets.reading import fault, read_objects

__all__ = ["BenchRow", "BenchRows", "LoraRequest", "read_bench_rows"]

_INT32_MAX = (1 << 31) - 1


@dataclass(frozen=True)
class LoraRequest:
    """The adapter that a row asks for."""

    name: str
    int_id: int
    path: str = ""


@dataclass(frozen=True)
class BenchRow:
    """One request.

    Args:
        line: of the file, from 1.
        task_id: identifier of the row.
        prompt: text, or token ids, int32 (isl,), which go as they are.
        osl: tokens to generate, at least 1.
        lora: the adapter; None: the model itself.
        media_paths: pictures or videos that belong to the prompt.
    """

    line: int
    task_id: int
    prompt: str | npt.NDArray[np.int32]
    osl: int
    lora: LoraRequest | None = None
    media_paths: tuple[str, ...] = ()

    @property
    def isl(self) -> int:
        """Tokens of the prompt; -1 for text, which only a tokenizer can count."""
        return -1 if isinstance(self.prompt, str) else len(self.prompt)


@dataclass(frozen=True)
class BenchRows:
    """The requests of one file, in its order, and one line for each thing that reading showed."""

    path: str
    rows: tuple[BenchRow, ...]
    notes: tuple[str, ...] = ()
    too_few: tuple[str, ...] = ()  # a line where the file has fewer than were asked for; among the notes too


def read_bench_rows(path: str, limit: int = 0) -> BenchRows:
    """Read a file to its end, or to `limit` rows (0: no limit). A row of keys that all begin with `tokenclock` is the
    manifest of `tokenclock prepare-dataset`, and no request.

    Raises:
        UsageError: no such file; or `FILE:LINE: what was expected, what came`.
    """
    if not os.path.exists(path):
        raise UsageError(f"--dataset must be a file of JSON lines, got {shown(path)} (nothing there)")
    if os.path.isdir(path):
        raise UsageError(f"--dataset must be a file of JSON lines, got the directory {shown(path)}")
    keys = RowKeys(path, ("task_id", "output_tokens"), ("prompt", "input_ids", "logits", "lora_request", "media_paths"))
    rows: list[BenchRow] = []
    lines_of_ids: dict[int, int] = {}
    for line, values in _requests(path):
        keys.check(line, values)
        row = _row(path, line, values)
        first = lines_of_ids.setdefault(row.task_id, line)
        if first != line:
            raise fault(path, line, f"task_id must be each row's own, got {row.task_id}, which line {first} has too")
        rows.append(row)
        if len(rows) == limit:
            break
    if not rows:
        raise UsageError(f"{path} holds no requests; expected task_id, input_ids and output_tokens on each line")
    too_few: tuple[str, ...] = ()
    if len(rows) < limit:
        too_few = (f"{path} has {len(rows)} rows of the {limit} asked for (--num_requests): each is sent once",)
    return BenchRows(path, tuple(rows), (*keys.notes(), *too_few), too_few)


def _requests(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        for line, values in read_objects(path, "trtllm-bench"):
            if not (values and all(key.startswith("tokenclock") for key in values)):
                yield line, values
    except UsageError as error:
        raise UsageError(str(error).replace("--dataset-path", "--dataset")) from error


def _row(path: str, line: int, values: dict[str, Any]) -> BenchRow:
    task_id = values["task_id"]
    if not isinstance(task_id, int) or isinstance(task_id, bool):
        raise fault(path, line, f"task_id must be a whole number, got {shown(repr(task_id))}")
    if not 0 <= task_id < 1 << 63:
        raise fault(path, line, f"task_id must be a whole number from 0 to 2**63-1, got {task_id}")
    osl = whole_number(path, line, "output_tokens", values["output_tokens"])
    if osl > LONGEST:
        raise fault(path, line, f"output_tokens must be at most {LONGEST}, got {osl}")
    return BenchRow(
        line, task_id, _prompt(path, line, values), osl, _lora(path, line, values), _media(path, line, values)
    )


def _prompt(path: str, line: int, values: dict[str, Any]) -> str | npt.NDArray[np.int32]:
    key = next((key for key in ("input_ids", "logits") if values.get(key) is not None), None)
    if key is None:
        if values.get("prompt") is None:
            raise fault(path, line, f"expected prompt or input_ids, got {', '.join(values)}")
        text = text_of(path, line, "prompt", values["prompt"])
        if not text:
            raise fault(path, line, "prompt must be text that is not empty, got ''")
        return text
    ids = values[key]
    if not isinstance(ids, list) or not ids:
        got = "an empty list" if ids == [] else type(ids).__name__
        raise fault(path, line, f"{key} must be a list of token ids that is not empty, got {got}")
    if set(map(type, ids)) != {int}:
        wrong = next(item for item in ids if type(item) is not int)
        raise fault(path, line, f"{key} must hold whole numbers only, got {shown(repr(wrong))}")
    if min(ids) < 0 or max(ids) > _INT32_MAX:
        wrong = next(item for item in ids if not 0 <= item <= _INT32_MAX)
        raise fault(path, line, f"{key} must hold token ids from 0 to {_INT32_MAX}, got {wrong}")
    return np.array(ids, np.int32)


def _lora(path: str, line: int, values: dict[str, Any]) -> LoraRequest | None:
    given = values.get("lora_request")
    if given is None:
        return None
    if not isinstance(given, dict):
        raise fault(path, line, f"lora_request must be an object, got {type(given).__name__}")
    for key in ("lora_name", "lora_int_id"):
        if key not in given:
            raise fault(path, line, f"lora_request must have the key {key}, got {', '.join(given) or 'no keys'}")
    number = given["lora_int_id"]
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise fault(path, line, f"lora_request.lora_int_id must be a whole number >= 0, got {shown(repr(number))}")
    name = text_of(path, line, "lora_request.lora_name", given["lora_name"])
    return LoraRequest(name, number, text_of(path, line, "lora_request.lora_path", given.get("lora_path") or ""))


def _media(path: str, line: int, values: dict[str, Any]) -> tuple[str, ...]:
    given = values.get("media_paths")
    if given is None:
        return ()
    if not isinstance(given, list):
        raise fault(path, line, f"media_paths must be a list of paths, got {type(given).__name__}")
    return tuple(text_of(path, line, f"media_paths[{number}]", item) for number, item in enumerate(given))
