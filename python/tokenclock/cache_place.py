"""Where files stay between runs."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_dir"]


def cache_dir() -> Path:
    """$TOKENCLOCK_CACHE, else tokenclock in $XDG_CACHE_HOME, else in ~/.cache; it need not be there yet."""
    if own := os.environ.get("TOKENCLOCK_CACHE"):
        return Path(own)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "tokenclock"
    return Path.home() / ".cache" / "tokenclock"
