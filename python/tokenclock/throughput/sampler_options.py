"""Reads `--sampler_options`: a YAML file of sampling options by the names of TensorRT-LLM's SamplingParams."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tokenclock.errors import UsageError
from tokenclock.plan_checks import shown

__all__ = ["read_sampler_options"]

_OURS = {
    "max_tokens": "output_tokens of each row says it",
    "end_id": "use --eos_id",
    "pad_id": "use --eos_id",
    "n": "use --beam_width",
    "best_of": "use --beam_width",
    "use_beam_search": "use --beam_width",
}


_MOST_BYTES = 1 << 20
_ANY = ("a finite number", lambda value: True)
_VALUES: dict[str, tuple[str, Callable[[float], bool]]] = {  # what a value must be
    "temperature": ("a number >= 0", lambda value: value >= 0),
    "top_p": ("a number in (0, 1]", lambda value: 0 < value <= 1),
    "top_k": ("a whole number >= -1", lambda value: value >= -1 and isinstance(value, int)),
    "min_p": ("a number in [0, 1]", lambda value: 0 <= value <= 1),
    "repetition_penalty": ("a number > 0", lambda value: value > 0),
    "no_repeat_ngram_size": ("a whole number >= 0", lambda value: value >= 0 and isinstance(value, int)),
    "frequency_penalty": _ANY,
    "presence_penalty": _ANY,
    "length_penalty": _ANY,
}


def read_sampler_options(path: str) -> dict[str, Any]:
    """The options of a file; null leaves an option at its default.

    Raises:
        UsageError: it cannot be read, is no mapping, sets what a flag or the data set sets, or a value that no option
            of its name can have; with the line.
    """
    from tokenclock.whole_file import read_yaml

    try:
        values, lines = read_yaml(path, what="--sampler_options", most_bytes=_MOST_BYTES)
    except ImportError as error:
        raise UsageError("--sampler_options needs PyYAML: pip install 'tokenclock[perftest]'") from error
    for name, value in values.items():
        place = f"{path}:{lines[name]}"
        if name in _OURS:
            raise UsageError(f"{place}: --sampler_options must not set {name}: {_OURS[name]}")
        expected, fits = _VALUES.get(name, (None, None))
        if expected is None or fits is None or value is None:
            continue
        ok = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if not (ok and fits(value)):
            raise UsageError(f"{place}: {name} must be {expected}, got {shown(value)}")
    return {name: value for name, value in values.items() if value is not None}
