"""The text form of HdrHistogram: round trips, other implementations, damage of every kind, one class throughout."""

from __future__ import annotations

import base64
import pickle
import random
import re
import struct
import subprocess
import sys
import tracemalloc
import zlib

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram as ReferenceHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenclock import HdrHistogram, _core

HOUR_NS = 3_600_000_000_000
INT64_MAX = 2**63 - 1
AT_BYTE = re.compile(r"^HDR histogram: (text|data|deflated|payload) byte (\d+): ")

untimed = settings(deadline=None, max_examples=100)


def filled(values: list[int], *, significant_digits: int = 3) -> HdrHistogram:
    histogram = HdrHistogram(1000, HOUR_NS, significant_digits)
    histogram.record_many(np.array(values, dtype=np.int64))
    return histogram


def wrapped(payload: bytes, *, cookie: int = 0x1C849314) -> str:
    """The text of a payload."""
    deflated = zlib.compress(payload)
    return base64.b64encode(struct.pack(">II", cookie, len(deflated)) + deflated).decode()


def payload(counts: bytes, *, cookie: int = 0x1C849313, digits: int = 2, lowest: int = 1, highest: int = 1000) -> bytes:
    return struct.pack(">IIIIqqd", cookie, len(counts), 0, digits, lowest, highest, 1.0) + counts


def refused_at(text: str | bytes) -> tuple[str, int]:
    """The layer and byte of the error."""
    with pytest.raises(ValueError, match=AT_BYTE) as caught:
        HdrHistogram.decode(text)
    match = AT_BYTE.match(str(caught.value))
    assert match
    return match[1], int(match[2])


# --- round trips ---


@untimed
@given(st.lists(st.integers(0, HOUR_NS), max_size=60), st.integers(1, 5), st.integers(1, 2**40))
def test_a_round_trip_keeps_range_digits_and_counts(row: list[int], significant_digits: int, n: int) -> None:
    histogram = filled(row, significant_digits=significant_digits)
    histogram.record_n(5_000_000, n)
    back = HdrHistogram.decode(histogram.encode())
    assert back == histogram
    assert type(back) is HdrHistogram
    assert back.encode() == histogram.encode()
    assert back.min == histogram.lowest_equivalent(histogram.min)
    assert back.max == min(histogram.highest_equivalent(histogram.max), HOUR_NS)


def test_losses_are_not_in_the_form() -> None:
    histogram = filled([5_000_000, -1, 2**62])
    assert histogram.n_lost == 2
    assert HdrHistogram.decode(histogram.encode()).n_lost == 0


@pytest.mark.parametrize("histogram", [HdrHistogram(), HdrHistogram(1, INT64_MAX, 5), HdrHistogram(7, 14, 1)], ids=repr)
def test_an_empty_histogram_makes_the_trip(histogram: HdrHistogram) -> None:
    back = HdrHistogram.decode(histogram.encode())
    assert back == histogram
    assert back.min is None


def test_text_may_be_bytes_and_have_white_space_around_it() -> None:
    histogram = filled([5_000_000])
    assert HdrHistogram.decode(f" \n{histogram.encode()}\r\n".encode()) == histogram


def test_the_text_is_ascii_of_the_known_beginning() -> None:
    assert re.fullmatch(r"HISTFAAA[A-Za-z0-9+/]+=*", filled([5_000_000]).encode())


# --- other implementations ---


