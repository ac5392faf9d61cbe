"""Test lists, conditions, waivers, models and the choice among cases."""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Any

import pytest

from tokenclock.errors import UsageError
from tokenclock.perftest.case import CASE_PREFIX, Case, case_of
from tokenclock.perftest.case_list import corrections, is_chosen, read_cases
from tokenclock.perftest.conditions import FACTS, parse_condition
from tokenclock.perftest.machine_facts import facts_of
from tokenclock.perftest.models import hold_models, read_models
from tokenclock.perftest.test_database import read_database
from tokenclock.perftest.test_list import read_test_list
from tokenclock.perftest.waives import read_waivers, waived

LABEL = "m-bench-input_output_len:1,1"
LISTS = Path(__file__).parents[2] / "perf_lists"
H100 = {
    "visible": [{"name": "NVIDIA H100 80GB HBM3", "compute_cap": "sm90", "uuid": "GPU-1"}] * 2,
    "gpus": [{"uuid": "GPU-1", "memory_bytes": 81559 << 20}],
}


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def made(text: str) -> Case:
    case = case_of(text)
    assert case is not None
    return case


def test_a_text_list_has_comments_and_timeouts(tmp_path: Path) -> None:
    path = written(
        tmp_path / "l.txt", f"# all\n\n{CASE_PREFIX}[{LABEL}] TIMEOUT (1.5) # x\n{LABEL}-tp:2\n{LABEL}\na.py::t\n"
    )
    found = read_cases(read_test_list(path))
    assert [(case.written, case.timeout_s) for case in found.cases] == [(LABEL, 90.0), (f"{LABEL}-tp:2", None)]
    assert [entry.text for entry in found.others] == ["a.py::t"]


@pytest.mark.parametrize("line", ["x TIMEOUT (0)", "x TIMEOUT (a)", "x TIMEOUT 5", ""])
def test_bad_lists_are_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(UsageError, match=r"TIMEOUT|one test a line"):
        read_test_list(written(tmp_path / "l.txt", line))


def test_a_label_that_does_not_parse_names_its_line(tmp_path: Path) -> None:
    entries = read_test_list(
        written(tmp_path / "l.txt", f"{LABEL}\nm-bnech-maxsb:3-input_output_len:1,1\nm-cpp-q-input_len:1\n")
    )
    with pytest.raises(UsageError, match=r"l\.txt:2: expected a token of a label, got 'bnech'; near: bench"):
        read_cases(entries)
    diff = corrections(entries)
    assert diff[:2] == ["- m-bnech-maxsb:3-input_output_len:1,1", "+ m-bench-maxbs:3-input_output_len:1,1"]
    assert diff[2] == "- m-cpp-q-input_len:1"
    assert diff[3].startswith("  # expected a token")


def test_facts_of_two_h100() -> None:
    facts = facts_of(H100)
    assert facts["system_gpu_count"] == 2
    assert facts["gpu_memory"] == 81559
    assert (facts["supports_fp8"], facts["supports_fp4"], facts["compute_capability"]) == (True, False, 9.0)
    none = facts_of(None)
    assert (none["gpu"], none["system_gpu_count"], none["supports_fp8"]) == ("", 0, False)
    assert "gpu_memory" not in none


