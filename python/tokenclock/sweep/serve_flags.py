"""The flags of `trtllm-serve` in a command: found behind whatever starts it, checked by name and by form."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Sequence
from typing import Any

__all__ = ["FLAGS", "STARTS_SERVE", "read_flags", "serve_words"]

STARTS_SERVE = re.compile(
    r"(?:^|(?<=[\s'\"/]))trtllm-serve(?=[\s'\"]|$)|(?<=-m)\s*tensorrt_llm\.commands\.serve(?=\s|$)"
)
"""What starts the server: the script, or its module."""

FLAGS: dict[str, str] = {  # flag of trtllm-serve -> option that the file would set; empty: no such option
    "tokenizer": "tokenizer", "host": "", "port": "", "backend": "backend", "log_level": "",
    "max_beam_width": "max_beam_width", "max_batch_size": "max_batch_size", "max_num_tokens": "max_num_tokens",
    "max_seq_len": "max_seq_len", "tp_size": "tensor_parallel_size", "pp_size": "pipeline_parallel_size",
    "ep_size": "moe_expert_parallel_size", "cluster_size": "moe_cluster_parallel_size",
    "gpus_per_node": "gpus_per_node", "kv_cache_free_gpu_memory_fraction": "kv_cache_config.free_gpu_memory_fraction",
    "num_postprocess_workers": "num_postprocess_workers", "trust_remote_code": "trust_remote_code",
    "extra_llm_api_options": "", "config": "", "reasoning_parser": "reasoning_parser", "tool_parser": "",
    "metadata_server_config_file": "", "server_role": "", "fail_fast_on_attention_window_too_large":
    "fail_fast_on_attention_window_too_large", "cp_size": "context_parallel_size", "otlp_traces_endpoint": "",
    "chat_template": "", "revision": "revision", "custom_tokenizer": "",
}  # fmt: skip
_SWITCHES = ("trust_remote_code", "fail_fast_on_attention_window_too_large")
_AT_LEAST = {
    "port": 1, "max_beam_width": 1, "max_batch_size": 1, "max_num_tokens": 1, "max_seq_len": 1, "tp_size": 1,
    "pp_size": 1, "cp_size": 1, "ep_size": 1, "cluster_size": 1, "gpus_per_node": 1, "num_postprocess_workers": 0,
}  # fmt: skip
_BACKENDS = ("pytorch", "tensorrt", "trt", "_autodeploy")
_FRACTION = "kv_cache_free_gpu_memory_fraction"


def serve_words(command: str | Sequence[str] | None) -> list[str] | None:
    """The words after `trtllm-serve` or `-m tensorrt_llm.commands.serve`, wherever in the command it stands."""
    if command is None:
        return None
    text = (command if isinstance(command, str) else shlex.join(command)).replace("\\\n", " ")
    found = STARTS_SERVE.search(text)
    if found is None:
        return None
    rest = re.split(r"\s\d*[<>]|[;&|\n]", text[found.end() :])[0].replace('"', " ").replace("'", " ")
    words = rest.split()
    return words[1:] if words[:1] == ["serve"] else words


def read_flags(words: Sequence[str], warnings: list[str]) -> dict[str, Any]:
    """Flag, with `_` and without dashes, -> its value; what is wrong with names and values is added to `warnings`."""
    flags: dict[str, Any] = {}
    for index, word in enumerate(words):
        if not word.startswith("--"):
            continue
        raw, equals, value = word.partition("=")
        name = raw[2:].replace("-", "_")
        if name not in FLAGS:
            near = difflib.get_close_matches(name, FLAGS, n=1, cutoff=0.7)
            hint = f" (did you mean --{near[0]}?)" if near else ""
            warnings.append(f"{raw} is no flag of trtllm-serve that is known here{hint}; it is passed on")
            continue
        if name in _SWITCHES:
            flags[name] = True
            continue
        following = words[index + 1] if index + 1 < len(words) and not words[index + 1].startswith("--") else None
        given = value if equals else following
        if not given:
            warnings.append(f"{raw} needs a value, and none follows")
            continue
        flags[name] = _typed(given)
        if "$" not in given and "`" not in given and (expected := _expected(name, flags[name])):
            warnings.append(f"{raw} should be {expected}, got {given}")
    return flags


def _expected(name: str, value: Any) -> str:
    """What a flag's value should have been; empty where it will do."""
    if name in _AT_LEAST:
        return "" if isinstance(value, int) and value >= _AT_LEAST[name] else f"a whole number >= {_AT_LEAST[name]}"
    if name == _FRACTION:
        return "" if isinstance(value, (int, float)) and 0 < value <= 1 else "a share above 0, up to 1, such as 0.9"
    if name == "backend" and value not in _BACKENDS:
        near = difflib.get_close_matches(str(value), _BACKENDS, n=1)
        return f"one of {', '.join(_BACKENDS)}" + (f" (did you mean {near[0]}?)" if near else "")
    return ""


def _typed(text: str) -> Any:
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return text
