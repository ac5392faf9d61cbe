from __future__ import annotations

from tokenclock.report import format as fmt


def test_missing_is_not_zero() -> None:
    assert fmt.fixed(None) == fmt.fixed_us(None) == fmt.fixed_ms(None) == fmt.percent(None) == "n/a"
    assert fmt.spread(["n/a", "n/a"]) == "n/a"
    assert fmt.spread(["1", "n/a"]) == "1 / n/a"


def test_digits() -> None:
    assert fmt.fixed(1.005) == "1.00"
    assert fmt.fixed(0.99801, 4) == "0.9980"
    assert fmt.fixed_us(12_345) == "12"
    assert fmt.fixed_ms(12_345_678) == "12.35"


def test_a_percentage_never_rounds_to_all_or_nothing() -> None:
    assert fmt.percent(1.0) == "100.00 %"
    assert fmt.percent(0.99999) == "99.99 %"
    assert fmt.percent(0.0) == "0.00 %"
    assert fmt.percent(0.00001) == "<0.01 %"
    assert fmt.percent(0.125) == "12.50 %"


def test_widths() -> None:
    assert len(fmt.rule()) == len(fmt.heading("Title")) == 50
    assert fmt.row("Label:", 7) == "Label:" + " " * 34 + " 7" + " " * 9
    assert fmt.own_row("Label:", "7") == "Label:" + " " * 34 + " 7"
    assert fmt.own_row("Label:", "12 / 85 / 310") == "Label:" + " " * 31 + "12 / 85 / 310"
    assert fmt.own_row("L" * 45, "x" * 20) == "L" * 45 + " " + "x" * 20


def test_long_text_is_wrapped_inside_the_table() -> None:
    lines = fmt.wrapped("word " * 30, "! ", "  ")
    assert lines[0].startswith("! word")
    assert lines[1].startswith("  word")
    assert max(map(len, lines)) <= 50
