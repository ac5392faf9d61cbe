"""The flags of a point's command, from what the YAML says under whatever spelling."""

from __future__ import annotations

import difflib
import glob
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenclock.errors import UsageError

__all__ = ["RESERVED", "Vocabulary", "flag_words", "masked", "vocabulary_of"]

RESERVED = ("command", "prompts_per_concurrency")
"""Keys of the benchmark section that are no flags."""

_SECRET = ("--header", "--api-key", "-H")


@dataclass(frozen=True)
class Vocabulary:
    """How one command says what a sweep sets.

    Args:
        command: its name.
        concurrency, request_rate, requests, isl, osl, url, seed: its flags, without dashes; None: it has none.
        known: all its flags, as typed; empty where the command cannot be asked.
    """

    command: str
    concurrency: str
    requests: str
    url: str
    request_rate: str | None = None
    isl: str | None = None
    osl: str | None = None
    seed: str | None = None
    known: tuple[str, ...] = ()
    _by_name: Mapping[str, str] = field(default_factory=dict, compare=False)

    def flag(self, name: str) -> str:
        """The flag as typed: `max_concurrency` -> `--max-concurrency`. Raises UsageError for one it does not have."""
        if not self.known:
            return f"--{name}"
        found = self._by_name.get(_plain(name))
        if found is None:
            near = difflib.get_close_matches(_plain(name), list(self._by_name), n=1, cutoff=0.6)
            hint = f" (did you mean {near[0]}?)" if near else f"; tokenclock {self.command} --help lists them"
            raise UsageError(f"{name} is no flag of tokenclock {self.command}{hint}")
        return found

    def axis_name(self, name: str) -> str:
        """The name of an axis, whichever way the matrix says it: `max-concurrency` is `concurrency`."""
        plain = _plain(name)
        return {_plain(self.concurrency): "concurrency", "request-rate": "request_rate"}.get(plain, name)

    def axis(self, name: str) -> tuple[str, ...]:
        """The flags that one axis of the matrix sets. Raises UsageError where the command has no such thing."""
        flags = {
            "concurrency": (self.concurrency,),
            "request_rate": (self.request_rate,),
            "lengths": (self.isl, self.osl),
        }.get(name, (name,))
        if None in flags:
            raise UsageError(f"tokenclock {self.command} has no flag for {name}; name its own flags in the matrix")
        return tuple(flag for flag in flags if flag is not None)

    def output(self, folder: Path, stem: str) -> list[str]:
        """Where the result is to go."""
        if self.command == "serving":
            return ["--save-result", "--result-dir", str(folder), "--result-filename", f"{stem}.json"]
        if self.command == "profile":
            return ["--artifact-dir", str(folder), "--profile-export-file", f"{stem}.json"]
        return ["--report_json", str(folder / f"{stem}.json")]

    def result(self, folder: Path, stem: str) -> Path:
        """Where the result is once the command has ended; profile makes a directory for it."""
        if self.command == "profile":
            return next(iter(sorted(folder.glob(f"*/{glob.escape(stem)}_genai_perf.json"))), folder / f"{stem}.json")
        return folder / f"{stem}.json"


_VOCABULARIES = {
    "serving": {
        "concurrency": "max-concurrency", "requests": "num-prompts", "url": "base-url", "request_rate": "request-rate",
        "isl": "random-input-len", "osl": "random-output-len", "seed": "seed",
    },
    "profile": {
        "concurrency": "concurrency", "requests": "request-count", "url": "url", "request_rate": "request-rate",
        "isl": "synthetic-input-tokens-mean", "osl": "output-tokens-mean", "seed": "random-seed",
    },
    "throughput": {"concurrency": "concurrency", "requests": "num_requests", "url": "base-url"},
}  # fmt: skip
_OUTPUT_FLAGS = {
    "save-result", "result-dir", "result-filename", "append-result", "artifact-dir", "profile-export-file",
    "report-json",
}  # fmt: skip
_ADDRESS_FLAGS = {"base-url", "url", "u", "host", "port"}


def vocabulary_of(command: str, known: Sequence[str] | None) -> Vocabulary:
    """The vocabulary of a command; `known` are its flags, None where it cannot be asked."""
    names = tuple(known or ())
    return Vocabulary(command, known=names, _by_name={_plain(flag): flag for flag in names}, **_VOCABULARIES[command])


def is_output_flag(name: str) -> bool:
    """Whether the sweep sets this flag itself."""
    return _plain(name) in _OUTPUT_FLAGS


def is_address_flag(name: str) -> bool:
    """Whether this flag names a server, which the sweep does: by another address it would measure another one."""
    return _plain(name) in _ADDRESS_FLAGS


def flag_words(flag: str, value: Any) -> list[str]:
    """A flag and its value as words: true is a switch, false and null leave it out, a list is several values."""
    if value is None or value is False:
        return []
    if value is True:
        return [flag]
    if isinstance(value, Mapping):
        return [f"{flag}={json.dumps(value)}"]
    if isinstance(value, (list, tuple)):
        return [f"{flag}={_text(item)}" for item in value]
    return [f"{flag}={_text(value)}"] if _text(value).startswith("-") else [flag, _text(value)]


def masked(words: Sequence[str]) -> str:
    """A command line to show and to keep: what may be a secret is `***`."""
    shown, hide = [], False
    for word in words:
        flag, equals, _ = word.partition("=")
        secret = flag in _SECRET
        shown.append("***" if hide else f"{flag}=***" if secret and equals else word)
        hide = secret and not equals
    return shlex.join(shown)


def _plain(name: str) -> str:
    return name.lstrip("-").replace("_", "-")


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)
