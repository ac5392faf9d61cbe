"""What is filled into the commands of a server: `{port}`, `{url}` and the like."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Mapping
from typing import Any

__all__ = ["PLACEHOLDERS", "filled", "misspelt_placeholder"]

PLACEHOLDERS = ("python", "port", "url", "folder", "name", "options_file")
_BRACES = re.compile(r"\{(\w+)\}")
_OWN_BRACES = re.compile(r"(?<![${])\{(\w+)\}(?!\})")
_NEAR = 0.7  # awk's {print} is not near to {port}


def misspelt_placeholder(command: str | list[str]) -> str:
    """What to say of a name in braces that is nearly a placeholder; empty where there is none.

    Other braces, and `${NAME}`, are the command's own.
    """
    for word in [command] if isinstance(command, str) else command:
        for name in _OWN_BRACES.findall(word):
            near = difflib.get_close_matches(name, PLACEHOLDERS, n=1, cutoff=_NEAR)
            if near and name not in PLACEHOLDERS:
                known = ", ".join(f"{{{one}}}" for one in PLACEHOLDERS)
                return f"{{{name}}} is no placeholder (did you mean {{{near[0]}}}?); there are {known}"
    return ""


def filled(command: Any, values: Mapping[str, str]) -> Any:
    """A command with the values, which are quoted for a shell, in place of their names; other braces stay."""
    if isinstance(command, list):
        return [_BRACES.sub(lambda found: _unquoted(values, found), word) for word in command]
    if isinstance(command, str):
        return _BRACES.sub(lambda found: values.get(found[1], found[0]), command)
    return command


def _unquoted(values: Mapping[str, str], found: re.Match[str]) -> str:
    return shlex.split(values[found[1]] or "''")[0] if found[1] in values else found[0]
