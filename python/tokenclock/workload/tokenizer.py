"""A tokenizer from a directory on this machine; the network is never touched.

`tokenizer.json` is read by the `tokenizers` package; other files, and the slow mode, by `transformers` if installed.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tokenclock.errors import UsageError
from tokenclock.plan import ServingPlan

__all__ = ["Tokenizer", "find_tokenizer", "pool_for_text", "read_tokenizer"]

_FILES = ("*token*", "*vocab*", "*.model", "*.spm")  # one at least is there wherever a tokenizer can be read


class Tokenizer(Protocol):
    """What the workload needs of a tokenizer, whichever package reads it."""

    source: str  # the directory
    ordinary_ids: npt.NDArray[np.int32]  # every id but special and added tokens, ascending
    raw_tokens: list[str]  # of the ordinary ids, as the vocabulary spells them
    vocab_size: int  # of the base vocabulary: added tokens are not counted, special ones inside it are
    eos_id: int | None  # of the end-of-text token; None where the directory names none

    def texts(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """Decode each row of ids."""

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without special tokens."""

    def counts(self, texts: Sequence[str], *, special: bool) -> npt.NDArray[np.int32]:
        """Tokens of each text; with the special tokens a server adds to a completion prompt, or without."""

    def ids(self, texts: Sequence[str], *, special: bool) -> list[list[int]]:
        """Token ids of each text, likewise."""


def find_tokenizer(plan: ServingPlan) -> Tokenizer | None:
    """The tokenizer of --tokenizer, else of --model where that is a directory with a tokenizer.json, else None.

    Raises UsageError when a named tokenizer cannot be read, with what to install or give instead.
    """
    endpoint = plan.endpoint
    named = endpoint.tokenizer
    if named is None and not os.path.isfile(Path(endpoint.model) / "tokenizer.json"):  # too long a name is no file
        return None
    source = named if named is not None else endpoint.model
    return read_tokenizer(source, mode=endpoint.tokenizer_mode, trust=endpoint.trust_remote_code)


def read_tokenizer(named: str, *, mode: str = "auto", trust: bool = False) -> Tokenizer:
    """The tokenizer in the directory `named`; `mode` is auto or slow. Raises UsageError as above."""
    directory = Path(named)
    has_json = os.path.isfile(directory / "tokenizer.json")
    if not os.path.isdir(directory):
        raise UsageError(
            f"--tokenizer must be a directory that holds tokenizer.json, got {named}; tokenclock never downloads: "
            "fetch the tokenizer first, or leave the flag out to send token ids"
        )
    if has_json and mode == "auto":
        return _read_fast(directory, (directory / "tokenizer.json").stat().st_mtime_ns)
    if not any(next(directory.glob(pattern), None) for pattern in _FILES):
        raise UsageError(
            f"--tokenizer must be a directory that holds tokenizer.json, got {directory}, which holds neither that nor "
            "tokenizer.model, vocab.json, vocab.txt or the like; give the directory of the model's files"
        )
    return _TransformersTokenizer(directory, slow=mode == "slow", trust=trust)


@functools.lru_cache(maxsize=1)
def _read_fast(directory: Path, _mtime_ns: int) -> Tokenizer:
    """Reading a large vocabulary takes about a second, and a run asks for its tokenizer more than once."""
    return _FastTokenizer(directory)


class _FastTokenizer:
    """tokenizer.json read by the `tokenizers` package."""

    def __init__(self, directory: Path) -> None:
        try:
            from tokenizers import Tokenizer as Reader
        except ImportError as error:
            raise UsageError(
                f"the tokenizer in {directory} needs the tokenizers package: pip install 'tokenclock[serving]'"
            ) from error
        path = directory / "tokenizer.json"
        try:
            self._reader = Reader.from_file(str(path))
        except Exception as error:  # the package raises bare Exception
            raise UsageError(f"{path} is no readable tokenizer ({_first_line(error)}); fetch it again") from error
        self._reader.no_truncation()
        self._reader.no_padding()
        self.source = str(directory)
        vocabulary: dict[str, int] = self._reader.get_vocab(with_added_tokens=True)
        self.ordinary_ids, self.raw_tokens = _ordinary(vocabulary, set(self._reader.get_added_tokens_decoder()))
        self.vocab_size = int(self._reader.get_vocab_size(with_added_tokens=False))
        self.eos_id = vocabulary.get(_special_token(directory, "eos_token"))

    def texts(self, rows: Sequence[Sequence[int]]) -> list[str]:
        return list(self._reader.decode_batch(list(rows), skip_special_tokens=False))

    def encode(self, text: str) -> list[int]:
        return list(self._reader.encode(text, add_special_tokens=False).ids)

    def counts(self, texts: Sequence[str], *, special: bool) -> npt.NDArray[np.int32]:
        encode = getattr(self._reader, "encode_batch_fast", self._reader.encode_batch)  # without offsets, where it is
        return np.array([len(item.ids) for item in encode(list(texts), add_special_tokens=special)], dtype=np.int32)

    def ids(self, texts: Sequence[str], *, special: bool) -> list[list[int]]:
        return [list(item.ids) for item in self._reader.encode_batch(list(texts), add_special_tokens=special)]


