"""Says in the words of `profile` what the engine says in the words of `serving`."""

from __future__ import annotations

import re

__all__ = ["in_profile_words"]

_WORDS = {
    "tokenclock serving:": "tokenclock profile:",
    "--base-url, --host, --port": "--url",
    "--backend openai-chat": "--endpoint-type chat",
    "--backend": "--endpoint-type",
    "--base-url": "--url",
    "--dataset-path": "--input-file",
    " for --dataset-name input_file": "",
    " for --dataset-name trace": "",
    "--extra-body": "--extra-inputs",
    "--max-concurrency": "--concurrency",
    "--max-concurrency of conversations": "--session-concurrency",
    "--num-prompts": "--request-count",
    "--num-warmups": "--warmup-request-count",
    "--random-input-len": "--synthetic-input-tokens-mean",
    "--random-output-len": "--output-tokens-mean",
    "--result-dir": "--artifact-dir",
    "--result-filename": "--profile-export-file",
    "--seed": "--random-seed",
    "--model or --served-model-name": "--model",
    "send ids with --tokenize-on-client": "completions without --tokenizer send ids",
    "leave --non-streaming out": "give --streaming",
    "with --non-streaming": "without --streaming",
}
_KNOWN = re.compile("|".join(rf"{re.escape(words)}(?![\w-])" for words in sorted(_WORDS, key=len, reverse=True)))


def in_profile_words(text: str) -> str:
    """The text with the flags that a user of `profile` knows."""
    return _KNOWN.sub(lambda found: _WORDS[found[0]], text)
