"""PyTorch options by whole tokens of a label."""

from __future__ import annotations

import pytest

from tokenclock.perftest.label import parse_label
from tokenclock.perftest.model_config import merged, model_config, pattern_matches


def config(text: str, *folders: str) -> dict[str, object]:
    return model_config(parse_label(f"{text}-input_output_len:1,1"), folders)


def test_the_base_is_what_every_case_gets() -> None:
    assert config("m-bench-pytorch") == {"print_iter_log": True, "cuda_graph_config": {"enable_padding": True}}


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("con:1024", True), ("con:1", False), ("con:102", False), ("reqs:80", True), ("reqs:8", False),
        ("deepseek_r1...", True), ("deepseek_r...", False), ("deepseek_r1", False), ("deepseek_r1_fp8-bench", True),
        ("bench-con:1024", True), ("con>=1024", True), ("con>=1025", False), ("con>=1000", True), ("con<=1024", True),
        ("con<=1023", False), ("bench-con>=2-bench", False), ("gpus>=1", False), ("reqs>=9-con>=9", True),
        ("con:1024-bench", False), ("BENCH", True), ("r1_fp8", False),
    ],
)  # fmt: skip
def test_a_pattern_is_made_of_whole_tokens(pattern: str, matches: bool) -> None:
    label = parse_label("deepseek_r1_fp8-bench-pytorch-reqs:80-con:1024-input_output_len:1,1")
    assert pattern_matches(pattern, label) is matches


def test_later_patterns_win_and_mappings_are_merged() -> None:
    assert config("deepseek_r1_fp8-bench-pytorch")["enable_attention_dp"] is True
    low = config("deepseek_r1_fp8-bench-pytorch-con:1")
    assert low["enable_attention_dp"] is False
    assert low["speculative_config"] == {"decoding_type": "MTP", "num_nextn_predict_layers": 3}
    assert config("deepseek_r1_fp8-bench-pytorch-con:1024") == config("deepseek_r1_fp8-bench-pytorch")
    assert config("m-bench-pytorch-maxbs:1")["cuda_graph_config"] == {"enable_padding": True, "batch_sizes": [1]}
    assert merged({"a": {"b": 1, "c": [1]}}, {"a": {"c": [2]}}) == {"a": {"b": 1, "c": [2]}}


def test_kv_cache_and_adapters() -> None:
    assert config("m-bench-pytorch-kv_cache_dtype:fp8")["kv_cache_config"] == {"dtype": "fp8"}
    lora = {"lora_dir": ["x", "y"], "max_lora_rank": 64, "max_loras": 2, "max_cpu_loras": 2}
    assert config("m-bench-pytorch-loras:2", "x", "y")["lora_config"] == lora
    assert "lora_config" not in config("m-bench-loras:2", "x", "y")
    phi = config("phi_4_multimodal_instruct-bench-pytorch-loras:1", "x")["lora_config"]
    assert isinstance(phi, dict)
    assert phi["max_lora_rank"] == 320
    assert phi["lora_target_modules"] == ["attn_qkv", "attn_dense", "mlp_h_to_4h", "mlp_4h_to_h"]


@pytest.mark.parametrize(("con", "interval"), [(1023, None), (1024, 10), (2000, 10), (4096, 10), (100000, 10)])
def test_the_stream_interval_comes_from_1024_streams_up(con: int, interval: int | None) -> None:
    assert config(f"m-bench-pytorch-streaming-con:{con}").get("stream_interval") == interval


@pytest.mark.parametrize(("maxnt", "chunked"), [(256, True), (512, True), (1024, True), (1025, None), (2048, None)])
def test_prefill_is_chunked_up_to_1024_tokens_of_a_step(maxnt: int, chunked: bool | None) -> None:
    assert config(f"m-bench-pytorch-maxnt:{maxnt}").get("enable_chunked_prefill") is chunked