@pytest.mark.parametrize("significant_digits", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("lowest", [1, 1000])
def test_the_hdrhistogram_package_reads_ours_and_we_read_its(significant_digits: int, lowest: int) -> None:
    values = np.random.default_rng(significant_digits).lognormal(np.log(20e6), 1.5, 500).astype(np.int64)
    ours = HdrHistogram(lowest, HOUR_NS, significant_digits)
    reference = ReferenceHistogram(lowest, HOUR_NS, significant_digits)
    ours.record_many(values)
    for value in values.tolist():
        reference.record_value(value)
    read = ReferenceHistogram.decode(ours.encode())
    assert (read.lowest_trackable_value, read.highest_trackable_value) == (lowest, HOUR_NS)
    assert np.array_equal(np.array(read.counts[:], dtype=np.int64), ours.counts)
    assert HdrHistogram.decode(reference.encode()) == ours


def test_the_hdrhistogram_package_reads_an_empty_one_and_we_read_its() -> None:
    assert ReferenceHistogram.decode(HdrHistogram(1, 1000, 2).encode()).get_total_count() == 0
    assert HdrHistogram.decode(ReferenceHistogram(1, 1000, 2).encode()) == HdrHistogram(1, 1000, 2)


@pytest.mark.parametrize(("code", "n_bytes"), [("h", 2), ("i", 4), ("q", 8)])
def test_versions_0_and_1_are_read(code: str, n_bytes: int) -> None:
    expected = HdrHistogram(1, 1000, 2)
    expected.record_n(1, 258)
    expected.record_n(3, 7)
    counts = struct.pack(f">4{code}", 0, 258, 0, 7)
    version_1 = payload(counts, cookie=0x1C849301 | n_bytes << 4)
    version_0 = struct.pack(">IIqqq", 0x1C849308 | n_bytes << 4, 2, 1, 1000, 265) + counts
    assert HdrHistogram.decode(wrapped(version_1, cookie=0x1C849302 | n_bytes << 4)) == expected
    assert HdrHistogram.decode(wrapped(version_0, cookie=0x1C849309 | n_bytes << 4)) == expected
    assert HdrHistogram.decode(base64.b64encode(version_1)) == expected


def test_what_is_not_deflated_is_read_too() -> None:
    histogram = filled([5_000_000, 7_000_000])
    assert HdrHistogram.decode(base64.b64encode(_core.encode_hdr_payload(histogram))) == histogram


def test_counts_above_the_highest_value_raise_it() -> None:
    """Other implementations fill the room that their arrays have above it."""
    above = HdrHistogram.decode(wrapped(payload(b"\xfd\x07\x02")))  # 511 empty buckets, then 1: 1020 to 1023
    assert (above.highest, above.total_count, above.min, above.max) == (1023, 1, 1020, 1023)
    twice = above.copy()
    assert twice.merge(above) == 0
    assert twice.total_count == 2


# --- damage ---


def test_every_truncation_is_refused_where_it_ends() -> None:
    text = filled([1_500, 2_000_000, 2_000_001, 900_000_000]).encode()
    for n in range(len(text)):
        layer, at = refused_at(text[:n])
        assert at == (n if layer == "text" else n // 4 * 3), (n, layer)


@untimed
@given(st.data())
def test_flipped_bits_of_the_text_are_refused_or_decode(data: st.DataObject) -> None:
    text = bytearray(filled([1_500, 2_000_000, 2_000_001, 900_000_000]).encode().encode())
    for _ in range(data.draw(st.integers(1, 3))):
        text[data.draw(st.integers(0, len(text) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        histogram = HdrHistogram.decode(bytes(text))
    except ValueError as error:
        assert AT_BYTE.match(str(error))  # noqa: PT017 - either outcome is right
    else:
        assert histogram == filled([1_500, 2_000_000, 2_000_001, 900_000_000])  # white space, or bits nobody reads


@untimed
@given(st.binary(max_size=80), st.booleans())
def test_any_payload_is_refused_or_decodes(tail: bytes, has_header: bool) -> None:
    start = payload(tail) if has_header else tail
    for text in (wrapped(start), base64.b64encode(start)):
        try:
            histogram = HdrHistogram.decode(text)
        except ValueError as error:
            assert AT_BYTE.match(str(error))  # noqa: PT017
        else:
            assert HdrHistogram.decode(histogram.encode()) == histogram


def test_flipped_bytes_of_the_deflated_data_are_refused() -> None:
    histogram = filled(list(range(0, 40_000_000, 777_777)))
    data = base64.b64decode(histogram.encode())
    rng = random.Random(1)
    n_refused = 0
    for _ in range(300):
        damaged = bytearray(data)
        damaged[rng.randrange(8, len(data))] ^= rng.randrange(1, 256)
        try:
            assert HdrHistogram.decode(base64.b64encode(damaged)) == histogram  # the head of zlib has bits to spare
        except ValueError as error:
            assert AT_BYTE.match(str(error))  # noqa: PT017
            n_refused += 1
    assert n_refused > 290


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", ("text", 0)),
        ("  \n", ("text", 0)),
        ("HIST!AAA", ("text", 4)),
        (" HISTé", ("text", 5)),
        ("HISTF", ("text", 5)),
        ("AAAA", ("data", 3)),
        ("AAAAAAAA", ("data", 0)),
        (base64.b64encode(struct.pack(">II", 0x1C849314, 5) + b"1234"), ("data", 12)),
        (base64.b64encode(struct.pack(">II", 0x1C849314, 3) + b"1234"), ("data", 11)),
        (base64.b64encode(struct.pack(">II", 0x1C849314, 4) + b"1234"), ("deflated", 1)),
        (base64.b64encode(struct.pack(">II", 0x1C849314, 0)), ("deflated", 0)),
        (wrapped(b""), ("payload", 0)),
        (wrapped(payload(b"")[:30]), ("payload", 30)),
        (wrapped(payload(b"", digits=0)), ("payload", 12)),
        (wrapped(payload(b"", lowest=0)), ("payload", 16)),
        (wrapped(payload(b"", highest=1)), ("payload", 24)),
        (wrapped(payload(b"\x80")), ("payload", 41)),
        (wrapped(payload(b"\x02") + b"\x02"), ("payload", 41)),
        (wrapped(payload(b"\x02")[:-1]), ("payload", 40)),
    ],
)
def test_the_message_says_which_byte(text: str | bytes, where: tuple[str, int]) -> None:
    assert refused_at(text) == where


def test_bytes_after_the_deflated_stream_are_refused() -> None:
    deflated = zlib.compress(payload(b"\x02"))
    text = base64.b64encode(struct.pack(">II", 0x1C849314, len(deflated) + 3) + deflated + b"abc")
    assert refused_at(text) == ("deflated", len(deflated))


def test_a_histogram_of_real_numbers_is_named() -> None:
    text = base64.b64encode(struct.pack(">IIq", 0x0C72124E, 3, 1000))
    with pytest.raises(ValueError, match="got a DoubleHistogram"):
        HdrHistogram.decode(text)


def test_a_bomb_stays_small() -> None:
    """64 MB of zeros in 64 KB of text, behind the header of a histogram of 512 buckets."""
    text = wrapped(payload(bytes(64_000_000)))
    assert len(text) < 100_000
    tracemalloc.start()
    try:
        assert refused_at(text) == ("payload", 40 + 9 * 512)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


# --- the class ---


def test_the_class_is_one_and_the_same_everywhere() -> None:
    histogram = filled([5_000_000, -1])
    assert (HdrHistogram.__module__, HdrHistogram.__qualname__) == ("tokenclock", "HdrHistogram")
    assert repr(histogram).startswith("HdrHistogram(lowest=1000")
    for twin in (histogram.copy(), pickle.loads(pickle.dumps(histogram))):
        assert type(twin) is HdrHistogram
        assert twin == histogram
    with pytest.raises(AttributeError):
        histogram.word = 1  # type: ignore[attr-defined]


def test_a_subclass_stays_one_through_copies_and_decoding() -> None:
    class Named(HdrHistogram):
        pass

    named = Named(1, 1000, 2)
    named.record(7)
    assert type(named.copy()) is Named
    assert type(Named.decode(named.encode())) is Named
    assert Named.decode(named.encode()) == named


def test_a_pickle_loads_in_a_program_that_imported_nothing() -> None:
    code = "import pickle, sys; print(pickle.loads(sys.stdin.buffer.read()).encode())"
    histogram = filled([5_000_000])
    done = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(histogram), capture_output=True, check=True)
    assert done.stdout.decode().strip() == histogram.encode()
