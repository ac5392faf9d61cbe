"""Test lists, databases with conditions, waivers, models, selection, options by pattern: hand-made files."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tokenclock.errors import UsageError
from tokenclock.perftest import test_database
from tokenclock.perftest.case import Case, ServerCase
from tokenclock.perftest.conditions import holds, machine_facts
from tokenclock.perftest.entries import case_of, read_entry
from tokenclock.perftest.label_grammar import parse_label
from tokenclock.perftest.model_config import matches, model_config, read_patterns
from tokenclock.perftest.models import check_models, read_models
from tokenclock.perftest.selection import of_suites, searched
from tokenclock.perftest.test_list import read_test_list
from tokenclock.perftest.waives import read_waivers, waived

A, B = "tiny_llama-bench-float32-input_output_len:8,4-con:1", "tiny_llama-bench-float32-input_output_len:8,4-con:1024"
H100: dict[str, Any] = {
    **machine_facts(),
    "gpu": "NVIDIA H100 80GB HBM3",
    "system_gpu_count": 8,
    "gpu_memory": 81559,
    "supports_fp8": True,
}


def node(label: str, prefix: str = "") -> str:
    return f"{prefix}perf/test_perf.py::test_perf[{label}]"


def cases_of(*labels: str) -> list[Case]:
    return [case_of(read_entry(label, "list:1")) for label in labels]


def test_a_text_list_in_every_spelling(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text(
        f"# all of it\n\n{node(A)}  TIMEOUT (90)\n{node(B, 'H100/')} # why\nm-cpp-float16-input_output_len:1,2\n"
    )
    cases = read_test_list(path, "H100").cases
    assert [case.name for case in cases] == [node(A), node(B), node("m-cpp-float16-input_output_len:1,2")]
    assert [case.timeout_s for case in cases] == [5400, None, None]
    assert cases[0].label == parse_label(A)
    assert cases[0].canonical == parse_label(A).canonical()


def test_entries_of_another_prefix_and_twins_are_said(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text(f"{node(A, 'B200/')}\n{node(B)}\n{node(B.replace('-float32', ''))[:-1]}-float32]\n")
    listed = read_test_list(path, "H100")
    assert [case.written for case in listed.cases] == [B]
    assert listed.notes == [
        f"{path}:3 asks again for {parse_label(B).canonical()}: it is run once",
        "1 entries are of another prefix than H100",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no entry"),
        (f"{node(A)} TIMEOUT (soon)", ":1: expected TIMEOUT (MINUTES)"),
        (f"{node(A)} TIMEOUT (-1)", ":1: expected TIMEOUT (MINUTES)"),
        (f"{node(A)} XFAIL", ":1: expected TIMEOUT (MINUTES)"),
        ("unittest/test_x.py::test_y", ":1: expected [PREFIX/]perf/test_perf.py::test_perf[LABEL]"),
        (f"{node(A)}\n{node(A.replace('float32', 'flot32'))}", ":2: no such token: flot32; did you mean float32"),
        (f"{node(A)}\n{node(A.replace('float32', 'flot32'))}", f"near: {A}"),
    ],
)
def test_a_wrong_list_says_the_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_test_list(path, "")
    assert words in str(caught.value)


def test_a_list_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*No such file"):
        read_test_list(tmp_path / "none.txt", "")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot read"):
        read_test_list(tmp_path / "bytes.txt", "")


@pytest.mark.parametrize(
    ("text", "case"),
    [
        ("perf_sanity-paced", ServerCase("paced")),
        ("perf_sanity-paced-s1", ServerCase("paced", "s1")),
        ("perf_sanity-paced-s1:c1", ServerCase("paced", "s1", ("c1",))),
        ("perf_sanity-paced-s1:c1,s1:c2", ServerCase("paced", "s1", ("c1", "c2"))),
        ("perf/test_perf_sanity.py::test_e2e[aggr_upload-cfg-my-server]", ServerCase("cfg", "my-server")),
        ("perf/test_perf_sanity.py::test_e2e[aggr_upload-ctx_only-cfg-a]", ServerCase("cfg-a", form="ctx_only")),
        ("perf/test_perf_sanity.py::test_e2e[disagg_upload-gen_only-cfg]", ServerCase("cfg", form="gen_only")),
        ("perf/test_perf_sanity.py::test_e2e[disagg_upload-e2e-cfg]", ServerCase("cfg", form="e2e")),
    ],
)
def test_server_cases(text: str, case: ServerCase) -> None:
    assert case_of(read_entry(text, "list:1")).label == case


@pytest.mark.parametrize(
    "text", ["perf_sanity-", "perf_sanity-y-s1,s2", "perf/test_perf_sanity.py::test_e2e[upload-x]"]
)
def test_wrong_server_cases(text: str) -> None:
    with pytest.raises(UsageError, match=r"^list:1: expected"):
        case_of(read_entry(text, "list:1"))


DATABASE = f"""\
version: 0.0.1
release:
- condition:
    terms: {{supports_fp8: true}}
    ranges: {{system_gpu_count: {{gte: 2}}, gpu_memory: {{gt: 80000}}}}
    wildcards: {{gpu: ['*a100*', '*h100*']}}
  tests:
  - {node(A)} TIMEOUT (10)
