from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenclock.compare.gate import Clause, missed, parse
from tokenclock.errors import UsageError

MS = 1_000_000


def point(metric: str = "tpot.p99", **row: Any) -> dict[str, Any]:
    values = {"metric": metric, "base": 10 * MS, "other": 10.6 * MS, "ratio": 1.06, "low": 1.04, "high": 1.08}
    return {"other": "b", "load": {"text": "concurrency 4"}, "rows": [{**values, "verdict": "worse", **row}]}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("tpot.p99 > +5%", True),
        ("tpot.p99 >= +6.1%", False),
        ("tpot.p99>+5% shown", False),
        ("tpot.p99 > +3% shown", True),
        ("tpot.p99 < -1%", False),
        ("tpot.p99 > 10.5ms", True),
        ("tpot.p99 > 10600 us", False),
        ("tpot.p99 >= 10600000ns", True),
        ("tpot.p99 > 1s", False),
        ("tpot.p99 is worse", True),
        ("tpot.p99 is no difference shown", False),
        ("tpot.p99 > +5% and tpot.p99 is worse", True),
        ("tpot.p99 > +5% and tpot.p99 is better", False),
    ],
)
def test_conditions(text: str, holds: bool) -> None:
    assert bool(missed([(text, parse(text))], [point()])) is holds


def test_a_rate_is_compared_per_second() -> None:
    assert parse("output_throughput < 900/s")[0].holds({"other": 899.0})
    assert parse("output_throughput < -5%")[0].holds({"other": 9.0, "ratio": 0.94})


def test_shown_needs_an_interval() -> None:
    assert parse("tpot.p99 > +1% shown")[0].holds(point(low=None, high=None)["rows"][0]) is None
    assert parse("tpot.p99 < -1% shown")[0].holds(point(ratio=0.9, low=0.85, high=0.95)["rows"][0])


def test_what_no_point_can_answer_is_missed() -> None:
    text = "ttft.p99 > +5%"
    assert missed([(text, parse(text))], [point()]) == ["ttft.p99 > +5%: no point has ttft.p99"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tpot.p99 > +50% shown", ["cannot be judged of b at concurrency 8 (not enough data)"]),
        ("tpot.p99 is better", ["cannot be judged of b at concurrency 8 (not enough data)"]),
        ("tpot.p99 > +50% shown and tpot.p99 > 1s", []),  # the second does not hold, whatever the first is
        ("tpot.p99 > +50%", []),  # the numbers as measured are always there
        ("tpot.p99 is not enough data", ["b at concurrency 8 (tpot.p99 +6.0%, not enough data)"]),
        ("ttft.p99 > 1s", ["cannot be judged of b at concurrency 8 (no ttft.p99 there)"]),
    ],
)
def test_each_load_is_judged_or_does_not_pass(text: str, expected: list[str]) -> None:
    here, there = point(), point(low=None, high=None, verdict="not enough data")
    there["load"] = {"text": "concurrency 8"}
    here["rows"] += point("ttft.p99")["rows"]
    assert missed([(text, parse(text))], [here, there]) == [f"{text}: {line}" for line in expected]


def test_the_line_says_where() -> None:
    text = "tpot.p99 > +5%"
    assert missed([(text, parse(text))], [point()]) == ["tpot.p99 > +5%: b at concurrency 4 (tpot.p99 +6.0%, worse)"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "--fail-if expects conditions such as"),
        ("tpot.p99", "--fail-if expects"),
        ("tpot.p99 > 5%", r"a change has a sign, \+5% or -5%"),
        ("tpot.p98 > +5%", r"unknown metric tpot.p98 \(did you mean tpot.p9?9?"),
        ("tpot.p99 > 5/s", "tpot.p99 is in ns, us, ms or s"),
        ("output_throughput > 5ms", "output_throughput is in /s"),
        ("tpot.p99 is bad", "a verdict is one of better, worse"),
        ("tpot.p99 > 5ms shown", "only a change in % can be shown"),
        ("tpot.p99 > -5ms", "only a change in % can be shown, or negative"),
        ("tpot.p99 > +5% and", "--fail-if expects"),
        ("tpot.p99 > +5% or ttft.p99 > +5%", "--fail-if expects"),
    ],
)
def test_what_is_not_in_the_grammar_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse(text)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    refused = ""
    try:
        found = parse(text)
    except UsageError as error:
        found, refused = (), str(error)
    assert found or 0 < len(refused) < 300


metrics = st.sampled_from(["ttft.mean", "tpot.p99", "itl.p50", "e2el.mean"])
amounts = st.decimals(0, 1000, places=2).map(str)


@st.composite
def clauses(draw: st.DrawFn) -> tuple[str, Clause]:
    metric, sign = draw(metrics), draw(st.sampled_from([">", ">=", "<", "<="]))
    blank = draw(st.sampled_from(["", " ", "  "]))
    kind = draw(st.sampled_from(["change", "number", "verdict"]))
    if kind == "verdict":
        verdict = draw(st.sampled_from(["better", "worse", "no difference shown", "not enough data"]))
        return f"{metric} is {verdict}", Clause(metric, verdict=verdict)
    amount = draw(amounts)
    if kind == "number":
        unit = draw(st.sampled_from(["ns", "us", "ms", "s"]))
        return f"{metric}{blank}{sign}{blank}{amount}{blank}{unit}", Clause(metric, sign, float(amount), unit)
    plus, shown = draw(st.sampled_from("+-")), draw(st.booleans())
    text = f"{metric}{blank}{sign}{blank}{plus}{amount}{blank}%{' shown' if shown else ''}"
    return text, Clause(metric, sign, float(plus + amount), "%", shown)


@given(st.lists(clauses(), min_size=1, max_size=4))
def test_what_the_grammar_makes_is_read_as_it_was_meant(parts: list[tuple[str, Clause]]) -> None:
    assert parse(" and ".join(text for text, _ in parts)) == tuple(clause for _, clause in parts)
