"""PyTorch options of a case: a base, and what patterns of label tokens add to it."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tokenclock.perftest.label import Label
from tokenclock.perftest.model_config_patterns import PATTERNS

__all__ = ["merged", "model_config", "pattern_matches"]

_BASE: Mapping[str, Any] = {"print_iter_log": True, "cuda_graph_config": {"enable_padding": True}}
_PHI_4_MULTIMODAL = "phi_4_multimodal"
_PHI_4_MODULES = {
    "attn_qkv": "qkv_proj",
    "attn_dense": "o_proj",
    "mlp_h_to_4h": "gate_up_proj",
    "mlp_4h_to_h": "down_proj",
}


def model_config(label: Label, lora_dirs: Sequence[str] = ()) -> dict[str, Any]:
    """What `--extra_llm_api_options` is given for a case.

    Args:
        label: of the case.
        lora_dirs: of its adapters.
    """
    config = copy.deepcopy(dict(_BASE))
    if label.kv_cache_dtype != "auto":
        config = merged(config, {"kv_cache_config": {"dtype": label.kv_cache_dtype}})
    for patterns, added in PATTERNS:
        if any(pattern_matches(pattern, label) for pattern in patterns):
            config = merged(config, added)
    if label.backend == "pytorch" and label.loras:
        config = merged(config, {"lora_config": _lora(label, lora_dirs)})
    return config


def pattern_matches(pattern: str, label: Label) -> bool:
    """Whether each token of a pattern is a token of the canonical label, in the same order; case does not count.

    The first token of the pattern is of the model where it is followed by ``...``: ``deepseek_r1...`` fits all models
    whose names begin with these words. ``con>=1024`` and ``maxnt<=1024`` compare a token's number.
    """
    wanted = pattern.lower().split("-")
    tokens = [token.lower() for token in label.tokens()]
    if wanted[0].endswith("..."):
        start = re.escape(wanted[0][:-3])
        if not re.fullmatch(rf"{start}(_.*)?", tokens[0]):
            return False
        wanted, tokens = wanted[1:], tokens[1:]
    rest = iter(tokens)
    return all(any(_fits(one, token) for token in rest) for one in wanted)


def _fits(wanted: str, token: str) -> bool:
    condition = re.fullmatch(r"(\w+)(>=|<=)([0-9]+)", wanted)
    if condition is None:
        return token == wanted
    key, _, number = token.partition(":")
    if key != condition[1] or not number.isdigit():
        return False
    return int(number) >= int(condition[3]) if condition[2] == ">=" else int(number) <= int(condition[3])


def merged(config: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    """Both, the later one first; mappings within are merged too, lists are replaced."""
    found = dict(config)
    for name, value in added.items():
        before = found.get(name)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        found[name] = merged(before, value) if both else copy.deepcopy(value)  # type: ignore[arg-type]
    return found


def _lora(label: Label, lora_dirs: Sequence[str]) -> dict[str, Any]:
    config: dict[str, Any] = {
        "lora_dir": list(lora_dirs),
        "max_lora_rank": 64,
        "max_loras": label.loras,
        "max_cpu_loras": label.loras,
    }
    if re.match(rf"{_PHI_4_MULTIMODAL}(_|$)", label.model.lower()):
        config |= {
            "lora_target_modules": list(_PHI_4_MODULES),
            "trtllm_modules_to_hf_modules": dict(_PHI_4_MODULES),
            "max_lora_rank": 320,
        }
    return config
