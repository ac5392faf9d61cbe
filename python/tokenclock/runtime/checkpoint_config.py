"""What the config.json of a checkpoint directory says of its model, read without the library that wrote it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenclock.errors import UsageError
from tokenclock.runtime.protocol import Family

__all__ = ["checkpoint_facts", "family_of", "holds_checkpoint", "positions_of", "read_config"]

_DECODER_ENDINGS = ("ForCausalLM", "LMHeadModel")


def read_config(directory: str) -> dict[str, Any]:
    """config.json of a checkpoint.

    Raises:
        UsageError: there is none, or it is no JSON object.
    """
    path = Path(directory) / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--engine_dir must hold a config.json, got {path} ({error.strerror})") from None
    except ValueError as error:
        raise UsageError(f"{path} must be JSON, got {error}") from None
    if not isinstance(config, dict):
        raise UsageError(f"{path} must be a JSON object, got {type(config).__name__}")
    return config


def holds_checkpoint(directory: str) -> bool:
    """Whether a directory is a checkpoint: config.json without `build_config`, and safetensors beside it."""
    folder = Path(directory)
    if not any(folder.glob("*.safetensors")):
        return False
    try:
        return "build_config" not in read_config(directory)
    except UsageError:
        return False


def family_of(config: Mapping[str, Any]) -> Family:
    """``dec``, ``enc`` or ``enc-dec``, from the architecture that wrote the checkpoint."""
    if config.get("is_encoder_decoder"):
        return "enc-dec"
    names = config.get("architectures") or []
    return "dec" if any(str(name).endswith(_DECODER_ENDINGS) for name in names) else "enc"


def positions_of(config: Mapping[str, Any]) -> int | None:
    """Tokens that the model has positions for; None where positions are relative or not told."""
    for name in ("max_position_embeddings", "n_positions", "n_ctx"):
        value = config.get(name)
        if isinstance(value, int) and value > 0 and "relative_attention_num_buckets" not in config:
            # RoBERTa and its kin count positions from the one after the padding id
            offset = int(config.get("pad_token_id") or 0) + 1 if "roberta" in str(config.get("model_type")) else 0
            return value - offset
    return None


def checkpoint_facts(config: Mapping[str, Any]) -> dict[str, int | None]:
    """The fields of `ModelFacts` that a config tells, under its families' several names; None where it does not."""
    heads = _first(config, "num_attention_heads", "num_heads", "n_head", "encoder_attention_heads")
    return {
        "num_heads": heads,
        "num_kv_heads": _first(config, "num_key_value_heads", "num_kv_heads") or heads,
        "num_layers": _first(config, "num_hidden_layers", "num_layers", "n_layer", "encoder_layers"),
        "hidden_size": _first(config, "hidden_size", "d_model", "n_embd"),
        "vocab_size": _first(config, "vocab_size"),
    }


def _first(config: Mapping[str, Any], *names: str) -> int | None:
    return next((config[name] for name in names if isinstance(config.get(name), int)), None)
