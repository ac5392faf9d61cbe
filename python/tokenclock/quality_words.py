"""Says a verdict's reasons and remedies, which name flags of `serving`, in the words of the command that was typed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tokenclock.profile_words import in_profile_words
from tokenclock.verdict import Quality

__all__ = ["in_words_of_profile", "in_words_of_throughput"]

_TO_FIVE_TIMES = "raise --num-prompts to five times --max-concurrency or more"
_TO_SO_MANY = re.compile(r"raise --num-prompts to \d+ or more")  # of requests

_PROFILE = {
    "say --non-streaming": "leave --streaming out",
    "add --ignore-eos, and": "add --extra-inputs ignore_eos:true, and",
    "--base-url or --host and --port name it": "--url names it",
}

_THROUGHPUT = {
    "lower --max-concurrency or --request-rate": "lower --concurrency",
    "raise or drop --max-concurrency, or lower --request-rate": "raise --concurrency",
    "restart the server or change --seed": "restart the server, or make the data set with another seed",
    "check --model (GET /v1/models lists the names), --endpoint and --backend": (
        "check --model or --served-model-name (GET /v1/models lists the names)"
    ),
    "hold --model, --endpoint and OPENAI_API_KEY against": "hold --model and OPENAI_API_KEY against",
    "--base-url or --host and --port name it": "--base-url names it",
    "see that --base-url speaks HTTP and that --backend fits the endpoint": "see that --base-url speaks HTTP",
    "see whether --backend fits the endpoint": "see whether the server's answers are OpenAI's",
    "raise --num-prompts to five times --max-concurrency or more": (
        "raise --num_requests to five times --concurrency or more, with a data set of as many rows"
    ),
    "raise --num-prompts": "raise --num_requests",
    "--num-prompts": "--num_requests",
    "--max-concurrency": "--concurrency",
    "--num-warmups": "--warmup",
    "say --non-streaming": "leave --streaming out",
    "add --ignore-eos, and": "leave --eos_id out, and",
    "(taskset; --workers with more cores)": "(taskset)",
    ", or raise --workers": "",
    "; give --connection reuse": "",
    ": give --connection reuse": "",
    "or lower the rate": "or lower --concurrency",
    "lower the rate": "lower --concurrency",
}

_LATENCY = {
    "let the server stream, or say --non-streaming": "let the server stream",
    "add --ignore-eos, and ": "",  # no token ends an answer of `latency`
    "lower --concurrency": "use `throughput`",
}

_IN_PROCESS = {
    "see the message above and the server's log": "see the message above",
    "see what the server did then": "see what the runtime did then",
    "where the server falls behind, lower the rate": "where the runtime falls behind, lower --concurrency",
    ", and leave room in the server's context length": ", and see the model's longest sequence",
    "raise --workers": "lower --concurrency",
}


def in_words_of_profile(quality: Quality, plan: Mapping[str, Any]) -> Quality:
    """The verdict of a run of `profile`.

    Args:
        quality: in the words of `serving`.
        plan: `ServingPlan.to_dict`: with sessions, time windows or a file that ends by itself it is not the number of
            requests that a user can raise.
    """
    words, more = dict(_PROFILE), "raise --num-prompts"
    has_sessions = plan["asked"].get("session_concurrency") is not None
    if has_sessions or plan["dataset"].get("name") == "synthetic_sessions":
        slots = "--session-concurrency" if has_sessions else "--concurrency"
        words[_TO_FIVE_TIMES] = f"raise --num-sessions to five times {slots} or more"
        words |= {"--num-prompts": "--num-sessions", "--max-concurrency": slots}
        more = "raise --num-sessions"
    elif plan["load"].get("windows") is not None:
        words[_TO_FIVE_TIMES] = "raise --measurement-interval to five times the request latency or more"
        words["--num-prompts"] = "--measurement-interval"
        more = "raise --measurement-interval"
    elif plan["dataset"].get("name") == "trace":
        more = "give a longer --input-file"
        words |= {
            _TO_FIVE_TIMES: f"{more}, of five times as many rows as --concurrency or more",
            "raise --num-prompts": more,
        }

    def told(text: str) -> str:
        if more != "raise --num-prompts":
            text = _TO_SO_MANY.sub(more, text)
        return in_profile_words(_replaced(text, words))

    return _told(quality, told)


def in_words_of_throughput(quality: Quality, *, command: str, in_process: bool) -> Quality:
    """The verdict of a run of `throughput` or `latency`, on a runtime in this process or on a server."""
    words = (_LATENCY if command == "latency" else {}) | (_IN_PROCESS if in_process else {}) | _THROUGHPUT
    return _told(quality, lambda text: _replaced(text, words))


def _replaced(text: str, words: Mapping[str, str]) -> str:
    for theirs in sorted(words, key=len, reverse=True):  # a phrase before the flags in it
        text = text.replace(theirs, words[theirs])
    return text


def _told(quality: Quality, told: Callable[[str], str]) -> Quality:
    checks = [replace(check, reason=told(check.reason), remedy=told(check.remedy)) for check in quality.checks]
    return replace(quality, checks=tuple(checks))
