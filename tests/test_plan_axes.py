from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenclock.errors import UsageError
from tokenclock.plan_axes import parse_ints, parse_pairs, parse_shares


@pytest.mark.parametrize(
    ("text", "values"), [("8", (8,)), ("1;8;64", (1, 8, 64)), (" 1 ; 8 ", (1, 8)), ("8;8", (8, 8)), ("007", (7,))]
)
def test_lists_of_whole_numbers(text: str, values: tuple[int, ...]) -> None:
    assert parse_ints("--batch_size", text, unit="rows") == values


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "got nothing"), ("1;8;", "an empty piece in '1;8;'"), (";1", "an empty piece"), ("1;;8", "an empty piece"),
        ("0", "got 0"), ("-3", "got -3"), ("1.5", "got 1.5"), ("1,8", "got 1,8"), ("eight", "got eight"),
        ("1_000", "got 1_000"), ("16777217", "got 16777217"), ("9" * 40, "got 999"), ("٣", "got ٣"),
    ],
)  # fmt: skip
def test_what_is_no_list_is_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises(UsageError, match="--batch_size must be") as caught:
        parse_ints("--batch_size", text, unit="rows")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pairs() -> None:
    assert parse_pairs("--input_output_len", "60,20; 128 , 20") == ((60, 20), (128, 20))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("128", "got one number in 128"), ("128,20,3", "got 3 numbers in 128,20,3"), ("128,20;", "an empty piece"),
        ("128,0", "got 0"), ("128,-2", "got -2"), ("128,", "got ''"), (",", "got ''"), ("a,b", "got a"),
    ],
)  # fmt: skip
def test_what_is_no_pair_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match="--input_output_len must be") as caught:
        parse_pairs("--input_output_len", text)
    assert words in str(caught.value)


def test_shares() -> None:
    assert parse_shares("--gpu_weights_percent", "1.0;0.5; 0 ") == (1.0, 0.5, 0.0)


@pytest.mark.parametrize("text", ["1.5", "-0.1", "nan", "inf", "half", "0.5;", "", "50%"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--gpu_weights_percent must be"):
        parse_shares("--gpu_weights_percent", text)


@given(st.lists(st.integers(1, 1 << 24), min_size=1))
def test_any_list_comes_back(values: list[int]) -> None:
    assert parse_ints("--x", ";".join(map(str, values)), unit="rows") == tuple(values)


@given(st.text(max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (lambda: parse_ints("--x", text, unit="rows"), lambda: parse_pairs("--x", text)):
        try:
            found: object = parse()
        except UsageError as error:
            found = str(error).startswith("--x must be")
        assert found
