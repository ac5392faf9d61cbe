"""Options of the PyTorch backend for a case, by patterns of whole label tokens."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from tokenclock.errors import UsageError
from tokenclock.perftest.label import Label

__all__ = ["matches", "model_config", "read_patterns"]

_BASE: dict[str, Any] = {"print_iter_log": True, "cuda_graph_config": {"enable_padding": True}}
_LORA_RANK = 64
_LORA_RANK_OF_PHI_4 = 320


def model_config(
    label: Label, lora_dirs: Sequence[str] = (), patterns: Sequence[Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """What is written into the file of options.

    Args:
        label: of the case.
        lora_dirs: folders of its adapters.
        patterns: entries with ``patterns`` and ``config``; default: those of model_config.yml of this package.

    Returns:
        options of TensorRT-LLM's `LLM`, nested; lists are replaced, mappings merged, later entries win.
    """
    config = _merged({}, _BASE)
    tokens = label.canonical().split("-")
    for entry in read_patterns() if patterns is None else patterns:
        if any(matches(pattern, tokens) for pattern in entry["patterns"]):
            config = _merged(config, entry["config"])
    if label.kv_cache_dtype != "auto":
        config = _merged(config, {"kv_cache_config": {"dtype": label.kv_cache_dtype}})
    if label.backend == "pytorch" and label.loras:
        rank = _LORA_RANK_OF_PHI_4 if label.model.startswith("phi_4_multimodal") else _LORA_RANK
        lora = {"lora_dir": list(lora_dirs), "max_lora_rank": rank}
        config = _merged(config, {"lora_config": {**lora, "max_loras": label.loras, "max_cpu_loras": label.loras}})
    return config


def matches(pattern: str, tokens: Sequence[str]) -> bool:
    """Whether each part of a pattern is a whole token of a label: ``con:1`` is not in ``con:1024``."""
    lowered = [token.lower() for token in tokens]
    return all(any(fnmatch.fnmatchcase(token, part.lower()) for token in lowered) for part in pattern.split("-"))


def read_patterns(path: Path | None = None) -> list[Mapping[str, Any]]:
    """The entries of a YAML file; default: of this package's own.

    Raises:
        UsageError: it cannot be read, or is of another form.
    """
    import yaml

    name = str(path or "model_config.yml")
    try:
        source = resources.files("tokenclock.perftest").joinpath(name) if path is None else path
        entries = yaml.safe_load(source.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UsageError(f"cannot read {name}: {' '.join(str(error).split())}") from None
    for i, entry in enumerate(entries if isinstance(entries, list) else [None]):
        ok = (
            isinstance(entry, dict)
            and isinstance(entry.get("patterns"), list)
            and isinstance(entry.get("config"), dict)
        )
        if not ok or not all(isinstance(pattern, str) for pattern in entry["patterns"]):
            raise UsageError(f"{name}: entry {i + 1} must have patterns (a list of texts) and config (options)")
    return list(entries)


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("config"), dict):
        return False
    patterns = entry.get("patterns")
    return isinstance(patterns, list) and all(isinstance(pattern, str) for pattern in patterns)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(below)
    for key, value in above.items():
        old = found.get(key)
        found[key] = _merged(old if isinstance(old, Mapping) else {}, value) if isinstance(value, Mapping) else value
    return found
