"""The HDR histogram with its text form and its iterations; recording and statistics are the native class's."""

from __future__ import annotations

import base64
import bisect
import re
import struct
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tokenclock import hdr_steps
from tokenclock._core import HdrHistogram as NativeHistogram
from tokenclock._core import encode_hdr_payload, hdr_payload_limit_bytes
from tokenclock.hdr_steps import HdrStep

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["HdrHistogram"]

_PAYLOAD_HEADER_BYTES = 40
_WRAPPER = struct.Struct(">II")  # cookie, bytes of deflated payload that follow
_WRITTEN_COOKIE = 0x1C849314
_WORD_SIZE_MASK = 0xF0  # writers differ in these bits, and nothing depends on them
_DEFLATED_COOKIES = {0x1C849309, 0x1C849302, 0x1C849304}  # versions 0, 1, 2
_PLAIN_COOKIES = {0x1C849308, 0x1C849301, 0x1C849303}
_REAL_NUMBER_COOKIES = {0x0C72124E, 0x0C72124F}  # Java's DoubleHistogram

_BASE64 = re.compile(rb"[A-Za-z0-9+/]*={0,2}")


class HdrHistogram(NativeHistogram):
    __slots__ = ()
    __module__ = "tokenclock"

    def encode(self) -> str:
        """The histogram as one word of ASCII: base64 of the deflated version 2 form that the HDR implementations share.

        It holds the range, the digits and every bucket's count. ``n_lost`` has no place in that form, nor has where in
        its bucket the minimum and the maximum lay: of what was decoded, ``n_lost`` is 0, ``min`` the lowest value of
        the first bucket with a count, ``max`` the highest of the last. A pickle keeps them all.
        """
        deflated = zlib.compress(encode_hdr_payload(self), 9)
        return base64.b64encode(_WRAPPER.pack(_WRITTEN_COOKIE, len(deflated)) + deflated).decode("ascii")

    @classmethod
    def decode(cls, text: str | bytes) -> Self:
        """The histogram of a text that ``encode`` or another HDR implementation made (versions 0, 1 and 2).

        Args:
            text: base64, white space around it allowed. A damaged one costs no more memory than the histogram that its
                header describes (50 MB for the widest there is).

        Raises:
            ValueError: the text is damaged, cut off or no histogram of whole numbers. The message names the byte.
        """
        payload = _unwrapped(_from_base64(text))
        histogram = cls.__new__(cls)
        try:
            histogram.__setstate__(("payload", payload))
        except ValueError as error:
            raise ValueError(f"HDR histogram: payload {error}") from None
        return histogram

    def iter_recorded(self) -> Iterator[HdrStep]:
        """One step for every bucket with a count, in order of value."""
        return hdr_steps.recorded(hdr_steps.Snapshot(self))

    def iter_linear(self, step: int) -> Iterator[HdrStep]:
        """Steps of equal width: up to step - 1, 2 * step - 1 ... until every recorded value is passed.

        A value counts in the step in which its bucket begins, so steps below a bucket's width are uneven.

        Raises:
            ValueError: step is below 1.
        """
        return hdr_steps.linear(hdr_steps.Snapshot(self), step)

    def iter_logarithmic(self, first_step: int, base: float = 2.0) -> Iterator[HdrStep]:
        """Steps that grow: up to first_step - 1, first_step * base - 1, first_step * base**2 - 1 ...

        Raises:
            ValueError: first_step is below 1, or base is not above 1.
        """
        return hdr_steps.logarithmic(hdr_steps.Snapshot(self), first_step, base)

    def iter_percentiles(self, ticks_per_half_distance: int = 5) -> Iterator[HdrStep]:
        """Steps that grow finer toward 100 %: so many to 50 %, as many to 75 %, to 87.5 % ... and a last one at 100 %.

        Raises:
            ValueError: ticks_per_half_distance is below 1.
        """
        return hdr_steps.percentiles(hdr_steps.Snapshot(self), ticks_per_half_distance)