@pytest.mark.parametrize(
    ("condition", "on_h100", "without"),
    [
        (None, True, True),
        ({"terms": {"supports_fp8": True}}, True, False),
        ({"ranges": {"system_gpu_count": {"gte": 2, "lt": 3}}}, True, False),
        ({"ranges": {"system_gpu_count": {"gt": 2}}}, False, False),
        ({"ranges": {"gpu_memory": {"lte": 81559}}}, True, False),
        ({"wildcards": {"gpu": ["*a100*", "*h100*"]}}, True, False),
        ({"wildcards": {"gpu": "*H100*"}, "terms": {"supports_fp4": True}}, False, False),
        ({"terms": {"nobody_knows": "x"}}, False, False),
    ],
)
def test_conditions(condition: Any, on_h100: bool, without: bool) -> None:
    parsed = parse_condition(condition, "c")
    assert parsed.holds(facts_of(H100)) is on_h100
    assert parsed.holds(facts_of(None)) is without


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ({"term": {}}, "did you mean terms"),
        ({"terms": [1]}, "c.terms must be a mapping"),
        ({"terms": {"a": [1]}}, "c.terms.a must be one value"),
        ({"ranges": {"a": 3}}, "c.ranges.a must be a mapping"),
        ({"ranges": {"a": {"ge": 3}}}, "gte, gt, lte or lt, got ge"),
        ({"ranges": {"a": {"gte": "3"}}}, "c.ranges.a.gte must be a number"),
        ({"ranges": {"a": {"gte": True}}}, "must be a number"),
        ({"wildcards": {"a": 3}}, "list of patterns"),
        ([], "c must be a mapping"),
        ({"terms": {"supports_fp8": 1}}, "terms.supports_fp8 must be true or false, got int 1"),
        ({"terms": {"supports_fp8": "maybe"}}, "must be true or false, got str maybe"),
        ({"terms": {"cpu_count": True}}, "cpu_count must be a number"),
        ({"ranges": {"hostname": {"gte": 1}}}, "ranges.hostname has no order"),
        ({"ranges": {"cpu_cuont": {"gte": 1}}}, "names cpu_cuont, which no machine tells; did you mean cpu_count"),
    ],
)
def test_conditions_of_the_wrong_kind(condition: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_condition(condition, "c")


def test_the_facts_of_conditions_are_those_of_machines() -> None:
    told = {**facts_of(None), **facts_of(H100)}
    assert set(FACTS) == set(told)
    for name, value in told.items():
        assert isinstance(value, bool) == (FACTS[name] is bool)
        assert isinstance(value, str) == (FACTS[name] is str)


def test_a_fact_that_no_machine_tells_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tests.yml"
    path.write_text(
        "nightly:\n- condition: {terms: {stage: post_merge}}\n  tests: ['m-bench-float16-input_output_len:1,2']\n"
    )
    assert read_database(path, facts_of(None)) == []
    assert "no machine tells stage; blocks that ask for it hold nowhere" in capsys.readouterr().err


def test_blocks_that_match_are_joined(tmp_path: Path) -> None:
    path = written(
        tmp_path / "d.yml",
        f"version: 0.0.1\nl:\n- tests: [{LABEL!r}]\n- condition: {{terms: {{supports_fp8: true}}}}\n"
        f"  tests: [{LABEL!r}, '{LABEL}-tp:2 TIMEOUT (2)']\n"
        "- condition: {terms: {supports_fp4: true}}\n  tests: [x]\n",
    )
    found = read_database(path, facts_of(H100))
    assert [(entry.text, entry.timeout_s) for entry in found] == [(LABEL, None), (f"{LABEL}-tp:2", 120.0)]
    assert [entry.text for entry in read_database(path, facts_of(None))] == [LABEL]


@pytest.mark.parametrize(
    "text", ["- a", "l: 3", "l: [3]", "l: [{condition: {}}]", "l: [{tests: [3]}]", "l: [", "l: [{tests: [], x: 1}]"]
)
def test_bad_databases_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"d\.yml"):
        read_database(written(tmp_path / "d.yml", text), {})


def test_shipped_lists_can_be_read() -> None:
    facts = {
        "gpu": "NVIDIA B200",
        "system_gpu_count": 8,
        "gpu_memory": 180000,
        "supports_fp8": True,
        "supports_fp4": True,
    }
    for path in sorted(LISTS.glob("trt_llm_*.yml")):
        entries = read_database(path, facts)
        assert len(read_cases(entries).cases) == len(entries) >= 3, path
    local = read_cases(read_test_list(LISTS / "local.txt"))
    assert len(local.cases) == 4
    hold_models(local.cases, read_models(LISTS / "models.yml"))


def test_waivers_end_and_must_name_a_case(tmp_path: Path) -> None:
    cases = [made(f"{LABEL}-tp:2"), made(LABEL), made("m-cpp-input_output_len:1,1")]
    text = (
        "m-tp:2-bench-input_output_len:1,1 SKIP (bug 1; until 2026-11-28)\n"
        f"full:H100/{CASE_PREFIX}[{LABEL}] SKIP (bug (2)) UNTIL 2026-11-27\n*m-cpp* SKIP # all\n"
    )
    waivers = read_waivers(written(tmp_path / "w", text))
    assert [(one.reason, str(one.until)) for one in waivers] == [
        ("bug 1", "2026-11-28"), ("bug (2)", "2026-11-27"), ("", "None"),
    ]  # fmt: skip
    found, over = waived(cases, waivers, datetime.date(2026, 11, 28), "H100")
    assert set(found) == {cases[0], cases[2]}
    assert over == [waivers[1]]
    with pytest.raises(UsageError, match=r"w:1: expected a waiver of a listed test, got m-tp:2-bench.*near: m-bench"):
        waived(cases[1:], waivers, datetime.date(2026, 11, 28), "H100")


