"""Reads dataset files row by row; whatever is wrong with one is told as `FILE:LINE: ...` in one line."""

from __future__ import annotations

import codecs
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from tokenclock.errors import UsageError
from tokenclock.plan_checks import json_problem

__all__ = ["bounded_lines", "fault", "open_dataset", "read_objects"]

_CHUNK = 1 << 20  # characters read at a time
_LONGEST = 64 << 20  # characters of one line, or of one element of a JSON list
_MOST_BLANKS = 1 << 20  # characters in front of the first row
_WORKLOAD_FILE = (
    "the workload file of the C++ manager benchmark; `tokenclock prepare-dataset --stdout` or `--export-format "
    "tllm-bench` writes rows"
)
_TOO_DEEP = "the JSON is nested too deeply to be read; expected rows of a few levels"
_SPACE = re.compile(r"[ \t\r\n]*")

Row = tuple[int, dict[str, Any]]  # line number, object


def fault(path: str | Path, line: int, text: str) -> UsageError:
    """The error of one line of a dataset."""
    return UsageError(f"{path}:{line}: {text}")


@contextmanager
def open_dataset(path: str, name: str) -> Iterator[TextIO]:
    """A dataset file as UTF-8 text. Raises UsageError where it is missing, no file, or not readable."""
    if os.path.isdir(path):
        raise UsageError(f"--dataset-path must be a file for --dataset-name {name}, got the directory {path}")
    try:
        mode = os.stat(path).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise UsageError(f"--dataset-path must be a file or a pipe, got {path}, which is a device or a socket")
        with open(path, encoding="utf-8-sig", newline=None) as file:
            yield file
    except FileNotFoundError as error:
        raise UsageError(
            f"--dataset-path: there is no file {path}; tokenclock never downloads data: fetch it first"
        ) from error
    except UnicodeDecodeError as error:
        number = _line_of_bad_byte(path)
        place = path if number is None else f"{path}:{number}"
        raise UsageError(f"{place}: not UTF-8 text ({error.reason}); is it the right file for {name}?") from error
    except OSError as error:
        raise UsageError(f"--dataset-path {path} cannot be read: {error.strerror or error}") from error


def _line_of_bad_byte(path: str) -> int | None:
    """The first line that is no UTF-8; None where the file cannot be read a second time."""
    if not os.path.isfile(path):
        return None
    decoder, number = codecs.getincrementaldecoder("utf-8")(), 1
    with open(path, "rb") as file:
        while piece := file.read(_CHUNK):
            try:
                number += decoder.decode(piece).count("\n")
            except UnicodeDecodeError as error:
                return number + error.object[: error.start].count(b"\n")
    return number  # a character that the end of the file cuts


def bounded_lines(path: str, file: TextIO, first: int = 1) -> Iterator[str]:
    """The lines of a file, as iterating over it gives them; `first`: number of the first one.

    Raises UsageError for one that is longer than any row.
    """
    number = first - 1
    while line := file.readline(_LONGEST + 1):
        number += 1
        if len(line) > _LONGEST:
            raise fault(path, number, f"expected a line of at most {_LONGEST >> 20} Mi characters, got a longer one")
        yield line


def read_objects(path: str, name: str) -> Iterator[Row]:
    """Each object of a JSON list, or of JSON lines, with the line it begins on; the file is never held whole.

    Raises UsageError for an empty file, for text that is not JSON, and for elements that are no objects.
    """
    with open_dataset(path, name) as file:
        start, line = _first_character(path, file)
        rows = _ListReader(path, file, line).rows() if start == "[" else _read_lines(path, file, start, line)
        n_rows = 0
        for n_rows, row in enumerate(rows, 1):  # noqa: B007
            yield row
        if n_rows == 0:
            raise UsageError(f"{path} holds no rows")


def _first_character(path: str, file: TextIO) -> tuple[str, int]:
    """The first character that is not blank, and its line."""
    line = 1
    for _ in range(_MOST_BLANKS):
        start = file.read(1)
        if not start:
            raise UsageError(f"{path} is empty; expected a JSON list or JSON lines")
        if not start.isspace():
            return start, line
        line += start == "\n"
    raise fault(path, line, f"expected a JSON list or JSON lines, got {_MOST_BLANKS >> 20} Mi blank characters")


def _read_lines(path: str, file: TextIO, start: str, first: int) -> Iterator[Row]:
    lines = bounded_lines(path, file, first)
    for number, line in enumerate(chain([next(lines, "")], lines), first):  # of one character nothing is left to read
        text = start + line if number == first else line
        if not text.strip():
            continue
        try:
            value = json.loads(text)
        except ValueError as error:
            got = _WORKLOAD_FILE if text.startswith('{"metadata":') else _short(error)
            raise fault(path, number, f"expected one JSON object on the line, got {got}") from error
        except RecursionError as error:
            raise fault(path, number, _TOO_DEEP) from error
        yield number, _as_object(path, number, value)


def _short(error: ValueError) -> str:
    return f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else json_problem(error)


def _as_object(path: str, line: int, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise fault(path, line, f"expected a JSON object, got {type(value).__name__}")
    if {"metadata", "samples"} <= value.keys():
        raise fault(path, line, f"expected a row of the data, got {_WORKLOAD_FILE}")
    return value


class _ListReader:
    """Walks the elements of one JSON list through a window that slides over the file."""

    def __init__(self, path: str, file: TextIO, line: int) -> None:
        """line: where the opening bracket, which has been read, is."""
        self._path, self._file = path, file
        self._line = line  # where the window's character `_counted` is
        self._window, self._at, self._counted = "", 0, 0
        self._ended = False

    def rows(self) -> Iterator[Row]:
        decode = json.JSONDecoder().raw_decode
        if self._peek() == "]":
            return
        while True:
            if self._peek() == "":
                raise self._fault("the JSON list ends without ]; is the file cut short?")
            value = self._element(decode)
            line = self._line_here()
            self._at = value[1]
            yield line, _as_object(self._path, line, value[0])
            mark = self._peek()
            self._at += 1
            if mark == "]":
                break
            if mark != ",":
                raise self._fault("expected , or ] after an element of the JSON list")
        if self._peek():
            raise self._fault("expected the end of the file after the JSON list")

    def _element(self, decode: Any) -> tuple[Any, int]:
        size = _CHUNK
        while True:
            try:
                value: tuple[Any, int] = decode(self._window, self._at)
                return value
            except json.JSONDecodeError as error:
                if self._ended or len(self._window) - self._at > _LONGEST:
                    line = self._line_here() + self._window.count("\n", self._at, error.pos)
                    raise fault(self._path, line, f"not JSON: {error.msg}") from error
            except ValueError as error:  # a number of more digits than Python reads
                raise self._fault(f"not JSON that can be read: {json_problem(error)}") from error
            except RecursionError as error:
                raise self._fault(_TOO_DEEP) from error
            self._fill(size)
            size *= 2

    def _peek(self) -> str:
        """The next character that is no space, "" at the end; leaves the window there."""
        while True:
            found = _SPACE.match(self._window, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._window):
                return self._window[self._at]
            if self._ended:
                return ""
            self._fill(_CHUNK)

    def _fill(self, size: int) -> None:
        more = self._file.read(size)
        self._ended = not more
        self._line_here()
        self._window, self._at, self._counted = self._window[self._at :] + more, 0, 0

    def _line_here(self) -> int:
        self._line += self._window.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def _fault(self, text: str) -> UsageError:
        return fault(self._path, self._line_here(), text)
