"""Reads labels: tokens between hyphens, in any order after the model's name."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from tokenclock.errors import UsageError
from tokenclock.perftest.label import BACKENDS, DTYPES, MODES, RUNTIMES, Label
from tokenclock.perftest.label_rules import problem_of, with_gpus

__all__ = ["LabelError", "parse_label"]

_QUANTS = ("nvfp4", "fp8", "int8", "int4_awq", "w4a8_awq", "w4a16_awq", "int4_wo", "full_prec")
_MOST = 10**9


class LabelError(UsageError):
    """A label that does not parse.

    Args:
        label: as written.
        position: of the offending token, in characters from 0.
        length: of it.
        problem: what was expected and what came, one line.
    """

    def __init__(self, label: str, position: int, length: int, problem: str) -> None:
        self.label, self.position, self.length, self.problem = label, position, length, problem
        super().__init__(f"{problem}\n    {label}\n    {' ' * position}{'^' * max(1, length)}")


def parse_label(text: str) -> Label:
    """The case that a label names.

    Raises:
        LabelError: an unknown token, a value out of range, a token twice, or parts that do not go together.
    """
    tokens = _tokens(text)
    model, position = tokens[0]
    if not model or ":" in model:
        raise LabelError(text, position, len(model), f"a label begins with a model's name, got {model or 'nothing'!r}")
    if model in RUNTIMES or model in DTYPES:
        raise LabelError(text, position, len(model), f"a label begins with a model's name, got the word {model}")
    found: dict[str, Any] = {"model": model}
    places: dict[str, tuple[str, int]] = {"model": (model, position)}
    for token, start in tokens[1:]:
        try:
            field, value = _read(token)
        except ValueError as error:
            raise LabelError(text, start, len(token), str(error)) from None
        if field in places:
            message = f"{token} says again what {places[field][0]} says: expected one of them"
            raise LabelError(text, start, len(token), message)
        found[field], places[field] = value, (token, start)
    for field, what in (("runtime", f"a runtime ({', '.join(RUNTIMES)})"), ("dtype", f"a type ({', '.join(DTYPES)})")):
        if field not in found and not (field == "dtype" and found.get("runtime") == "disagg_server"):
            raise LabelError(text, len(text), 1, f"expected {what} somewhere after the model's name")
    label = with_gpus(Label(**found))
    problem = problem_of(label, frozenset(found))
    if problem is not None:
        field, message = problem
        token, start = places.get(field, ("", len(text)))
        raise LabelError(text, start, len(token), message)
    return label


def _tokens(text: str) -> list[tuple[str, int]]:
    """Each part between hyphens with its position; the hyphen of ``con:-1`` divides nothing."""
    tokens: list[tuple[str, int]] = []
    position = 0
    for part in text.split("-"):
        if tokens and tokens[-1][0].endswith(":"):
            tokens[-1] = (f"{tokens[-1][0]}-{part}", tokens[-1][1])
        else:
            tokens.append((part, position))
        position += len(part) + 1
    return tokens


def _read(token: str) -> tuple[str, Any]:
    """Field of the Label and its value. Raises ValueError with one line."""
    if not token:
        raise ValueError("expected a token between two hyphens, got nothing")
    if token in _WORDS:
        return _WORDS[token]
    key, colon, value = token.partition(":")
    if colon and key in _KEYS:
        field, expected, read = _KEYS[key]
        try:
            return field, read(value)
        except ValueError:
            raise ValueError(f"expected {key}:{expected}, got {token}") from None
    known = [*_WORDS, *(f"{key}:" for key in _KEYS)]
    near = get_close_matches(key + colon, known, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else "see `tokens` in docs/perf-tests.md"
    raise ValueError(f"no such token: {token}; {hint}")


def _number(low: float, high: float, *, open_low: bool = False) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = float(text)
        if not (low < value if open_low else low <= value) or not value <= high:
            raise ValueError
        return value

    return read


def _whole(low: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= _MOST:
            raise ValueError
        return int(text)

    return read


def _one_of(*values: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in values:
            raise ValueError
        return text

    return read


def _unless(text: str, read: Callable[[str], Any]) -> Callable[[str], Any]:
    """The value that stands for none."""
    return lambda given: None if given == text else read(given)


def _list_of(read: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    return lambda text: tuple(read(part) for part in text.split("+"))


def _pair(text: str) -> tuple[int, int]:
    isl, comma, osl = text.partition(",")
    if not comma:
        raise ValueError
    return _whole(1)(isl), _whole(1)(osl)


def _input_only(text: str) -> tuple[int, None]:
    return _whole(1)(text), None


def _name(text: str) -> str:
    if not text:
        raise ValueError
    return text


def _parallel(kind: str) -> Callable[[str], str]:
    return lambda text: f"{kind}:{_whole(1)(text)}"


_WORDS: dict[str, tuple[str, Any]] = {
    **{name: ("runtime", name) for name in RUNTIMES},
    **{name: ("backend", name) for name in BACKENDS},
    **{name: ("mode", name) for name in MODES},
    **{name: ("dtype", name) for name in DTYPES},
    "exe": ("executor_api", True),
    "streaming": ("streaming", True),
    "static_batching": ("static_batching", True),
    "mp": ("multiple_profiles", True),
    "build_only": ("build_only", True),
}
# key -> field, what its value must be, how it is read
_KEYS: dict[str, tuple[str, str, Callable[[str], Any]]] = {
    "subtype": ("subtype", "NAME", _name),
    "gwp": ("gpu_weights_percent", "SHARE in [0, 1]", _unless("-1", _number(0, 1))),
    "maxbs": ("max_batch_size", "N >= 1", _whole(1)),
    "maxnt": ("max_num_tokens", "N >= 1", _whole(1)),
    "kv_frac": ("kv_frac", "SHARE in (0, 1]", _number(0, 1, open_low=True)),
    "bs": ("batch_sizes", "N or N+N.., each >= 1", _list_of(_whole(1))),
    "input_output_len": ("lengths", "I,O or I,O+I,O.., each >= 1", _list_of(_pair)),
    "input_len": ("lengths", "N or N+N.., each >= 1", _list_of(_input_only)),
    "beams": ("beams", "N >= 1", _whole(1)),
    "loras": ("loras", "N >= 0", _whole(0)),
    "quant": ("quant", " or ".join(_QUANTS), _one_of(*_QUANTS)),
    "kv_cache_dtype": ("kv_cache_dtype", "auto or fp8", _one_of("auto", "fp8")),
    "reqs": ("num_requests", "N >= 0", _whole(0)),
    "con": ("concurrency", "N >= 1, or -1 for no limit", _unless("-1", _whole(1))),
    "ep": ("ep", "N >= 1", _whole(1)),
    "tp": ("tp", "N >= 1", _whole(1)),
    "pp": ("pp", "N >= 1", _whole(1)),
    "gpus": ("gpus", "N >= 1", _whole(1)),
    **{f"ctx_{kind}": ("ctx_parallel", "N >= 1", _parallel(kind)) for kind in ("tp", "dp", "pp")},
    **{f"gen_{kind}": ("gen_parallel", "N >= 1", _parallel(kind)) for kind in ("tp", "dp", "pp")},
}