HdrHistogram.__doc__ = NativeHistogram.__doc__


def _refuse(layer: str, offset: int, what: str) -> ValueError:
    return ValueError(f"HDR histogram: {layer} byte {offset}: {what}")


def _from_base64(text: str | bytes) -> bytes:
    raw = text.encode("utf-8") if isinstance(text, str) else bytes(text)
    word = raw.strip()
    before = len(raw) - len(raw.lstrip())
    if not word:
        raise _refuse("text", 0, "expected base64, got nothing")
    match = _BASE64.match(word)
    valid = match.end() if match else 0
    if valid < len(word):
        raise _refuse("text", before + valid, f"expected base64, got {word[valid : valid + 1]!r}")
    if len(word) % 4:
        raise _refuse("text", before + len(word), f"expected a multiple of 4 bytes, got {len(word)}; it is cut off")
    return base64.b64decode(word)


def _unwrapped(data: bytes) -> bytes:
    """The plain payload."""
    cookie = int.from_bytes(data[:4], "big")
    kind = cookie & ~_WORD_SIZE_MASK
    if kind in _PLAIN_COOKIES:
        return data
    if cookie in _REAL_NUMBER_COOKIES:
        raise _refuse("data", 0, "expected a histogram of whole numbers, got a DoubleHistogram; log its whole numbers")
    if len(data) >= 4 and kind not in _DEFLATED_COOKIES:
        raise _refuse("data", 0, f"expected the cookie 0x{_WRITTEN_COOKIE:08x} of an HDR histogram, got 0x{cookie:08x}")
    if len(data) < _WRAPPER.size:
        raise _refuse("data", len(data), f"expected at least {_WRAPPER.size} bytes, got {len(data)}; it is cut off")
    stated, follow = _WRAPPER.unpack_from(data)[1], len(data) - _WRAPPER.size
    if stated != follow:
        cut = "; it is cut off" if follow < stated else ""
        at = _WRAPPER.size + min(stated, follow)
        raise _refuse("data", at, f"expected {stated} deflated bytes, got {follow}{cut}")
    return _inflated(data[_WRAPPER.size :])


def _inflated(deflated: bytes) -> bytes:
    """Inflates no further than the header allows, so that a bomb stays small."""
    inflater = zlib.decompressobj()
    try:
        start = inflater.decompress(deflated, _PAYLOAD_HEADER_BYTES)
        limit = _limit_bytes(start) if len(start) == _PAYLOAD_HEADER_BYTES or inflater.eof else len(start)
        inflater = zlib.decompressobj()
        payload = inflater.decompress(deflated, limit + 1)
    except zlib.error as error:
        raise _refuse("deflated", _stumble(deflated), f"damaged ({error})") from None
    if len(payload) > limit:
        raise _refuse("payload", limit, f"expected at most {limit} bytes by its header, got more")
    if not inflater.eof:
        raise _refuse("deflated", len(deflated), "expected more bytes; it is cut off")
    if inflater.unused_data:
        at = len(deflated) - len(inflater.unused_data)
        raise _refuse("deflated", at, f"expected the end, got {len(inflater.unused_data)} more bytes")
    return payload


def _stumble(deflated: bytes) -> int:
    """The byte at which inflating fails: the last of the shortest beginning that fails."""

    def fails(n: int) -> bool:
        inflater = zlib.decompressobj()
        rest = deflated[:n]
        try:
            while rest:  # in pieces: what comes out is not needed
                inflater.decompress(rest, 65_536)
                rest = inflater.unconsumed_tail
        except zlib.error:
            return True
        return False

    return bisect.bisect_left(range(len(deflated) + 1), True, key=fails) - 1


def _limit_bytes(start: bytes) -> int:
    try:
        return hdr_payload_limit_bytes(start)
    except ValueError as error:
        raise ValueError(f"HDR histogram: payload {error}") from None
