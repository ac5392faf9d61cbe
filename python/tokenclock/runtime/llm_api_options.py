"""Options files for TensorRT-LLM's `LLM` (`--extra_llm_api_options`): read, brought up to today's names, checked.

Knows names only; nothing here imports TensorRT-LLM unless the installed release is asked for its own.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenclock.errors import MeasurementError, UsageError
from tokenclock.plan_checks import shown
from tokenclock.runtime.llm_api_keys import KnownOptions
from tokenclock.whole_file import read_yaml

__all__ = ["CheckedOptions", "check_options", "merge_options", "read_options"]

_FLAG = "--extra_llm_api_options"
_MOST_BYTES = 16 << 20

# old name -> where its value belongs now; a name that the release itself still knows is left alone
_MOVED: dict[str, tuple[str, ...]] = {
    "cuda_graph_padding_enabled": ("cuda_graph_config", "enable_padding"),
    "cuda_graph_enable_padding": ("cuda_graph_config", "enable_padding"),
    "padding_enabled": ("cuda_graph_config", "enable_padding"),
    "cuda_graph_batch_sizes": ("cuda_graph_config", "batch_sizes"),
    "cuda_graph_max_batch_size": ("cuda_graph_config", "max_batch_size"),
    "kv_cache_dtype": ("kv_cache_config", "dtype"),
    "attention_backend": ("attn_backend",),
}
_MOVED_INSIDE: dict[str, dict[str, str]] = {"cuda_graph_config": {"padding_enabled": "enable_padding"}}


@dataclass(frozen=True)
class CheckedOptions:
    """Options under today's names, and one line per name that was changed or is not known."""

    options: dict[str, Any]
    warnings: tuple[str, ...] = ()


def read_options(path: str | Path) -> dict[str, Any]:
    """The mapping that a YAML (or JSON) file holds; an empty file is an empty mapping.

    Raises:
        UsageError: no such file, not YAML, or not a mapping of names; with the line.
        MeasurementError: PyYAML is not installed.
    """
    try:
        return read_yaml(path, what=_FLAG, most_bytes=_MOST_BYTES)[0]
    except ImportError:
        raise MeasurementError(
            f"{_FLAG} needs PyYAML: pip install 'tokenclock[trtllm]' or pip install pyyaml"
        ) from None


def check_options(options: Mapping[str, Any], known: KnownOptions, *, strict: bool = False) -> CheckedOptions:
    """Bring options up to the names of a release.

    Args:
        options: as read; it is left alone.
        known: names of the installed or the declared release (`KnownOptions`).
        strict: a name that the release does not know is an error.

    Returns:
        The options to pass on, unknown names included: the release may know more than we do, and it refuses what it
        does not know itself. A new name wins over an old one where both are given.

    Raises:
        UsageError: an option of a wrong form; with `strict`, an unknown name.
    """
    if not known.top:
        return CheckedOptions(dict(options), (f"options were not checked: the names of {known.source} are not known",))
    warnings: list[str] = []
    given = _unwrap_backend_config(options, known, warnings)
    result = {name: _inside(name, value, known, warnings) for name, value in given.items() if name in known.top}
    for name, value in given.items():
        if name not in known.top and not _take_renamed(name, value, given, result, known, warnings):
            if strict:
                raise UsageError(f"{_unknown(name, known)}; leave out --strict-options to pass it on all the same")
            warnings.append(f"{_unknown(name, known)}; it is passed on as it is")
            result[name] = value
    return CheckedOptions(result, tuple(warnings))