- condition:
    ranges: {{system_gpu_count: {{gt: 8}}}}
  tests: ["{node("m-bench-float16-input_output_len:1,2")}"]
- tests:
  - {node(A)} TIMEOUT (10)
  - {node(B)}
"""


def test_blocks_count_where_their_condition_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tests.yml"
    path.write_text(DATABASE)
    monkeypatch.setattr(test_database, "machine_facts", lambda: H100)
    assert [case.written for case in read_test_list(path, "").cases] == [A, B]
    monkeypatch.setattr(test_database, "machine_facts", lambda: {**H100, "system_gpu_count": 9})
    assert len(read_test_list(path, "").cases) == 3


def test_a_database_of_which_nothing_holds_says_so(tmp_path: Path) -> None:
    path = tmp_path / "tests.yml"
    path.write_text(f"nightly:\n- condition: {{ranges: {{system_gpu_count: {{gte: 64}}}}}}\n  tests: ['{node(A)}']\n")
    listed = read_test_list(path, "")
    assert (listed.cases, listed.notes) == ([], [f"{path}: no condition of nightly holds on this machine"])


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        (None, True),
        ({}, True),
        ({"terms": {"gpu": "nvidia h100 80gb hbm3"}}, True),
        ({"terms": {"system_gpu_count": 8, "supports_fp8": False}}, False),
        ({"ranges": {"gpu_memory": {"gte": 81559, "lte": 81559}}}, True),
        ({"ranges": {"gpu_memory": {"lt": 81559}}}, False),
        ({"wildcards": {"gpu": "*H100*"}}, True),
        ({"wildcards": {"gpu": ["*b200*"]}, "terms": {"supports_fp8": True}}, False),
    ],
)
def test_conditions(condition: Any, met: bool) -> None:
    assert holds(condition, H100, "f:1") is met


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("h100", "f:1: condition must be names with values, got 'h100'"),
        ({"term": {"gpu": "x"}}, "knows terms, ranges, wildcards, got term; near: terms"),
        ({"terms": {"gpus": 8}}, "got gpus; near: gpu"),
        ({"terms": {"supports_fp8": "yes"}}, "terms.supports_fp8 must be true or false, got 'yes'"),
        ({"terms": {"system_gpu_count": True}}, "terms.system_gpu_count must be a number, got True"),
        ({"ranges": {"gpu": {"gt": 1}}}, "ranges.gpu has no order"),
        ({"ranges": {"gpu_memory": 80000}}, "ranges.gpu_memory must be names with values"),
        ({"ranges": {"gpu_memory": {"gte": "80 GB"}}}, "ranges.gpu_memory.gte must be a number, got '80 GB'"),
        ({"ranges": {"gpu_memory": {"ge": 1}}}, "knows gte, gt, lte, lt, got ge"),
        ({"wildcards": {"gpu": 100}}, "wildcards.gpu must be patterns"),
        ({"wildcards": {"gpu": ["*b200*"]}, "terms": {"x": 1}}, "got x"),  # also after one that does not hold
    ],
)
def test_a_condition_of_the_wrong_kind(condition: Any, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        holds(condition, H100, "f:1")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("release: {}\n", "must be a list of blocks"),
        ("release:\n- [1]\n", ":2:3: a block has condition and tests, got [1]"),
        ("release:\n- test: [x]\n", "a block has condition and tests, got test"),
        ("release:\n- tests: x\n", "tests must be a list of node ids, got 'x'"),
        ("release:\n- tests: [x y]\n", ":2:11: expected TIMEOUT"),
        ("release: [\n", ":2:1"),
    ],
)
def test_a_wrong_database_says_the_place(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "tests.yml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_test_list(path, "")
    assert str(caught.value).startswith(str(path))
    assert words in str(caught.value)


def test_waivers_hold_until_their_last_day(tmp_path: Path) -> None:
    path = tmp_path / "waives.txt"
    path.write_text(f"# known\n{node(A, 'H100/')} SKIP (slow since 12)\n{B} SKIP UNTIL 2026-11-28\n")
    cases, waivers = cases_of(A, B), read_waivers(path)
    both, none = waived(cases, waivers, date(2026, 11, 28))
    assert both == {
        cases[0].canonical: "waived: slow since 12",
        cases[1].canonical: "waived: no reason given (until 2026-11-28)",
    }
    assert none == []
    one, ended = waived(cases, waivers, date(2026, 11, 29))
    assert list(one) == [cases[0].canonical]
    assert ended == [f"{path}:3: the waiver ended on 2026-11-28; the test counts again"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"{A} XFAIL", ":1: expected TEST SKIP (REASON)"),
        (f"{A} SKIP (x) UNTIL soon", ":1: UNTIL must be a day YYYY-MM-DD, got soon"),
        (f"{A.replace('con:1', 'con:2')} SKIP (x)", ":1: no test of the list is tiny_llama-bench"),
        ("nonsense SKIP (x)", ":1: expected a runtime"),
    ],
)
def test_wrong_waivers(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "waives.txt"
    path.write_text(line)
    with pytest.raises(UsageError) as caught:
        waived(cases_of(A), read_waivers(path), date(2026, 11, 28))
    assert words in str(caught.value)


def test_models_are_found_beside_their_file(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "models.yml").write_text("llama: checkpoint\nsmall: tiny:llama\n")
    models = read_models(tmp_path / "models.yml")
    assert models["llama"] == str(tmp_path / "checkpoint")
    assert models["small"] == models["tiny_llama"] == "tiny:llama"


@pytest.mark.parametrize("text", ["a-b: tiny:llama", "a: 3", "a: no/such/folder", "[a]"])
def test_wrong_files_of_models(tmp_path: Path, text: str) -> None:
    (tmp_path / "models.yml").write_text(text)
    with pytest.raises(UsageError, match=r"models\.yml"):
        read_models(tmp_path / "models.yml")


def test_an_unknown_model_names_its_near_matches() -> None:
    cases = cases_of("tiny_lama-bench-float32-input_output_len:8,4")
    with pytest.raises(UsageError, match=r"no model tiny_lama, .*give --perf-models; near: tiny_llama"):
        check_models(cases, read_models(None), "give --perf-models")


def test_a_label_means_itself_to_regexp() -> None:
    dotted, other = "v1.1-bench-float8-input_output_len:1,2+3,4", "v1x1-bench-float8-input_output_len:1,2+3,4"
    cases = cases_of(dotted, other)
    assert [case.written for case in searched(cases, "v1.1", "")] == [dotted]
    assert [case.written for case in searched(cases, dotted, "")] == [dotted]
    assert searched(cases, "v1.1-.*float8", "") == cases
    assert searched(cases, "^H100/perf", "H100") == cases
    with pytest.raises(UsageError, match=r"as an expression it is wrong"):
        searched(cases, "(bench", "")
    with pytest.raises(UsageError, match=r"no test of the list has it in its name; near: v1\.1-bench"):
        searched(cases, dotted.replace("float8", "flot8"), "")


def test_suites_are_words() -> None:
    cases = cases_of(A, "other-bench-float32-input_output_len:8,4")
    assert of_suites(cases, "tiny_;zzz") == cases[:1]
    assert of_suites(cases, "zzz other") == cases[1:]
    with pytest.raises(UsageError, match="--test-model-suites"):
        of_suites(cases, "zzz")


def test_patterns_are_whole_tokens() -> None:
    tokens = parse_label(B).canonical().split("-")
    assert not matches("con:1", tokens)
    assert matches("con:1024", tokens)
    assert matches("tiny_*-con:1024", tokens)
    assert matches("TINY_llama", tokens)
    assert not matches("tiny", tokens)


def test_options_of_a_case() -> None:
    base = {"print_iter_log": True, "cuda_graph_config": {"enable_padding": True}}
    label = parse_label("m-bench-pytorch-float8-input_output_len:1,2-con:8-kv_cache_dtype:fp8")
    assert model_config(label) == {**base, "kv_cache_config": {"dtype": "fp8"}}
    patterns = [
        {"patterns": ["m"], "config": {"cuda_graph_config": {"batch_sizes": [1, 2]}, "stream_interval": 10}},
        {"patterns": ["n", "con:8"], "config": {"cuda_graph_config": {"batch_sizes": [8]}}},
        {"patterns": ["con:80"], "config": {"stream_interval": 1}},
    ]
    assert model_config(parse_label("m-bench-pytorch-float8-input_output_len:1,2-con:8"), (), patterns) == {
        "print_iter_log": True,
        "cuda_graph_config": {"enable_padding": True, "batch_sizes": [8]},
        "stream_interval": 10,
    }


def test_adapters_have_a_section_of_their_own() -> None:
    label = parse_label("m-bench-pytorch-float16-input_output_len:1,2-loras:2")
    lora = {"lora_dir": ["a", "b"], "max_lora_rank": 64, "max_loras": 2, "max_cpu_loras": 2}
    assert model_config(label, ["a", "b"])["lora_config"] == lora


def test_our_own_patterns_read() -> None:
    latency = parse_label("deepseek_r1_fp8-bench-pytorch-float8-input_output_len:1,2-con:1-gpus:8")
    assert model_config(latency)["speculative_config"]["num_nextn_predict_layers"] == 3
    load = parse_label("deepseek_r1_fp8-bench-pytorch-float8-input_output_len:1,2-con:1024-gpus:8")
    assert model_config(load)["enable_attention_dp"] is True
    assert "speculative_config" not in model_config(load)


@pytest.mark.parametrize(
    "text", ["{}", "- patterns: x\n  config: {}", "- patterns: [x]", "- [", "- patterns: [1]\n  config: {}"]
)
def test_wrong_patterns(tmp_path: Path, text: str) -> None:
    (tmp_path / "patterns.yml").write_text(text)
    with pytest.raises(UsageError, match=r"patterns\.yml"):
        read_patterns(tmp_path / "patterns.yml")


@pytest.mark.parametrize("path", sorted(Path("perf_lists").glob("*.*")), ids=lambda path: path.name)
def test_the_lists_that_are_shipped_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if path.name == "models.yml":
        assert set(read_models(path)) == {"tiny_llama", "tiny_bert", "tiny_t5"}
        return
    facts = {**H100, "compute_capability": 10.0, "supports_fp4": True, "gpu": "NVIDIA B200", "gpu_memory": 183359}
    monkeypatch.setattr(test_database, "machine_facts", lambda: facts)
    assert read_test_list(path, "").cases
