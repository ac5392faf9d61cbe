"""Labels of performance tests: read in any order, written in one, refused with a caret."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenclock.perftest.case import CASE_PREFIX, ServerCase, case_of
from tokenclock.perftest.label import Label, LabelError, parse_label


def test_the_flow_s_own_example_has_its_canonical_label() -> None:
    written = "llama_v3.3_70b_instruct_fp8-bench-pytorch-float8-input_output_len:128,128"
    canonical = "llama_v3.3_70b_instruct_fp8-bench-pytorch-float8-maxbs:512-maxnt:2048-input_output_len:128,128"
    assert parse_label(written).canonical() == canonical
    assert parse_label(canonical) == parse_label(written)


def test_every_token_ends_up_in_its_field() -> None:
    label = parse_label(
        "m-gpus:8-pp:2-tp:4-ep:2-con:9-reqs:7-kv_cache_dtype:fp8-quant:fp8-loras:2-beams:4-input_output_len:1,2+3,4"
        "-bs:1+8-kv_frac:0.5-maxnt:6-maxbs:5-mp-gwp:0.25-float16-ootb-static_batching-streaming-_autodeploy-exe"
        "-cppmanager-subtype:a"
    )
    assert label == Label(
        "m", "cppmanager", "a", True, "_autodeploy", True, True, "ootb", "float16", 0.25, True, 5, 6, 0.5, False,
        (1, 8), ((1, 2), (3, 4)), 4, 2, "fp8", "fp8", 7, 9, 2, 4, 2, 8,
    )  # fmt: skip
    assert label.canonical() == (
        "m-subtype:a-cppmanager-exe-_autodeploy-streaming-static_batching-ootb-float16-gwp:0.25-mp-maxbs:5-maxnt:6"
        "-kv_frac:0.5-bs:1+8-input_output_len:1,2+3,4-beams:4-loras:2-quant:fp8-kv_cache_dtype:fp8-reqs:7-con:9-ep:2"
        "-tp:4-pp:2-gpus:8"
    )


@pytest.mark.parametrize(
    ("ranks", "tp", "pp", "gpus", "written"),
    [
        ("gpus:4", 4, 1, 4, "-gpus:4"),
        ("tp:4", 4, 1, 4, "-gpus:4"),
        ("pp:4", 1, 4, 4, "-pp:4-gpus:4"),
        ("tp:2-pp:2", 2, 2, 4, "-tp:2-pp:2-gpus:4"),
        ("pp:2-tp:2-gpus:4", 2, 2, 4, "-tp:2-pp:2-gpus:4"),
        ("gpus:1", 1, 1, 1, ""),
    ],
)
def test_gpus_are_ranks(ranks: str, tp: int, pp: int, gpus: int, written: str) -> None:
    label = parse_label(f"m-bench-input_output_len:1,1-{ranks}")
    assert (label.tp, label.pp, label.gpus) == (tp, pp, gpus)
    assert label.canonical() == f"m-bench-maxbs:512-maxnt:2048-input_output_len:1,1{written}"


REFUSED = [
    ("m-bnech-input_output_len:1,1", "bnech", "near: bench"),
    ("m-bench-maxsb:8-input_output_len:1,1", "maxsb:8", "near: maxbs:"),
    ("m-bench-input_output_len:1", "input_output_len:1", "pairs joined by +"),
    ("m-bench-gwp:1.5-input_output_len:1,1", "gwp:1.5", "from 0 to 1"),
    ("m-bench-gwpx:1-input_output_len:1,1", "gwpx:1", "near: gwp:"),
    ("m-bench-kv_frac:0-input_output_len:1,1", "kv_frac:0", "above 0"),
    ("m-bench-maxbs:0-input_output_len:1,1", "maxbs:0", "whole number"),
    ("m-bench-maxbs:\u0661-input_output_len:1,1", "maxbs:\u0661", "whole number"),
    ("m-bench-maxbs-input_output_len:1,1", "maxbs", "near: maxbs:"),
    ("m-bench-quant:fp9-input_output_len:1,1", "quant:fp9", "near: fp8"),
    ("m-bench-pytorch-quant:fp8-input_output_len:1,1", "quant:fp8", "with pytorch"),
    ("m-bench-ootb-input_output_len:1,1", "ootb", "no mode with bench"),
    ("m-bench-exe-input_output_len:1,1", "exe", "cppmanager only"),
    ("m-bench-python-input_output_len:1,1", "python", "got both"),
    ("m-bench-float16-float16-input_output_len:1,1", "float16", "got it twice"),
    ("m-bench-tp:2-pp:2-gpus:8-input_output_len:1,1", "gpus:8", "2 x 2 = 4, got 8"),
    ("m-bench-build_only-input_output_len:1,1", "input_output_len:1,1", "no lengths with build_only"),
    ("m-bench-ctx_tp:2-input_output_len:1,1", "ctx_tp:2", "disagg_server only"),
    ("m-disagg_server-ctx_tp:2-ctx_pp:2-gen_tp:1", "ctx_pp:2", "got both"),
    ("m-disagg_server-ctx_tp:2", "", "gen_tp:"),
    ("m-bench", "", "input_output_len:"),
    ("m-input_output_len:1,1", "", "a runtime"),
    ("m-bench--input_output_len:1,1", "", "got nothing"),
    ("bench-input_output_len:1,1", "bench", "a model name first"),
    ("", "", "a model name first"),
    ("llama-8b-bench-input_output_len:1,1", "8b", "write llama_8b"),
    ("bert_base-python-input_output_len:1,1", "input_output_len:1,1", "input_len:"),
    ("bert_base-python-bs:32+8-input_len:1", "bs:32+8", "32 or more"),
    ("gpt_350m-python-bs:8-input_output_len:1,1", "bs:8", "32 or more"),
]


@pytest.mark.parametrize(("text", "token", "said"), REFUSED)
def test_refused_labels_have_a_caret_under_the_token(text: str, token: str, said: str) -> None:
    with pytest.raises(LabelError) as refused:
        parse_label(text)
    problem, label, caret = str(refused.value).split("\n")
    assert said in problem
    assert label == f"  {text}"
    start = caret.index("^") - 2
    if token:
        assert text[start : start + caret.count("^")] == token
    else:
        assert caret.count("^") == 1


@pytest.mark.parametrize(
    ("text", "correction"),
    [
        ("m-bnech-input_output_len:1,1", "m-bench-input_output_len:1,1"),
        ("m-bench-quant:fp9-input_output_len:1,1", "m-bench-quant:fp8-input_output_len:1,1"),
        ("m-bench-maxsb:8-input_output_len:1,1", "m-bench-maxbs:8-input_output_len:1,1"),
        ("llama-8b-bench-input_output_len:1,1", "llama_8b-bench-input_output_len:1,1"),
    ],
)
def test_corrections(text: str, correction: str) -> None:
    with pytest.raises(LabelError) as refused:
        parse_label(text)
    assert refused.value.correction == correction
    parse_label(correction)


COUNT = st.integers(1, 10**9 - 1)
FRACTION = st.floats(0.001, 1, allow_nan=False).map(lambda value: format(round(value, 9), ".9f"))
OPTIONAL = {
    "subtype": st.from_regex(r"[a-z0-9_.]{1,8}", fullmatch=True),
    "gwp": FRACTION,
    "maxbs": COUNT,
    "maxnt": COUNT,
    "kv_frac": FRACTION,
    "bs": st.lists(st.integers(32, 999), min_size=1, max_size=3).map(lambda sizes: "+".join(map(str, sizes))),
    "beams": COUNT,
    "loras": st.integers(0, 99),
    "quant": st.sampled_from(["nvfp4", "fp8", "int8", "int4_awq"]),
    "kv_cache_dtype": st.sampled_from(["auto", "fp8"]),
    "reqs": COUNT,
    "con": COUNT,
    "ep": COUNT,
    "tp": st.integers(1, 64),
    "pp": st.integers(1, 64),
}
FLAGS = st.lists(st.sampled_from(["streaming", "mp", "_autodeploy", "bfloat16"]), unique=True)


@st.composite
def token_lists(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A model and tokens that fit together."""
    chosen = draw(st.lists(st.sampled_from(sorted(OPTIONAL)), unique=True))
    tokens = [f"{key}:{draw(OPTIONAL[key])}" for key in chosen]
    pairs = draw(st.lists(st.tuples(COUNT, COUNT), min_size=1, max_size=3))
    lengths = "input_output_len:" + "+".join(f"{i},{o}" for i, o in pairs)
    model = draw(st.from_regex(r"llama[a-z0-9_.]{0,12}", fullmatch=True))
    return model, [draw(st.sampled_from(["bench", "cpp", "python"])), lengths, *draw(FLAGS), *tokens]


