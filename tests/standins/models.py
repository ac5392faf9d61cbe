"""Directories that look like models: engines and checkpoints, with the files that are looked at before loading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["write_checkpoint", "write_enc_dec_engine", "write_engine"]

_ARCHITECTURES = {"dec": "LlamaForCausalLM", "enc": "BertModel", "encoder": "EncoderModel", "decoder": "DecoderModel"}


def write_engine(
    folder: Path,
    kind: str = "dec",
    *,
    tp: int = 1,
    pp: int = 1,
    packed: bool = True,
    paged: bool = True,
    weight_streaming: bool = False,
    build: dict[str, Any] | None = None,
    **pretrained: Any,
) -> Path:
    """An engine directory with a rank file per rank; `kind` is dec, enc, encoder or decoder."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "version": "0.19.0",
        "pretrained_config": {
            "architecture": _ARCHITECTURES[kind],
            "dtype": "float16",
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "num_hidden_layers": 30,
            "hidden_size": 4096,
            "vocab_size": 32000,
            "mapping": {"world_size": tp * pp, "tp_size": tp, "pp_size": pp, "gpus_per_node": 8},
            "quantization": {"quant_algo": None, "kv_cache_quant_algo": None},
            **pretrained,
        },
        "build_config": {
            "max_input_len": 512,
            "max_seq_len": 600,
            "max_batch_size": 16,
            "max_beam_width": 4,
            "max_num_tokens": 8192,
            "weight_streaming": weight_streaming,
            "kv_cache_type": "PAGED" if paged else "CONTINUOUS",
            "plugin_config": {"remove_input_padding": packed, "gpt_attention_plugin": "float16"},
            **(build or {}),
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    names = ["input_ids", "input_lengths"] + (["token_type_ids", "position_ids", "max_input_length"] if packed else [])
    content = {
        "inputs": dict.fromkeys(names, "INT32"),
        "outputs": {"hidden_states": "HALF"},
        "hidden": 8,
        "weight_streaming": weight_streaming,
    }
    for rank in range(tp * pp):
        (folder / f"rank{rank}.engine").write_text(json.dumps(content))
    return folder


def write_enc_dec_engine(folder: Path, **options: Any) -> Path:
    """A directory with an engine in encoder/ and one in decoder/."""
    special = {"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1}
    write_engine(folder / "encoder", "encoder", **{**special, **options})
    write_engine(folder / "decoder", "decoder", **{**special, **options, "num_hidden_layers": 28})
    return folder


def write_checkpoint(folder: Path, **config: Any) -> Path:
    """config.json and an empty safetensors file: enough for whoever does not read weights."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "num_hidden_layers": 30,
        "hidden_size": 4096,
        "vocab_size": 32000,
        "max_position_embeddings": 4096,
        "torch_dtype": "bfloat16",
        **config,
    }
    (folder / "config.json").write_text(json.dumps(content))
    (folder / "model.safetensors").write_bytes(b"\0" * 16)
    return folder
