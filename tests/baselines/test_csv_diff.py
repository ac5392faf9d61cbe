"""Which rows of two CSV files differ: both parts, of the base, with the direction of the metric."""

from __future__ import annotations

import pytest

from tokenclock.baselines.csv_diff import differences
from tokenclock.baselines.csv_rows import read_csv
from tokenclock.errors import UsageError


def kinds(write_csv, base, target, *, own=False):
    found = differences(
        read_csv(str(write_csv("target.csv", *target))), read_csv(str(write_csv("base.csv", *base))), own=own
    )
    return [(one.kind, one.row.name) for one in found]


def one(write_csv, metric, base, target, relative, absolute, *, own=False):
    found = kinds(write_csv, [("a", metric, base, relative, absolute)], [("a", metric, target, 9, 9)], own=own)
    return found[0][0] if found else None


@pytest.mark.parametrize(
    ("target", "kind"),
    [(159, None), (161, "worse"), (41, None), (39, "better"), (100, None)],
)
def test_both_parts_must_be_exceeded_where_the_absolute_one_is_larger(write_csv, target, kind) -> None:
    """10 % of 100 is 10, and 60 are asked for; numpy's sum of both would be 70 and more."""
    assert one(write_csv, "FIRST_TOKEN_TIME", 100, target, 0.1, 60) == kind


@pytest.mark.parametrize(("target", "kind"), [(1099, None), (1101, "worse"), (901, None), (899, "better")])
def test_the_relative_part_is_of_the_base(write_csv, target, kind) -> None:
    """Of the target it would be 10 % of 1101, which is more than 101."""
    assert one(write_csv, "FIRST_TOKEN_TIME", 1000, target, 0.1, 50) == kind


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("metric", ["TOTAL_TOKEN_THROUGHPUT", "USER_THROUGHPUT", "TOKEN_THROUGHPUT"])
def test_a_wrong_sign_in_the_file_does_not_turn_a_known_metric(write_csv, metric, sign) -> None:
    assert one(write_csv, metric, 1000, 800, sign * 0.1, 10) == "worse"
    assert one(write_csv, metric, 1000, 1200, sign * 0.1, 10) == "better"


def test_the_sign_counts_for_a_metric_that_is_not_known(write_csv) -> None:
    assert one(write_csv, "FRAMES", 1000, 800, -0.1, 10) == "worse"
    assert one(write_csv, "FRAMES", 1000, 800, 0.1, 10) == "better"
    assert one(write_csv, "FRAMES", 1000, 1000.1, "", "") == "worse"


def test_own_thresholds_see_what_50_ms_hide(write_csv) -> None:
    assert one(write_csv, "OUTPUT_TOKEN_TIME", 10, 15, 0.1, 50) is None
    assert one(write_csv, "OUTPUT_TOKEN_TIME", 10, 15, 0.1, 50, own=True) == "worse"
    assert one(write_csv, "OUTPUT_TOKEN_TIME", 10, 10.4, 0.1, 50, own=True) is None
    assert one(write_csv, "OUTPUT_TOKEN_TIME", 0.5, 0.58, 0.1, 50, own=True) is None


def test_builds_are_not_compared(write_csv) -> None:
    assert one(write_csv, "BUILD_TIME", 100, 900, 0.1, 30) is None


def test_rows_of_one_side_and_rows_without_a_value(write_csv) -> None:
    base = [(name, "SEQ_THROUGHPUT", value, -0.1, 10) for name, value in (("a", 5), ("gone", 5), ("b", 5), ("c", ""))]
    target = [
        ("new", "SEQ_THROUGHPUT", 5, -0.1, 10), ("c", "SEQ_THROUGHPUT", 5, -0.1, 10),
        ("b", "SEQ_THROUGHPUT", "", -0.1, 10, "failed"), ("a", "SEQ_THROUGHPUT", 5, -0.1, 10),
    ]  # fmt: skip
    expected = [("missing", "gone"), ("not measured", "b"), ("new", "c"), ("new", "new")]
    assert kinds(write_csv, base, target) == expected


def test_the_last_row_of_a_case_counts(write_csv) -> None:
    target = [("a", "SEQ_THROUGHPUT", "", -0.1, 10, "failed"), ("a", "SEQ_THROUGHPUT", 50, -0.1, 10)]
    assert kinds(write_csv, [("a", "SEQ_THROUGHPUT", 50, -0.1, 10)], target) == []
    assert read_csv(str(write_csv("again.csv", *target))).repeated is not None


def test_autodeploy_is_joined_within_the_device_subtype(tmp_path) -> None:
    head = "network_name,device_subtype,perf_case_name,perf_metric,threshold,absolute_threshold,metric_type\n"
    (tmp_path / "base.csv").write_text(
        f"{head}n-bench-_autodeploy,sxm,c,10,0.1,0,SEQ_LATENCY\nn-bench-_autodeploy,pcie,c,20,0.1,0,SEQ_LATENCY\n"
    )
    (tmp_path / "target.csv").write_text(f"{head}n-bench-_autodeploy,pcie,c,30,0.1,0,SEQ_LATENCY\n")
    found = differences(read_csv(str(tmp_path / "target.csv")), read_csv(str(tmp_path / "base.csv")), own=False)
    assert [(one.kind, one.row.cells["device_subtype"]) for one in found] == [("missing", "sxm"), ("worse", "pcie")]


HEAD = "perf_case_name,metric_type,perf_metric,threshold,absolute_threshold"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "an empty file"),
        ("a,b\n", "perf_case_name is not one"),
        (f"{HEAD},threshold\n", "the column threshold twice"),
        (f"{HEAD}\nc,T,5\n", "line 2: must have 5 cells as the first line has, got 3"),
        (f"{HEAD}\n\nc,T,5,0.1,50,6\n", "line 3: must have 5 cells"),
        (f"{HEAD}\nc,T,fast,0.1,50\n", "line 2: perf_metric must be a number, got 'fast'"),
        (f"{HEAD}\nc,T,nan,0.1,50\n", "got 'nan'"),
        (f"{HEAD}\nc,T,5,0.1,1e999\n", "absolute_threshold must be a number"),
        (f"{HEAD}\n,T,5,0.1,50\n", "perf_case_name must name the case"),
        (f'{HEAD}\n"c\nd",T,5,0.1,50\n"open,T,5,0.1,50\n', "line 4: must be CSV"),
        (f"{HEAD}\nc\rd,T,5,0.1,50\n", "line 2: must be CSV"),
    ],
)
def test_bad_lines_are_named(tmp_path, text, said) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(text.encode())
    with pytest.raises(UsageError) as error:
        read_csv(str(path))
    assert said in str(error.value)
    assert str(path) in str(error.value)


def test_files_that_are_none(tmp_path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        read_csv(str(tmp_path / "none.csv"))
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="UTF-8"):
        read_csv(str(tmp_path / "bytes.csv"))
