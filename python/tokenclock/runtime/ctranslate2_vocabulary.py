"""The vocabulary beside a converted model: as JSON since CTranslate2 3.10, as lines of text before."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tokenclock.errors import UsageError

__all__ = ["read_vocabulary"]


def read_vocabulary(directory: str | os.PathLike[str], side: str = "") -> list[str]:
    """The tokens' texts, by id.

    Args:
        directory: of the model.
        side: ``source`` for the encoder's vocabulary of an encoder-decoder; empty for all else.

    Raises:
        UsageError: there is none, or it cannot be read.
    """
    stems = [f"{side}_vocabulary", "shared_vocabulary"] if side else ["vocabulary"]
    for stem in stems:
        for suffix, read in ((".json", json.loads), (".txt", lambda text: text.splitlines())):
            path = Path(directory) / f"{stem}{suffix}"
            if not path.is_file():
                continue
            try:
                tokens = read(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise UsageError(f"{path} must be a vocabulary, got one that cannot be read ({error})") from error
            if not isinstance(tokens, list) or not tokens or not all(isinstance(token, str) for token in tokens):
                raise UsageError(f"{path} must be a JSON list of tokens; convert the model again")
            return tokens
    raise UsageError(
        f"{directory} must hold a vocabulary ({', '.join(f'{stem}.json' for stem in stems)}), got none; convert the "
        "model again"
    )