def merge_options(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """`theirs` over `ours`; where both have a mapping, its entries are merged likewise. Neither argument is changed."""
    merged = dict(ours)
    for name, value in theirs.items():
        old = merged.get(name)
        merged[name] = merge_options(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def _unwrap_backend_config(options: Mapping[str, Any], known: KnownOptions, warnings: list[str]) -> dict[str, Any]:
    """Options with those of `pytorch_backend_config` at the top level, where they moved to."""
    given = dict(options)
    if "pytorch_backend_config" in known.top or "pytorch_backend_config" not in given:
        return given
    wrapped = given.pop("pytorch_backend_config") or {}
    if not isinstance(wrapped, Mapping):
        raise UsageError(f"pytorch_backend_config must hold option names with values, got {shown(wrapped)}")
    names = ", ".join(map(str, wrapped)) or "nothing"
    warnings.append(f"pytorch_backend_config is no option of {known.source}: what is in it ({names}) moved to the top")
    return {**wrapped, **given}


def _take_renamed(
    name: str,
    value: Any,
    given: Mapping[str, Any],
    result: dict[str, Any],
    known: KnownOptions,
    warnings: list[str],
) -> bool:
    """Put the value of an old name where it belongs now; False: not an old name."""
    if name == "enable_overlap_scheduler":
        return _put(name, _negated(name, value), ("disable_overlap_scheduler",), result, known, warnings, "negated ")
    if name == "use_cuda_graph":
        return _switch_cuda_graph(value, given, result, known, warnings)
    target = _MOVED.get(name)
    return target is not None and _put(name, value, target, result, known, warnings)


def _put(
    name: str,
    value: Any,
    target: tuple[str, ...],
    result: dict[str, Any],
    known: KnownOptions,
    warnings: list[str],
    how: str = "",
) -> bool:
    if target[0] not in known.top:
        return False
    path = ".".join(target)
    place = result
    for part in target[:-1]:
        inner = place.get(part)
        if inner is None and part in place:  # switched off: a detail of it would switch it on again
            warnings.append(f"{name} is now {path}, which {part}: null switches off; {name} is left out")
            return True
        place[part] = dict(inner or {})
        place = place[part]
    if target[-1] in place:
        warnings.append(f"{name} is an old name of {path}, which is given too: {name} is left out")
    else:
        place[target[-1]] = value
        warnings.append(f"{name} is now {how}{path} (in {known.source}); write that")
    return True


def _switch_cuda_graph(
    value: Any, given: Mapping[str, Any], result: dict[str, Any], known: KnownOptions, warnings: list[str]
) -> bool:
    """`use_cuda_graph`: a mapping, empty or not, switches graphs on; null switches them off."""
    if "cuda_graph_config" not in known.top:
        return False
    on = _as_bool("use_cuda_graph", value)
    if "cuda_graph_config" in given:
        warnings.append("use_cuda_graph is an old name of cuda_graph_config, which is given too: it is left out")
        return True
    if on:
        result.setdefault("cuda_graph_config", {})
    else:
        result["cuda_graph_config"] = None
    now = "cuda_graph_config: {}" if on else "cuda_graph_config: null"
    warnings.append(f"use_cuda_graph: {str(on).lower()} is now {now} (in {known.source}); write that")
    return True


def _inside(name: str, value: Any, known: KnownOptions, warnings: list[str]) -> Any:
    """A mapping with its own old names brought up to date."""
    if not isinstance(value, Mapping):
        return value
    inner, there = dict(value), known.nested.get(name, frozenset())
    for old, new in _MOVED_INSIDE.get(name, {}).items():
        if old in inner and old not in there:
            old_value = inner.pop(old)
            inner.setdefault(new, old_value)
            warnings.append(f"{name}.{old} is now {name}.{new} (in {known.source}); write that")
    for key in inner:
        if key not in there and (near := difflib.get_close_matches(str(key), there, n=1, cutoff=0.75)):
            warnings.append(
                f"{name}.{shown(key)} is not known of {known.source} (did you mean {near[0]}?); it is passed on"
            )
    return inner


def _negated(name: str, value: Any) -> bool:
    return not _as_bool(name, value)


def _as_bool(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{name} must be true or false, got {shown(value)}")
    return value


def _unknown(name: str, known: KnownOptions) -> str:
    close = difflib.get_close_matches(name, known.top, n=1, cutoff=0.75)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"{shown(name)} is no option of {known.source}{hint}"
