"""Typed face of the native module; a test compares the two."""

from typing import Any

__version__: str

def build_info() -> dict[str, Any]: ...