@given(token_lists(), st.randoms(use_true_random=False))
def test_any_order_has_the_same_canonical_label(parts: tuple[str, list[str]], order: random.Random) -> None:
    model, tokens = parts
    label = parse_label("-".join([model, *tokens]))
    shuffled = list(tokens)
    order.shuffle(shuffled)
    canonical = label.canonical()
    assert parse_label("-".join([model, *shuffled])).canonical() == canonical
    assert parse_label(canonical) == label
    assert parse_label(canonical).canonical() == canonical


@given(st.text(max_size=40) | st.text("benchm-:,+01_input_len", max_size=60))
def test_foreign_text_is_read_or_refused_with_its_place(text: str) -> None:
    label, error = None, None
    try:
        label = parse_label(text)
    except LabelError as refused:
        error = refused
    if error is not None:
        assert 0 <= error.position <= error.position + error.length <= len(text) + 1
    assert label is None or parse_label(label.canonical()) == label


def test_entries_name_cases_with_and_without_prefixes() -> None:
    label = "m-bench-input_output_len:1,1"
    for entry in (label, f"{CASE_PREFIX}[{label}]", f"H100/x/{CASE_PREFIX}[{label}]"):
        case = case_of(entry)
        assert case is not None
        assert (case.name, case.written) == (f"{CASE_PREFIX}[{label}]", label)
    assert case_of("examples/test_llama.py::test_it[a-b]") is None


def test_server_cases() -> None:
    def label(text: str) -> object:
        case = case_of(text)
        assert case is not None
        return case.label

    assert label("perf_sanity-file") == ServerCase("file")
    assert label("perf_sanity-file-one") == ServerCase("file", "one")
    assert label("perf_sanity-file-one:a,one:b") == ServerCase("file", "one", ("a", "b"))
    assert label("perf/test_perf_sanity.py::test_e2e[aggr_upload-file-one-two]") == ServerCase("file", "one-two")
    assert label("disagg_upload-gen_only-file") == ServerCase("file")
    for wrong in ("perf_sanity-", "perf_sanity-f-", "perf_sanity-f-a:x,b:y", "perf_sanity-f-a:"):
        with pytest.raises(LabelError):
            case_of(wrong)


def test_a_token_that_comes_twice_is_said_so() -> None:
    with pytest.raises(LabelError, match="expected reqs:8 once, got it twice"):
        parse_label("m-bench-reqs:8-input_output_len:1,1-reqs:8")
    with pytest.raises(LabelError, match="expected one of reqs:8 and reqs:9, got both"):
        parse_label("m-bench-reqs:8-input_output_len:1,1-reqs:9")