class _TransformersTokenizer:
    """Any tokenizer that `transformers` can read from a directory."""

    def __init__(self, directory: Path, *, slow: bool, trust: bool) -> None:
        try:
            reader_class: Any = importlib.import_module("transformers").AutoTokenizer
        except ImportError as error:
            why = "--tokenizer-mode slow" if slow else f"{directory} holds no tokenizer.json, so it"
            raise UsageError(f"{why} needs the transformers package: pip install transformers sentencepiece") from error
        try:
            self._reader = reader_class.from_pretrained(
                str(directory), local_files_only=True, use_fast=not slow, trust_remote_code=trust
            )
        except Exception as error:  # what it raises depends on the files it meets
            raise UsageError(f"no tokenizer could be read from {directory} ({_first_line(error)})") from error
        self.source = str(directory)
        added = set(self._reader.all_special_ids) | set(getattr(self._reader, "added_tokens_decoder", {}))
        self.ordinary_ids, self.raw_tokens = _ordinary(self._reader.get_vocab(), added)
        self.vocab_size = int(self._reader.vocab_size)
        self.eos_id = self._reader.eos_token_id

    def texts(self, rows: Sequence[Sequence[int]]) -> list[str]:
        decode = self._reader.decode
        return [decode(row, skip_special_tokens=False, clean_up_tokenization_spaces=False) for row in rows]

    def encode(self, text: str) -> list[int]:
        return list(self._reader(text, add_special_tokens=False, verbose=False)["input_ids"])

    def counts(self, texts: Sequence[str], *, special: bool) -> npt.NDArray[np.int32]:
        return np.array([len(ids) for ids in self.ids(texts, special=special)], dtype=np.int32)

    def ids(self, texts: Sequence[str], *, special: bool) -> list[list[int]]:
        encoded: list[list[int]] = self._reader(list(texts), add_special_tokens=special, verbose=False)["input_ids"]
        return encoded


def _special_token(directory: Path, name: str) -> str:
    """The text of a special token that the tokenizer's configuration names; empty where it names none."""
    try:
        config = json.loads((directory / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    value = config.get(name) if isinstance(config, dict) else None
    content = value.get("content") if isinstance(value, dict) else value
    return content if isinstance(content, str) else ""


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _ordinary(vocabulary: dict[str, int], added: set[int]) -> tuple[npt.NDArray[np.int32], list[str]]:
    """Ids that are no special or added token, ascending, and their spelling."""
    pairs = sorted((number, token) for token, number in vocabulary.items() if number not in added)
    if not pairs:
        raise UsageError("the tokenizer's vocabulary holds no ordinary token; give another --tokenizer")
    return np.array([number for number, _ in pairs], dtype=np.int32), [token for _, token in pairs]


def pool_for_text(tokenizer: Tokenizer) -> npt.NDArray[np.int32]:
    """The ids to draw text from: those most likely to be one token again after decoding and encoding.

    Whole words with their leading space survive the round trip in nearly every vocabulary; failing enough of those to
    make prompts differ, pieces of letters and digits; failing those, every ordinary token.
    """
    for pattern, smallest in ((r"[Ġ▁][A-Za-z]{2,}", 64), (r"[A-Za-z0-9]+", 16)):
        whole = re.compile(pattern).fullmatch
        chosen = [index for index, token in enumerate(tokenizer.raw_tokens) if whole(token)]
        if len(chosen) >= smallest:
            return tokenizer.ordinary_ids[chosen]
    return tokenizer.ordinary_ids
