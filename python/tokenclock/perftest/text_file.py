"""Text and YAML files of performance tests, read whole, with one line where that is not possible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenclock.errors import UsageError

__all__ = ["read_text", "read_yaml"]


def read_text(path: Path, option: str) -> str:
    """The text of a file. Raises UsageError, naming the option, where it is not there or not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{option} must be a readable file, got {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{option} must be a text file in UTF-8, got {path}") from None


def read_yaml(path: Path, option: str) -> Any:
    """What a YAML or JSON file holds.

    Raises:
        UsageError: it is not there, no YAML, or PyYAML is not installed.
    """
    text = read_text(path, option)
    try:
        import yaml
    except ImportError:
        raise UsageError(f"{option} needs PyYAML: pip install 'tokenclock[perftest]'") from None
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{option} must be a YAML file, got {path}: {' '.join(str(error).split())}") from None
