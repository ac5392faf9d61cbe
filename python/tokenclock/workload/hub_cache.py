"""Files of a Hugging Face hub's cache on this machine: found where they lie, never fetched."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["cached_snapshot"]


def cached_snapshot(name: str, revision: str, environment: Mapping[str, str]) -> str | None:
    """The directory of `ORG/NAME` at a revision (branch, tag or commit) if it holds a tokenizer.json, else None.

    The cache is $HF_HUB_CACHE, else $HF_HOME/hub, else ~/.cache/huggingface/hub, as the hub's own client lays it out.
    """
    home = environment.get("HF_HOME") or os.path.join(os.path.expanduser("~"), ".cache", "huggingface")
    cache = Path(environment.get("HF_HUB_CACHE") or os.path.join(home, "hub"))
    model = cache / f"models--{name.replace('/', '--')}"
    try:
        commit = (model / "refs" / revision).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        commit = revision
    snapshot = model / "snapshots" / commit
    return str(snapshot) if os.path.isfile(snapshot / "tokenizer.json") else None
