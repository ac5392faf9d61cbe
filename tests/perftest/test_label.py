"""Labels: what each token says, canonical form, rules between tokens, and what is said of a wrong one."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenclock.perftest.label import BACKENDS, DTYPES, MODES, Label
from tokenclock.perftest.label_grammar import LabelError, parse_label

REFERENCE = "llama_v3.3_70b_instruct_fp8-bench-pytorch-float8-input_output_len:128,128"
FULL = (
    "m-subtype:h100-bench-pytorch-streaming-bfloat16-gwp:0.5-mp-maxbs:64-maxnt:4096-kv_frac:0.8-bs:8+16-"
    "input_output_len:128,20+20,100-beams:2-loras:3-kv_cache_dtype:fp8-reqs:80-con:16-ep:4-tp:4-pp:2-gpus:8"
)


def test_the_flow_s_example_in_canonical_form() -> None:
    label = parse_label(REFERENCE)
    assert label == Label(
        "llama_v3.3_70b_instruct_fp8", "bench", backend="pytorch", dtype="float8", lengths=((128, 128),)
    )
    assert label.canonical() == (
        "llama_v3.3_70b_instruct_fp8-bench-pytorch-float8-maxbs:512-maxnt:2048-input_output_len:128,128"
    )


def test_every_token_is_read_and_written_in_the_flow_s_order() -> None:
    label = parse_label(FULL)
    assert label == Label(
        model="m", runtime="bench", subtype="h100", backend="pytorch", streaming=True, dtype="bfloat16",
        gpu_weights_percent=0.5, multiple_profiles=True, max_batch_size=64, max_num_tokens=4096, kv_frac=0.8,
        batch_sizes=(8, 16), lengths=((128, 20), (20, 100)), beams=2, loras=3, kv_cache_dtype="fp8", num_requests=80,
        concurrency=16, ep=4, tp=4, pp=2, gpus=8,
    )  # fmt: skip
    assert label.canonical() == FULL


def test_tokens_stand_in_any_order() -> None:
    model, *rest = FULL.split("-")
    for seed in range(50):
        random.Random(seed).shuffle(rest)
        assert parse_label("-".join([model, *rest])).canonical() == FULL


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("m-bench-float16-input_output_len:1,2-con:-1", "m-bench-float16-maxbs:512-maxnt:2048-input_output_len:1,2"),
        ("m-cpp-plugin-float16-input_output_len:1,2", "m-cpp-float16-maxbs:512-maxnt:2048-input_output_len:1,2"),
        ("m-cpp-ootb-float16-input_output_len:1,2", "m-cpp-ootb-float16-maxbs:512-maxnt:2048-input_output_len:1,2"),
        ("m-bench-float16-build_only", "m-bench-float16-maxbs:512-maxnt:2048-build_only"),
        ("bert-cpp-float16-bs:32-input_len:64+128", "bert-cpp-float16-maxbs:512-maxnt:2048-bs:32-input_len:64+128"),
        (
            "m-disagg_server-gen_tp:4-ctx_dp:2-input_output_len:1,2",
            "m-disagg_server-ctx_dp:2-gen_tp:4-maxbs:512-maxnt:2048-input_output_len:1,2",
        ),
        (
            "m-cppmanager-static_batching-exe-float16-bs:8-input_output_len:1,2-quant:int4_awq",
            "m-cppmanager-exe-static_batching-float16-maxbs:512-maxnt:2048-bs:8-input_output_len:1,2-quant:int4_awq",
        ),
    ],
)  # fmt: skip
def test_defaults_are_left_out(written: str, canonical: str) -> None:
    assert parse_label(written).canonical() == canonical
    assert parse_label(canonical) == parse_label(written)


@pytest.mark.parametrize(
    ("written", "tp", "pp", "gpus", "canonical_end"),
    [
        ("gpus:4", 4, 1, 4, "gpus:4"),
        ("tp:4", 4, 1, 4, "gpus:4"),
        ("pp:2", 1, 2, 2, "pp:2-gpus:2"),
        ("tp:2-pp:2", 2, 2, 4, "tp:2-pp:2-gpus:4"),
        ("tp:2-pp:2-gpus:4", 2, 2, 4, "tp:2-pp:2-gpus:4"),
        ("pp:4-gpus:4", 1, 4, 4, "pp:4-gpus:4"),
    ],
)
def test_gpus_are_tp_times_pp(written: str, tp: int, pp: int, gpus: int, canonical_end: str) -> None:
    label = parse_label(f"m-bench-float16-input_output_len:1,2-{written}")
    assert (label.tp, label.pp, label.gpus) == (tp, pp, gpus)
    assert label.canonical().endswith(f"input_output_len:1,2-{canonical_end}")
    assert parse_label(label.canonical()) == label


@pytest.mark.parametrize(
    ("label", "marked", "words"),
    [
        ("", "", "begins with a model's name"),
        ("bench-float16-input_output_len:1,2", "bench", "begins with a model's name"),
        ("m-bench-float16-maxbz:3-input_output_len:1,2", "maxbz:3", "did you mean maxbs:"),
        ("m-bench-flot16-input_output_len:1,2", "flot16", "did you mean float16"),
        ("m-bench-float16-maxbs:0-input_output_len:1,2", "maxbs:0", "expected maxbs:N >= 1, got maxbs:0"),
        ("m-bench-float16-maxbs:1e3-input_output_len:1,2", "maxbs:1e3", "expected maxbs:N"),
        ("m-bench-float16-input_output_len:128", "input_output_len:128", "expected input_output_len:I,O"),
        ("m-bench-float16-input_output_len:128,", "input_output_len:128,", "expected input_output_len:I,O"),
        ("m-bench-float16-input_output_len:1,2-kv_frac:0", "kv_frac:0", "SHARE in (0, 1]"),
        ("m-bench-float16-input_output_len:1,2-kv_frac:nan", "kv_frac:nan", "SHARE in (0, 1]"),
        ("m-bench-float16-input_output_len:1,2-gwp:1.5", "gwp:1.5", "SHARE in [0, 1]"),
        ("m-bench-float16-input_output_len:1,2-con:0", "con:0", "-1 for no limit"),
        ("m-bench-float16-input_output_len:1,2-quant:fp9", "quant:fp9", "nvfp4 or fp8"),
        ("m-bench-float16-input_output_len:1,2-reqs:8-reqs:9", "reqs:9", "says again what reqs:8 says"),
        ("m-bench-float16-float8-input_output_len:1,2", "float8", "says again what float16 says"),
        ("m-bench-float16--input_output_len:1,2", "", "between two hyphens"),
        ("m-bench-plugin-float16-input_output_len:1,2", "plugin", "bench has no mode"),
        ("m-bench-pytorch-float16-input_output_len:1,2-quant:fp8", "quant:fp8", "leave quant out"),
        ("m-bench-float16-input_output_len:1,2-tp:2-gpus:4", "gpus:4", "tp x pp = 2 x 1 = 2, got 4"),
        ("m-bench-float16-build_only-input_output_len:1,2", "input_output_len:1,2", "expected no lengths"),
        ("m-bench-float16-exe-input_output_len:1,2", "exe", "of the runtime cppmanager"),
        ("m-bench-float16-input_len:128", "input_len:128", "expected input_output_len:I,O"),
        ("bert_base-cpp-float16-input_output_len:1,2", "input_output_len:1,2", "has no output"),
        ("bert_base-cpp-float16-bs:8-input_len:64", "bs:8", "batches of 32 or more, got 8"),
        ("gpt_350m-cpp-float16-bs:32+8-input_output_len:1,2", "bs:32+8", "batches of 32 or more, got 8"),
        ("m-bench-float16-input_output_len:1,2-ctx_tp:4", "ctx_tp:4", "is of disagg_server"),
        ("m-disagg_server-ctx_tp:4-input_output_len:1,2", "disagg_server", "needs one of gen_tp"),
        ("m-disagg_server-ctx_tp:4-ctx_dp:4-gen_tp:1-input_output_len:1,2", "ctx_dp:4", "says again"),
    ],
)
def test_a_wrong_label_is_marked_where_it_is_wrong(label: str, marked: str, words: str) -> None:
    with pytest.raises(LabelError) as caught:
        parse_label(label)
    problem, shown, marks = str(caught.value).split("\n")
    assert words in problem
    assert shown == f"    {label}"
    start = len(marks) - len(marks.lstrip())
    assert set(marks.strip()) == {"^"}
    assert (shown[start : start + len(marks.strip())] or "") == marked or marked == ""


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("m-float16-input_output_len:1,2", "expected a runtime (bench, cpp"),
        ("m-bench-input_output_len:1,2", "expected a type (float32"),
        ("m-bench-float16", "expected input_output_len:I,O"),
    ],
)
def test_what_is_missing_is_asked_for_at_the_end(label: str, words: str) -> None:
    with pytest.raises(LabelError, match="expected") as caught:
        parse_label(label)
    assert words in caught.value.problem
    assert caught.value.position == len(label)


counts = st.integers(1, 10**6)
_optional = {
    "backend": st.sampled_from(("", *BACKENDS)),
    "streaming": st.booleans(),
    "dtype": st.sampled_from(DTYPES),
    "gpu_weights_percent": st.none() | st.floats(0, 1).map(lambda x: round(x, 3)),
    "multiple_profiles": st.booleans(),
    "max_batch_size": counts,
    "max_num_tokens": counts,
    "kv_frac": st.floats(0.01, 1).map(lambda x: round(x, 3)),
    "batch_sizes": st.lists(counts, max_size=3).map(tuple),
    "lengths": st.lists(st.tuples(counts, counts), min_size=1, max_size=3).map(tuple),
    "beams": counts,
    "loras": st.integers(0, 9),
    "kv_cache_dtype": st.sampled_from(("auto", "fp8")),
    "num_requests": st.integers(0, 10**6),
    "concurrency": st.none() | counts,
    "ep": st.none() | counts,
}


@given(st.fixed_dictionaries(_optional), st.integers(1, 8), st.integers(1, 8), st.randoms())
def test_canonical_is_a_fixed_point_whatever_the_order(fields: dict, tp: int, pp: int, shuffler: random.Random) -> None:
    label = Label("model_1.5", "bench", tp=tp, pp=pp, gpus=tp * pp, **fields)
    canonical = label.canonical()
    assert parse_label(canonical) == label
    model, *tokens = canonical.split("-")
    shuffler.shuffle(tokens)
    assert parse_label("-".join([model, *tokens])).canonical() == canonical


@given(st.text(alphabet="mb-:,+.0123456789aegilnopstux_", max_size=60) | st.text(max_size=40))
def test_any_text_is_a_label_or_a_label_error(text: str) -> None:
    for written in (text, f"m-bench-float16-input_output_len:1,2-{text}"):
        try:
            label = parse_label(written)
        except LabelError:
            continue
        assert parse_label(label.canonical()) == label


def test_modes_are_words_of_other_runtimes() -> None:
    for runtime, mode in itertools.product(("cpp", "cppmanager", "python"), MODES):
        assert parse_label(f"m-{runtime}-{mode}-float16-input_output_len:1,2").mode == mode