@pytest.mark.parametrize("line", ["x", "x SKIP (a) b", "x SKIP (a) UNTIL tomorrow", "x SKIP (a) UNTIL 2026-02-30"])
def test_bad_waivers_are_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(UsageError, match="w:1: expected"):
        read_waivers(written(tmp_path / "w", line))


def test_models(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    models = read_models(written(tmp_path / "m.yml", "m: there\ntiny: tiny:llama\nlost: nowhere\n"))
    assert models["m"] == str(tmp_path.resolve() / "there")
    assert models["tiny"] == "tiny:llama"
    hold_models([made(LABEL), made("perf_sanity-x")], models)
    with pytest.raises(UsageError, match=r"no model tinny, .*; near: tiny"):
        hold_models([made("tinny-bench-input_output_len:1,1")], models)
    with pytest.raises(UsageError, match="does not exist"):
        hold_models([made("lost-bench-input_output_len:1,1")], models)
    for text in ("- m", "m: 3", "3: m", "m: ["):
        with pytest.raises(UsageError, match="--perf-models"):
            read_models(written(tmp_path / "bad.yml", text))


def test_names_are_chosen_as_text_and_as_expressions() -> None:
    node = f"H100/{CASE_PREFIX}[a-bench-bs:1+8-input_output_len:1,1]"
    assert is_chosen(node, node, "a-bench-bs:1+8-input", None)
    assert is_chosen(node, node, "H1.0/.*bs:1", None)
    assert is_chosen(node, "canonical", "canon", None)
    assert not is_chosen(node, node, "bs:1.8.8", None)
    assert is_chosen(node, node, "test_perf[a", None)
    assert not is_chosen(node, node, "(", None)
    assert is_chosen(node, node, None, "x; bench")
    assert not is_chosen(node, node, None, "x;q")


NODE = f"{CASE_PREFIX}[{LABEL}]"


@pytest.mark.parametrize(
    ("line", "fixed", "said"),
    [
        (f"{LABEL} TIMOUT (3)", f"{LABEL} TIMEOUT (3)", "got 'TIMOUT (3)'; near: TIMEOUT"),
        (f"{NODE} timeout (3)", f"{NODE} TIMEOUT (3)", "near: TIMEOUT"),
        (NODE[:-1], NODE, "expected ] behind the label"),
        (f"H100/{NODE[:-1]}", f"H100/{NODE}", "expected ] behind the label"),
        (NODE[:-1].replace("bench", "bnech") + " TIMEOT (3)", f"{NODE} TIMEOUT (3)", "near: TIMEOUT"),
        (NODE.replace("test_perf[", "test_pref["), NODE, None),
        (NODE.replace("test_perf.py", "test_prf.py").replace("bench", "bnech"), NODE, None),
        (NODE.replace("[m-", "[mm-"), NODE, None),
        (f"{LABEL.replace('m-', 'qqq-')}", None, None),
        ("other.py::test_x[a-b]", "", None),
    ],
)
def test_entries_that_cannot_be_used_are_shown_with_what_is_near(
    tmp_path: Path, line: str, fixed: str | None, said: str | None
) -> None:
    entries = read_test_list(written(tmp_path / "l.txt", f"{LABEL}\n{line}\n"))
    shown = corrections(entries, "H100", {"m"}, ["m"])
    if fixed == "":
        assert shown == []
    elif fixed is None:
        assert shown == [f"- {line}", "  # no model qqq: give --perf-models FILE with its place"]
    else:
        assert shown == [f"- {line}", f"+ {fixed}"]
    if said is not None:
        with pytest.raises(UsageError, match=rf"l\.txt:2: .*{re.escape(said)}"):
            read_cases(entries, "H100")
