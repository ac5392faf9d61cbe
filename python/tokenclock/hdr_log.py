"""Interval logs: text files with one HDR histogram for each stretch of time, as other implementations write them."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import BinaryIO, NamedTuple

from tokenclock.hdr import HdrHistogram

__all__ = ["HlogInterval", "HlogWriter", "read_hlog"]

_FORMAT_VERSION = "1.3"
_LEGEND = '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"'
_TIME_NOTE = re.compile(rb"#\[(StartTime|BaseTime):\s*([^\s\]]*)")
_YEAR_S = 365 * 24 * 3600.0
_LONGEST_LINE_BYTES = 100_000_000  # more than the text of the widest histogram with every count at its largest
_TAG = re.compile(r"[^,\s]+")


class HlogInterval(NamedTuple):
    """One line of an interval log.

    Attributes:
        tag: the word that tells several series of one log apart; None where the line has none.
        start_s: when the interval began, in seconds since 1970 where the log says when it was started, else as written.
        end_s: when it ended, likewise.
        histogram: what was recorded in it.
    """

    tag: str | None
    start_s: float
    end_s: float
    histogram: HdrHistogram


class _Line(NamedTuple):
    number: int
    offset: int  # of its first byte in the file
    text: bytes  # without the end of line


class _Fields(NamedTuple):
    tag: str | None
    first_s: float
    second_s: float  # the interval's length, or its end
    histogram: bytes
    histogram_offset: int


def read_hlog(path: str | os.PathLike[str]) -> Iterator[HlogInterval]:
    """Read the intervals of a log of the Java, C, Python or another HDR implementation, one at a time.

    Times are made absolute as the Java reader does it: a base time in the log is added; without one, times more than a
    year before the log's start time count from it. A log whose legend names an end in the second column (old ones of
    the C implementation) is taken by its word, unless a line shows that a length stands there.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line is damaged, cut off or no interval; the message names file, line and byte.
    """
    name = os.fspath(path)
    has_ends = _second_field_is_an_end(path)
    start_s: float | None = None
    base_s: float | None = None
    for line in _lines(path):
        note = _TIME_NOTE.match(line.text)
        if note:
            value = _number(name, line, note.start(2), note[2], f"a number after {note[1].decode()}")
            start_s, base_s = (value, base_s) if note[1] == b"StartTime" else (start_s, value)
        if not _is_interval(line):
            continue
        fields = _fields(name, line)
        start_s = fields.first_s if start_s is None else start_s
        if base_s is None:
            base_s = start_s if fields.first_s < start_s - _YEAR_S else 0.0
        try:
            histogram = HdrHistogram.decode(fields.histogram)
        except ValueError as error:
            raise _refuse(name, line, fields.histogram_offset, str(error)) from None
        begin_s = base_s + fields.first_s
        end_s = base_s + fields.second_s if has_ends else begin_s + fields.second_s
        yield HlogInterval(fields.tag, begin_s, end_s, histogram)


def _refuse(name: str, line: _Line, at: int, what: str) -> ValueError:
    return ValueError(f"{name}:{line.number}: byte {line.offset + at}: {what}")


def _lines(path: str | os.PathLike[str]) -> Iterator[_Line]:
    offset = number = 0
    with open(path, "rb") as file:
        while raw := file.readline(_LONGEST_LINE_BYTES):
            number += 1
            line = _Line(number, offset, raw.rstrip(b"\r\n"))
            if len(raw) == _LONGEST_LINE_BYTES:
                raise _refuse(
                    os.fspath(path), line, len(raw), "expected the end of the line, got none; no log has such"
                )
            yield line
            offset += len(raw)


def _is_interval(line: _Line) -> bool:
    """Not a comment, not the legend, not empty."""
    return bool(line.text.strip()) and not line.text.startswith((b"#", b'"'))


def _second_field_is_an_end(path: str | os.PathLike[str]) -> bool:
    """Whether the legend says so and every line could be so.

    The C implementation has written that legend over both, and lengths are shorter than any time since 1970.
    """
    says_so = False
    for line in _lines(path):
        if line.text.startswith(b'"'):
            says_so = b"EndTimestamp" in line.text
        elif _is_interval(line):
            if not says_so:
                return False
            fields = _fields(os.fspath(path), line)
            if fields.second_s < fields.first_s:
                return False
    return says_so


def _number(name: str, line: _Line, at: int, text: bytes, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _refuse(name, line, at, f"expected {what}, got {text[:40].decode('utf-8', 'backslashreplace')!r}")
    return value


def _fields(name: str, line: _Line) -> _Fields:
    tag: str | None = None
    at = 0
    if line.text.startswith(b"Tag="):
        end = line.text.find(b",")
        end = len(line.text) if end < 0 else end
        try:
            tag = line.text[4:end].decode("utf-8")
        except UnicodeDecodeError as error:
            raise _refuse(name, line, 4 + error.start, "expected a tag in UTF-8") from None
        at = min(end + 1, len(line.text))
    parts = line.text[at:].split(b",", 3)
    if len(parts) < 4:
        what = "expected [Tag=word,]start,length,max,histogram in an interval log"
        raise _refuse(name, line, len(line.text), f"{what}, got {len(parts)} of 4 fields")
    offsets = [at]
    for part in parts[:3]:
        offsets.append(offsets[-1] + len(part) + 1)
    first_s = _number(name, line, offsets[0], parts[0], "the start in seconds")
    second_s = _number(name, line, offsets[1], parts[1], "the length in seconds")
    _number(name, line, offsets[2], parts[2], "the highest value")
    return _Fields(tag, first_s, second_s, parts[3], offsets[3])


class HlogWriter:
    """Writes an interval log that the Java, C and Python implementations read; use it in a ``with`` block.

    Every line is handed to the system as it is written: a killed program leaves a log of whole lines. ``n_lost`` of a
    histogram is not in the format and is not written.

    Args:
        path: the file; what was there is replaced.
        start_time_s: when the log begins, in seconds since 1970; noted in its head.
        base_time_s: taken off every time in the file and noted in its head, so that times are small; readers add it.
        comments: lines for the top, without their ``#``.
        max_unit: what the column of highest values is divided by (default 1e6: milliseconds, from nanoseconds).

    Raises:
        OSError: the file cannot be written.
        ValueError: a time is no number or negative, max_unit is not above 0, or a comment has several lines.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        start_time_s: float | None = None,
        base_time_s: float | None = None,
        comments: Iterable[str] = (),
        max_unit: float = 1e6,
    ) -> None:
        if not 0 < max_unit < math.inf:
            raise ValueError(f"max_unit must be > 0 and finite, got {max_unit}")
        head = [_comment(comment) for comment in comments]
        head.append(f"#[Histogram log format version {_FORMAT_VERSION}]")
        if start_time_s is not None:
            when = time.asctime(time.gmtime(_time("start_time_s", start_time_s)))
            head.append(f"#[StartTime: {start_time_s:.6f} (seconds since epoch), {when[:-4]}UTC {when[-4:]}]")
        if base_time_s is not None:
            head.append(f"#[BaseTime: {_time('base_time_s', base_time_s):.6f} (seconds since epoch)]")
        self._base_s = base_time_s or 0.0
        self._max_unit = max_unit
        self._file: BinaryIO = open(path, "wb")  # noqa: SIM115 - closed by close()
        try:
            self._put([*head, _LEGEND])
        except BaseException:
            self._file.close()
            raise

    def write(self, histogram: HdrHistogram, start_s: float, end_s: float, *, tag: str | None = None) -> None:
        """Append what was recorded from start_s to end_s (seconds; microseconds are kept), under a tag if one is given.

        With ``base_time_s`` both are absolute, as ``read_hlog`` gives them back. Without it they are written as they
        are; readers take times more than a year before the start time for offsets to it.

        Raises:
            ValueError: a time is no number or before the base time, the end is before the start, or the tag has white
                space or a comma. Nothing is written then.
        """
        begin_s = _time("start_s", start_s, self._base_s)
        length_s = end_s - start_s
        if not 0 <= length_s < math.inf:
            raise ValueError(f"end_s must be >= start_s = {start_s}, got {end_s}")
        if tag is not None and not _TAG.fullmatch(tag):
            raise ValueError(f"tag must be a word without commas, got {tag!r}")
        word = "" if tag is None else f"Tag={tag},"
        highest = (histogram.max or 0) / self._max_unit
        self._put([f"{word}{begin_s:.6f},{length_s:.6f},{highest:.3f},{histogram.encode()}"])

    def comment(self, text: str) -> None:
        """Append a comment line (the C implementation reads comments only above the first interval).

        Raises:
            ValueError: the text has several lines.
        """
        self._put([_comment(text)])

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        self._file.close()

    def __enter__(self) -> HlogWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _put(self, lines: Iterable[str]) -> None:
        self._file.write("".join(f"{line}\n" for line in lines).encode())
        self._file.flush()


def _comment(text: str) -> str:
    if text.splitlines() not in ([text], []):
        raise ValueError(f"a comment must be one line, got {text!r}")
    return f"#{text}"


def _time(name: str, value_s: float, base_s: float = 0.0) -> float:
    """Seconds after the base time."""
    if not base_s <= value_s < math.inf:
        least = f"base_time_s = {base_s}" if base_s else "0"
        raise ValueError(f"{name} must be >= {least} and finite, got {value_s}")
    return value_s - base_s
