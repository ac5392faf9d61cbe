"""The grammar of labels: which tokens there are, what each takes, and what is said of one that fits nowhere."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any

from tokenclock.perftest.label import Label, LabelError
from tokenclock.perftest.label_rules import hold_rules

__all__ = ["KEYS", "WORDS", "read_label"]

_RUNTIMES = ("bench", "cpp", "cppmanager", "python", "disagg_server")
_QUANTIZATIONS = ("nvfp4", "fp8", "int8", "int4_awq", "w4a8_awq", "w4a16_awq", "int4_wo", "full_prec")

WORDS: Mapping[str, tuple[str, Any]] = {
    **{name: ("runtime", name) for name in _RUNTIMES},
    "exe": ("executor_api", True),
    "pytorch": ("backend", "pytorch"),
    "_autodeploy": ("backend", "_autodeploy"),
    "streaming": ("streaming", True),
    "static_batching": ("static_batching", True),
    **{name: ("mode", name) for name in ("plugin", "ootb", "ootb_except_mha", "plugin_ifb")},
    **{name: ("dtype", name) for name in ("float32", "float16", "bfloat16", "float8", "float4")},
    "mp": ("multiple_profiles", True),
    "build_only": ("build_only", True),
}
"""Tokens without a value -> field of the label and what it becomes."""


class _Wrong(Exception):
    """A value that does not fit; the text says what was expected."""


def _whole(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < least:
            raise _Wrong(f"a whole number from {least} to 999999999")
        return int(text)

    return read


def _fraction(allows_zero: bool) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,17})?|\.[0-9]{1,17}", text) else -1.0
        if not 0 <= value <= 1 or (value == 0 and not allows_zero):
            raise _Wrong(f"a fraction {'from 0' if allows_zero else 'above 0 and up'} to 1, such as 0.85")
        return value

    return read


def _one_of(*names: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in names:
            close = difflib.get_close_matches(text, names, n=2)
            raise _Wrong(f"one of {', '.join(names)}" + (f"; near: {', '.join(close)}" if close else ""))
        return text

    return read


def _name(text: str) -> str:
    if not re.fullmatch(r"[^\s:\[\]-]+", text):
        raise _Wrong("a name without blanks, brackets, colons and hyphens")
    return text


def _batch_sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(_whole(1)(part) for part in text.split("+"))
    except _Wrong:
        raise _Wrong("batch sizes joined by +, such as 1+8+64") from None


def _pairs(text: str) -> tuple[tuple[int, int | None], ...]:
    found: list[tuple[int, int | None]] = []
    for part in text.split("+"):
        pair = part.split(",")
        try:
            if len(pair) != 2:
                raise _Wrong
            found.append((_whole(1)(pair[0]), _whole(1)(pair[1])))
        except _Wrong:
            raise _Wrong("input and output length in tokens, pairs joined by +, such as 128,128+512,32") from None
    return tuple(found)


def _inputs(text: str) -> tuple[tuple[int, int | None], ...]:
    try:
        return tuple((_whole(1)(part), None) for part in text.split("+"))
    except _Wrong:
        raise _Wrong("input lengths in tokens, joined by +, such as 128+512") from None


def _parallel(key: str) -> Callable[[str], str]:
    return lambda text: f"{key}:{_whole(1)(text)}"


KEYS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "subtype": ("subtype", _name),
    **{f"ctx_{kind}": ("ctx_parallel", _parallel(f"ctx_{kind}")) for kind in ("tp", "dp", "pp")},
    **{f"gen_{kind}": ("gen_parallel", _parallel(f"gen_{kind}")) for kind in ("tp", "dp", "pp")},
    "gwp": ("gpu_weights_percent", _fraction(True)),
    "maxbs": ("max_batch_size", _whole(1)),
    "maxnt": ("max_num_tokens", _whole(1)),
    "kv_frac": ("kv_frac", _fraction(False)),
    "bs": ("batch_sizes", _batch_sizes),
    "input_output_len": ("lengths", _pairs),
    "input_len": ("lengths", _inputs),
    "beams": ("beams", _whole(1)),
    "loras": ("loras", _whole(0)),
    "quant": ("quant", _one_of(*_QUANTIZATIONS)),
    "kv_cache_dtype": ("kv_cache_dtype", _one_of("auto", "fp8")),
    "reqs": ("num_requests", _whole(1)),
    "con": ("concurrency", _whole(1)),
    "ep": ("ep", _whole(1)),
    "tp": ("tp", _whole(1)),
    "pp": ("pp", _whole(1)),
    "gpus": ("gpus", _whole(1)),
}
"""Tokens with a value -> field of the label and how the value is read."""


def read_label(text: str) -> Label:
    """Read a label; `tokenclock.perftest.label.parse_label` says how.

    Raises:
        LabelError: at the first token that fits nowhere, or the first rule that is broken.
    """
    model, *tokens = text.split("-")
    if not re.fullmatch(r"[^\s:\[\],+]+", model) or model in WORDS:
        raise LabelError(f"expected a model name first, got {model!r}", text, 0, len(model))
    values: dict[str, Any] = {}
    places: dict[str, tuple[int, str]] = {}
    position = len(model) + 1
    for token in tokens:
        field, value = _read(token, text, position)
        if field in places:
            earlier = places[field][1]
            twice = f"expected {token} once, got it twice"
            problem = twice if earlier == token else f"expected one of {earlier} and {token}, got both"
            raise LabelError(problem, text, position, len(token))
        values[field], places[field] = value, (position, token)
        position += len(token) + 1
    if "runtime" not in values:
        expected = f"expected a runtime, one of {', '.join(_RUNTIMES)}, and the label names none"
        raise LabelError(expected, text, len(text), 1)
    return hold_rules(Label(model=model, **values), text, places)


def _read(token: str, text: str, position: int) -> tuple[str, Any]:
    """Field and value of a token."""
    if token in WORDS:
        return WORDS[token]
    key, colon, written = token.partition(":")
    if colon and key in KEYS:
        field, read = KEYS[key]
        try:
            return field, read(written)
        except _Wrong as wrong:
            near = re.search(r"; near: ([^,]+)", str(wrong))
            fixed = None if near is None else _put(text, position, token, f"{key}:{near[1]}")
            raise LabelError(
                f"expected {key}: with {wrong}, got {token!r}", text, position, len(token), fixed
            ) from None
    raise _unknown(token, key, colon, written, text, position)


def _unknown(token: str, key: str, colon: str, written: str, text: str, position: int) -> LabelError:
    known = [*WORDS, *(f"{name}:" for name in KEYS)]
    close = difflib.get_close_matches(key + colon, known, n=3, cutoff=0.6)
    if not colon and key in KEYS:
        close = [f"{key}:"]
    corrections = [name + (written if name.endswith(":") else "") for name in close]
    problem = f"expected a token of a label, got {token!r}"
    if not token:
        problem = "expected a token between hyphens, got nothing"
    if close:
        problem += f"; near: {', '.join(close)}"
    elif token and not any(part in WORDS for part in text[:position].split("-")):
        name = text[: position + len(token)].replace("-", "_")
        problem += f"; a model name holds no hyphen: write {name}"
        return LabelError(problem, text, position, len(token), name + text[position + len(token) :])
    usable = corrections and not corrections[0].endswith(":")
    return LabelError(
        problem, text, position, len(token), _put(text, position, token, corrections[0]) if usable else None
    )


def _put(text: str, position: int, token: str, other: str) -> str:
    return text[:position] + other + text[position + len(token) :]
