"""Options files: old names, unknown names, strictness, files that do not read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.standins.tensorrt_llm_package import API

from tokenclock.errors import UsageError
from tokenclock.runtime.llm_api_keys import CHECKED_RELEASES, KnownOptions, known_of_release
from tokenclock.runtime.llm_api_options import check_options, merge_options, read_options

KNOWN = known_of_release("1.2")


def test_our_names_are_those_of_the_reference() -> None:
    entry = next(e for e in API["signatures"] if e["class"] == "LLM" and e["method"] == "__init__")
    theirs = {p["name"] for p in entry["params"] if p["kind"] != "var_keyword"}
    assert KNOWN.top == theirs
    assert all(known_of_release(release).top == theirs for release in CHECKED_RELEASES)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"kv_cache_dtype": "fp8"}, {"kv_cache_config": {"dtype": "fp8"}}),
        ({"attention_backend": "FLASHINFER"}, {"attn_backend": "FLASHINFER"}),
        ({"enable_overlap_scheduler": True}, {"disable_overlap_scheduler": False}),
        ({"enable_overlap_scheduler": False}, {"disable_overlap_scheduler": True}),
        ({"use_cuda_graph": True}, {"cuda_graph_config": {}}),
        ({"use_cuda_graph": False}, {"cuda_graph_config": None}),
        ({"cuda_graph_batch_sizes": [1, 8]}, {"cuda_graph_config": {"batch_sizes": [1, 8]}}),
        ({"cuda_graph_max_batch_size": 8}, {"cuda_graph_config": {"max_batch_size": 8}}),
        ({"cuda_graph_padding_enabled": True}, {"cuda_graph_config": {"enable_padding": True}}),
        ({"cuda_graph_config": {"padding_enabled": True}}, {"cuda_graph_config": {"enable_padding": True}}),
        (
            {"pytorch_backend_config": {"enable_overlap_scheduler": True, "kv_cache_dtype": "fp8"}},
            {"disable_overlap_scheduler": False, "kv_cache_config": {"dtype": "fp8"}},
        ),
        (
            {"kv_cache_config": {"free_gpu_memory_fraction": 0.8}, "kv_cache_dtype": "fp8"},
            {"kv_cache_config": {"free_gpu_memory_fraction": 0.8, "dtype": "fp8"}},
        ),
        (
            {"use_cuda_graph": True, "cuda_graph_padding_enabled": True, "cuda_graph_batch_sizes": [2]},
            {"cuda_graph_config": {"enable_padding": True, "batch_sizes": [2]}},
        ),
    ],
)
def test_an_old_name_takes_its_value_along_and_says_so(given: dict[str, Any], expected: dict[str, Any]) -> None:
    before = repr(given)
    checked = check_options(given, KNOWN, strict=True)  # a known old name is no error even then
    assert checked.options == expected
    assert checked.warnings
    assert repr(given) == before


def test_todays_names_pass_in_silence() -> None:
    given = {"max_batch_size": 8, "kv_cache_config": {"dtype": "fp8"}, "cuda_graph_config": {"enable_padding": True}}
    checked = check_options(given, KNOWN, strict=True)
    assert checked.options == given
    assert checked.warnings == ()


def test_a_name_that_the_release_knows_is_never_renamed() -> None:
    old = KnownOptions("tensorrt_llm 0.20", frozenset({"use_cuda_graph", "kv_cache_dtype"}))
    given = {"use_cuda_graph": True, "kv_cache_dtype": "fp8"}
    assert check_options(given, old, strict=True).options == given


def test_an_unknown_name_is_passed_on_with_a_hint_or_refused() -> None:
    checked = check_options({"max_batchsize": 8, "zebra": 1}, KNOWN)
    assert checked.options == {"max_batchsize": 8, "zebra": 1}
    assert "did you mean max_batch_size?" in checked.warnings[0]
    assert "did you mean" not in checked.warnings[1]
    with pytest.raises(
        UsageError, match=r"max_batchsize is no option of release 1\.2 \(did you mean max_batch_size\?\)"
    ):
        check_options({"max_batchsize": 8}, KNOWN, strict=True)


def test_a_new_name_wins_over_an_old_one() -> None:
    checked = check_options({"attention_backend": "A", "attn_backend": "B"}, KNOWN)
    assert checked.options == {"attn_backend": "B"}
    assert "given too" in checked.warnings[0]
    off = check_options({"cuda_graph_batch_sizes": [1], "cuda_graph_config": None}, KNOWN)
    assert off.options == {"cuda_graph_config": None}
    both = check_options({"use_cuda_graph": False, "cuda_graph_config": {"batch_sizes": [1]}}, KNOWN)
    assert both.options == {"cuda_graph_config": {"batch_sizes": [1]}}


@pytest.mark.parametrize("given", [{"use_cuda_graph": "yes"}, {"enable_overlap_scheduler": 1}])
def test_a_switch_must_be_true_or_false(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="must be true or false"):
        check_options(given, KNOWN)


def test_a_wrapped_configuration_must_be_a_mapping() -> None:
    with pytest.raises(UsageError, match="pytorch_backend_config must hold option names"):
        check_options({"pytorch_backend_config": [1]}, KNOWN)
    assert check_options({"pytorch_backend_config": None}, KNOWN).options == {}


def test_names_before_1_0_are_not_known_and_not_checked() -> None:
    checked = check_options({"pytorch_backend_config": {"a": 1}}, known_of_release("0.19.0"))
    assert checked.options == {"pytorch_backend_config": {"a": 1}}
    assert "not checked" in checked.warnings[0]


@pytest.mark.parametrize("text", ["latest", "1", "", "v1.2"])
def test_a_release_must_look_like_one(text: str) -> None:
    with pytest.raises(UsageError, match=r"must look like 1\.2"):
        known_of_release(text)


def test_merging_goes_into_mappings_and_changes_no_argument() -> None:
    ours = {"kv_cache_config": {"enable_block_reuse": False, "dtype": "auto"}, "max_batch_size": 8}
    theirs = {"kv_cache_config": {"dtype": "fp8"}, "max_batch_size": None}
    assert merge_options(ours, theirs) == {
        "kv_cache_config": {"enable_block_reuse": False, "dtype": "fp8"},
        "max_batch_size": None,
    }
    assert ours["kv_cache_config"] == {"enable_block_reuse": False, "dtype": "auto"}
    assert merge_options({"a": {"b": 1}}, {"a": None}) == {"a": None}


def test_reading_a_file(tmp_path: Path) -> None:
    file = tmp_path / "options.yaml"
    file.write_text("max_batch_size: 8\nkv_cache_config:\n  dtype: fp8\n")
    assert read_options(file) == {"max_batch_size": 8, "kv_cache_config": {"dtype": "fp8"}}
    file.write_text('{"max_batch_size": 8}')
    assert read_options(file) == {"max_batch_size": 8}
    file.write_text("# nothing\n")
    assert read_options(file) == {}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a: [1\nb: 2\n", "options.yaml:2"),
        ("- a\n- b\n", "must hold option names"),
        ("1: 2\n", "must hold option names"),
        (
            "!!python/object/apply:os.system [ls]\n",
            "of YAML, got: could not determine a constructor",
        ),
    ],
)
def test_a_file_that_is_no_mapping_of_names_is_refused(tmp_path: Path, content: str, expected: str) -> None:
    file = tmp_path / "options.yaml"
    file.write_text(content)
    with pytest.raises(UsageError, match=expected) as caught:
        read_options(file)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="No such file"):
        read_options(tmp_path / "absent.yaml")
