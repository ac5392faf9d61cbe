"""How `profile` reads the values that genai-perf spells in its own way."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from typing import Any

from tokenclock.errors import UsageError
from tokenclock.plan_checks import json_problem

__all__ = ["base_url", "extra_body", "extra_input", "goodput_ms", "profile_goodput"]

_LIMITS = {
    "time_to_first_token": "ttft",
    "time_to_second_token": "ttst",
    "inter_token_latency": "tpot",
    "request_latency": "e2el",
}
_OF_FLAGS = {  # fields of a body that flags or the prompts set
    "stream": "give --streaming, or leave it out",
    "stream_options": "the server's count of tokens is always asked for",
    "model": "give --model",
    "messages": "give --input-file FILE",
    "prompt": "give --input-file FILE",
    "input": "give --input-file FILE",
    "text_input": "give --input-file FILE",
}
_PER_USER = "output_token_throughput_per_user"


def extra_input(text: str) -> dict[str, Any]:
    """`name:value`, its type inferred, or a JSON object."""
    if text.lstrip().startswith("{"):
        try:
            return dict(json.loads(text))
        except ValueError as error:
            raise argparse.ArgumentTypeError(
                f"must be name:value or a JSON object, got {text[:60]} ({json_problem(error)})"
            ) from error
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise argparse.ArgumentTypeError(
            f"must be name:value or a JSON object, got {text[:60]}; for a switch say {name.strip() or 'name'}:true"
        )
    return {name.strip(): _inferred(value.strip())}


def _inferred(text: str) -> Any:
    """bool, int, float, else the text."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if math.isfinite(number):
            return number
    return text


def extra_body(inputs: Sequence[dict[str, Any]], *, chat: bool) -> dict[str, Any]:
    """All fields together. Raises UsageError for a field given twice, and for those that other flags say."""
    found: dict[str, Any] = {} if chat else {"repetition_penalty": None}  # which `serving` sends and this tool does not
    named: set[str] = set()
    for fields in inputs:
        for name, value in fields.items():
            if name in named:
                raise UsageError(f"--extra-inputs must name {name} once, got it twice; leave one out")
            if name in _OF_FLAGS:
                raise UsageError(f"--extra-inputs must not name {name}: {_OF_FLAGS[name]}")
            if name == "n" and value not in (1, None):
                raise UsageError(f"--extra-inputs n must be 1, got {value}; one answer per request is timed")
            named.add(name)
            found[name] = value
    return found


def profile_goodput(text: str) -> tuple[str, float]:
    """`metric:limit`."""
    name, _, value = text.partition(":")
    known = ", ".join([*_LIMITS, _PER_USER])
    try:
        limit = float(value)
    except ValueError:
        limit = math.nan
    if name not in (*_LIMITS, _PER_USER) or not 0 <= limit < math.inf or (name == _PER_USER and limit == 0):
        raise argparse.ArgumentTypeError(f"must be METRIC:LIMIT with METRIC of {known} and LIMIT >= 0, got {text[:60]}")
    return name, limit


def goodput_ms(limits: Sequence[tuple[str, float]]) -> dict[str, float]:
    """Limits by our own tags in ms; X tokens/s or more to a user is an inter-token latency of 1000/X ms at most."""
    found: dict[str, float] = {}
    seen: set[str] = set()
    for name, limit in limits:
        if name in seen:
            raise UsageError(f"--goodput must name {name} once, got it twice; leave one out")
        seen.add(name)
        tag, ms = (_LIMITS[name], limit) if name in _LIMITS else ("tpot", 1000.0 / limit)
        found[tag] = min(ms, found.get(tag, math.inf))
    return found


def base_url(url: str | None) -> str:
    """HOST:PORT as genai-perf takes it, or a whole URL."""
    if url is None:
        return "http://localhost:8000"
    if not url.strip():
        raise UsageError("--url must be [http(s)://]HOST:PORT, got ''; leave it out for localhost:8000")
    return url if "://" in url else f"http://{url}"
