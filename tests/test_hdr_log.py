"""Interval logs: of the Java, C and Python implementations, our own, and damaged ones."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram as ReferenceHistogram
from hdrh.log import HistogramLogReader, HistogramLogWriter
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenclock import HdrHistogram, HlogInterval, HlogWriter, read_hlog

GOLDEN = Path(__file__).parent / "golden"
HOUR_NS = 3_600_000_000_000
T0_S = 1_763_784_000.25

untimed = settings(deadline=None, max_examples=50)


def filled(*values: int) -> HdrHistogram:
    histogram = HdrHistogram()
    assert histogram.record_many(list(values)) == len(values)
    return histogram


def written(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def times(path: Path) -> list[tuple[float, float]]:
    return [(interval.start_s, interval.end_s) for interval in read_hlog(path)]


TEXT = filled(5_000_000).encode()


# --- logs of other implementations; figures as those printed them ---


def test_a_log_of_the_java_implementation() -> None:
    lines = [line.split("\t") for line in (GOLDEN / "hdr_java_steps.tsv").read_text().splitlines()]
    expected = [line[1:] for line in lines if line[0].startswith("histogram")]
    intervals = list(read_hlog(GOLDEN / "hdr_java.hlog"))
    assert len(intervals) == len(expected) == 5
    for interval, (tag, start_ms, end_ms, lowest, highest, digits, n, highest_value) in zip(
        intervals, expected, strict=True
    ):
        histogram = interval.histogram
        assert interval.tag == (None if tag == "null" else tag)
        assert interval.start_s == pytest.approx(int(start_ms) / 1e3, abs=1e-6)
        assert interval.end_s == pytest.approx(int(end_ms) / 1e3, abs=1e-6)
        assert (histogram.lowest, histogram.significant_digits) == (int(lowest), int(digits))
        assert histogram.highest == max(int(highest), int(highest_value))  # Java records above the highest
        assert (histogram.total_count, histogram.max or 0) == (int(n), int(highest_value))


@pytest.mark.parametrize("name", ["hdr_c_lengths.hlog", "hdr_c_ends.hlog"])
def test_a_log_of_the_c_implementation(name: str) -> None:
    """Its two ways of writing put a length, or an end, under the same legend."""
    intervals = list(read_hlog(GOLDEN / name))
    assert [i.start_s for i in intervals] == [T0_S + k for k in range(4)]
    assert [i.end_s - i.start_s for i in intervals] == pytest.approx(
        [0.999] * 4 if "lengths" in name else [1.0, 0.999, 0.998, 0.997], abs=1e-6
    )
    assert [i.tag for i in intervals] == [None, "ttft" if "lengths" in name else None, None, None]
    histograms = [i.histogram for i in intervals]
    assert [h.total_count for h in histograms] == [103_922, 56_036, 72_964, 0]
    assert [h.max for h in histograms] == [57_376_767, 56_885_247, 58_982_399, None]
    assert [h.value_at_percentile(90) for h in histograms] == [20_938_751, 17_022_975, 7_667_711, None]


def test_a_log_of_the_python_implementation() -> None:
    intervals = list(read_hlog(GOLDEN / "hdr_python.hlog"))
    assert [(i.start_s, i.end_s) for i in intervals] == [(T0_S + 0.25 + k, T0_S + 1.125 + k) for k in range(3)]
    assert [i.histogram.total_count for i in intervals] == [186, 0, 166]
    assert [i.histogram.max for i in intervals] == [213_663_743, None, 140_042_239]


def test_a_log_that_the_hdrhistogram_package_writes_now(tmp_path: Path) -> None:
    reference = ReferenceHistogram(1000, HOUR_NS, 3)
    for value in (1_500, 2_000_000, 30_000_000):
        reference.record_value(value)
    with open(tmp_path / "a.hlog", "w") as file:
        writer = HistogramLogWriter(file)
        writer.output_log_format_version()
        writer.output_legend()
        writer.output_interval_histogram(reference, 2.0, 3.5)
    (interval,) = read_hlog(tmp_path / "a.hlog")
    assert interval[:3] == (None, 2.0, 3.5)
    assert np.array_equal(interval.histogram.counts, np.array(reference.counts[:], dtype=np.int64))


# --- our own logs ---


def test_the_hdrhistogram_package_reads_ours(tmp_path: Path) -> None:
    histograms = [filled(1_500, 2_000_000), filled(), filled(*range(10**6, 10**8, 10**6))]
    with HlogWriter(tmp_path / "a.hlog", start_time_s=T0_S, base_time_s=T0_S, comments=["[tokenclock]"]) as log:
        for k, histogram in enumerate(histograms):
            log.write(histogram, T0_S + k, T0_S + k + 0.5, tag="itl" if k == 2 else None)
    reader: Any = HistogramLogReader(str(tmp_path / "a.hlog"), ReferenceHistogram(1000, HOUR_NS, 4))
    for k, histogram in enumerate(histograms):
        read = reader.get_next_interval_histogram(absolute=True)
        assert (read.get_start_time_stamp(), read.get_end_time_stamp()) == ((T0_S + k) * 1e3, (T0_S + k + 0.5) * 1e3)
        assert read.get_tag() == ("itl" if k == 2 else None)
        assert np.array_equal(np.array(read.counts[:], dtype=np.int64), histogram.counts)
    assert reader.get_next_interval_histogram(absolute=True) is None
    reader.close()


def test_the_lines_are_those_of_the_format(tmp_path: Path) -> None:
    with HlogWriter(tmp_path / "a.hlog", start_time_s=T0_S, base_time_s=T0_S, comments=["[x]", ""]) as log:
        log.write(filled(5_000_000), T0_S + 1, T0_S + 1.5, tag="ttft")
        log.comment("half time")
        log.write(filled(), T0_S + 2, T0_S + 2)
    assert (tmp_path / "a.hlog").read_text().splitlines() == [
        "#[x]",
        "#",
        "#[Histogram log format version 1.3]",
        "#[StartTime: 1763784000.250000 (seconds since epoch), Sat Nov 22 04:00:00 UTC 2025]",
        "#[BaseTime: 1763784000.250000 (seconds since epoch)]",
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
        f"Tag=ttft,1.000000,0.500000,5.000,{TEXT}",
        "#half time",
        f"2.000000,0.000000,0.000,{filled().encode()}",
    ]


@untimed
@given(
    st.lists(st.tuples(st.sampled_from([None, "a", "ü=#"]), st.integers(0, 10**9), st.integers(0, 10**7)), max_size=5),
    st.sampled_from([None, T0_S]),
)
def test_what_is_written_is_read(rows: list[tuple[str | None, int, int]], base_time_s: float | None) -> None:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "a.hlog"
        sent = []
        with HlogWriter(path, base_time_s=base_time_s) as log:
            for tag, start_us, length_us in rows:
                start_s = T0_S + start_us / 1e6
                sent.append(HlogInterval(tag, start_s, start_s + length_us / 1e6, filled(start_us)))
                log.write(sent[-1].histogram, sent[-1].start_s, sent[-1].end_s, tag=tag)
        read = list(read_hlog(path))
    assert [(i.tag, i.histogram) for i in read] == [(i.tag, i.histogram) for i in sent]
    for got, wrote in zip(read, sent, strict=True):
        assert (got.start_s, got.end_s) == pytest.approx((wrote.start_s, wrote.end_s), abs=2e-6, rel=0)


def test_each_line_is_in_the_file_at_once(tmp_path: Path) -> None:
    log = HlogWriter(tmp_path / "a.hlog")
    log.write(filled(5_000_000), 1.0, 2.0)
    assert len(list(read_hlog(tmp_path / "a.hlog"))) == 1
    log.close()
    log.close()


def test_the_writer_refuses_what_readers_cannot_take(tmp_path: Path) -> None:
    with HlogWriter(tmp_path / "a.hlog", base_time_s=T0_S) as log:
        for start_s, end_s, tag, message in [
            (T0_S - 1, T0_S, None, r"^start_s must be >= base_time_s = 1763784000.25 and finite, got 1763783999.25$"),
            (float("nan"), T0_S, None, r"^start_s must be >= base_time_s = 1763784000.25 and finite, got nan$"),
            (T0_S + 1, T0_S, None, "^end_s must be >= start_s"),
            (T0_S, float("inf"), None, "^end_s must be"),
            (T0_S, T0_S, "a b", "^tag must be a word without commas, got 'a b'$"),
            (T0_S, T0_S, "a,b", "^tag must be"),
            (T0_S, T0_S, "", "^tag must be"),
        ]:
            with pytest.raises(ValueError, match=message):
                log.write(filled(1), start_s, end_s, tag=tag)
        with pytest.raises(ValueError, match=r"^a comment must be one line"):
            log.comment("a\nb")
    assert list(read_hlog(tmp_path / "a.hlog")) == []
    for options, message in [
        ({"comments": ["a\n"]}, "^a comment must be one line"),
        ({"start_time_s": -1.0}, "^start_time_s must be >= 0 and finite, got -1.0$"),
        ({"base_time_s": float("inf")}, "^base_time_s must be >= 0"),
        ({"max_unit": 0}, "^max_unit must be > 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            HlogWriter(tmp_path / "b.hlog", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "b.hlog").exists()


# --- reading: times, line ends, damage ---


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ([], (5.0, 6.5)),
        (["#[BaseTime: 100.5 (seconds since epoch)]"], (105.5, 107.0)),
        ([f"#[StartTime: {T0_S} (seconds since epoch), when]"], (T0_S + 5, T0_S + 6.5)),
        ([f"#[StartTime: {T0_S} (s)]", "#[BaseTime: 7 (s)]"], (12.0, 13.5)),
        (["#[StartTime: 30 (within a year of the times: they are absolute)]"], (5.0, 6.5)),
    ],
)
def test_times_are_made_absolute(tmp_path: Path, head: list[str], expected: tuple[float, float]) -> None:
    assert times(written(tmp_path / "a.hlog", *head, f"5.0,1.5,1.0,{TEXT}")) == [expected]


def test_an_end_is_taken_for_one_only_where_every_line_can_be_so(tmp_path: Path) -> None:
    legend = '"StartTimestamp","EndTimestamp","Interval_Max","Interval_Compressed_Histogram"'
    first, second = f"1.0,2.0,1.0,{TEXT}", f"2.5,2.0,1.0,{TEXT}"
    assert times(written(tmp_path / "a.hlog", legend, first)) == [(1.0, 2.0)]
    assert times(written(tmp_path / "a.hlog", legend, first, second)) == [(1.0, 3.0), (2.5, 4.5)]
    assert times(written(tmp_path / "a.hlog", first)) == [(1.0, 3.0)]


def test_line_ends_empty_lines_and_spaces_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.hlog"
    path.write_bytes(f"\r\n# x\r\n\r\nTag=a, 1.0, 2.0, 3.0, {TEXT} \r\n\n2.0,1.0,3.0,{TEXT}".encode())
    assert [interval[:3] for interval in read_hlog(path)] == [("a", 1.0, 3.0), (None, 2.0, 3.0)]


@pytest.mark.parametrize(
    ("line", "at", "message"),
    [
        ("1.0,2.0", 7, r"got 2 of 4 fields"),
        ("Tag=a", 5, r"got 1 of 4 fields"),
        (f"x,2.0,3.0,{TEXT}", 0, "expected the start in seconds, got 'x'"),
        (f"1.0,nan,3.0,{TEXT}", 4, "expected the length in seconds, got 'nan'"),
        (f"Tag=a,1.0,2.0,,{TEXT}", 14, "expected the highest value, got ''"),
        (f"1.0,2.0,3.0,{TEXT[:-1]}", 12, "HDR histogram: text byte 59: expected a multiple of 4 bytes, got 59"),
        ("1.0,2.0,3.0,", 12, "HDR histogram: text byte 0: expected base64, got nothing"),
        ("#[StartTime: never]", 13, "expected a number after StartTime, got 'never'"),
    ],
)
def test_the_message_says_which_line_and_byte(tmp_path: Path, line: str, at: int, message: str) -> None:
    path = written(tmp_path / "a.hlog", "#äö", f"0.0,1.0,1.0,{TEXT}", line)
    offset = len(f"#äö\n0.0,1.0,1.0,{TEXT}\n".encode()) + at
    with pytest.raises(ValueError, match=rf"a\.hlog:3: byte {offset}: .*{message}"):
        list(read_hlog(path))


def test_a_tag_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.hlog").write_bytes(b"Tag=a\xff,1.0,2.0,3.0," + TEXT.encode())
    with pytest.raises(ValueError, match=r"a\.hlog:1: byte 5: expected a tag in UTF-8"):
        list(read_hlog(tmp_path / "a.hlog"))


def test_intervals_before_a_damaged_line_are_read(tmp_path: Path) -> None:
    intervals = read_hlog(written(tmp_path / "a.hlog", f"0.0,1.0,1.0,{TEXT}", "broken"))
    assert next(intervals).histogram == filled(5_000_000)
    with pytest.raises(ValueError, match=r"a\.hlog:2: "):
        next(intervals)


def test_every_truncation_of_a_log_is_a_shorter_log_or_refused(tmp_path: Path) -> None:
    text = HdrHistogram(1, 1000, 2).encode()
    lines = ["#[StartTime: 7 (s)]", f"1.0,2.0,3.0,{text}", f"Tag=a,2.0,3.0,4.0,{text}"]
    whole = written(tmp_path / "a.hlog", *lines).read_bytes()
    n_read = []
    for n in range(len(whole)):
        (tmp_path / "a.hlog").write_bytes(whole[:n])
        try:
            n_read.append(len(list(read_hlog(tmp_path / "a.hlog"))))
        except ValueError as error:
            assert f"a.hlog:{whole[:n].count(10) + 1}: byte " in str(error)  # noqa: PT017
    assert set(n_read) == {0, 1, 2}
    assert n_read == sorted(n_read)
    assert len(n_read) < len(whole) / 2


@untimed
@given(st.data())
def test_damaged_logs_are_read_or_refused(data: st.DataObject) -> None:
    text = bytearray((GOLDEN / "hdr_java.hlog").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.NamedTemporaryFile(suffix=".hlog") as file:
        file.write(text)
        file.flush()
        try:
            assert len(list(read_hlog(file.name))) <= 5
        except ValueError as error:
            assert ": byte " in str(error)  # noqa: PT017


def test_a_missing_log_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        next(read_hlog(tmp_path / "none.hlog"))
