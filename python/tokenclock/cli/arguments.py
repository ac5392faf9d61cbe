"""What the commands share in reading a command line: one-line errors, did-you-mean, defaults from the environment."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from tokenclock.errors import UsageError
from tokenclock.plan_checks import shown

__all__ = [
    "CommandParser",
    "did_you_mean",
    "from_environment",
    "goodput_limit",
    "header",
    "json_object",
    "key_value",
    "metric_list",
    "number",
    "number_list",
    "whole_number",
]


class CommandParser(argparse.ArgumentParser):
    """An argparse parser whose errors are one line (UsageError), which takes no abbreviations and knows close names."""

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("allow_abbrev", False)
        settings.setdefault("formatter_class", _HelpFormatter)
        super().__init__(**settings)

    def error(self, message: str) -> NoReturn:
        raise UsageError(message.removeprefix("argument ").replace(": must be ", " must be ", 1))

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse `arguments`; an unknown flag is answered with the nearest known one."""
        values, unknown = self.parse_known_args(list(arguments))
        if unknown:
            first = unknown[0].partition("=")[0]
            if not first.startswith("-"):
                raise UsageError(f"unexpected argument {first}; {self.prog} --help shows the flags")
            nearest = did_you_mean(first, self.flags())
            raise UsageError(f"unknown flag {first}{nearest}; {self.prog} --help shows all flags")
        return values

    def names_of(self, argument: str) -> list[str]:
        """All names of the flag that an argument gives; none for anything else."""
        name = argument.partition("=")[0]
        return next((list(a.option_strings) for a in self._actions if name in a.option_strings), [])

    def flags(self) -> list[str]:
        """Every flag's names."""
        return [name for action in self._actions for name in action.option_strings]


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Room for the longest flag, so that the texts form one column."""

    def __init__(self, prog: str, **settings: Any) -> None:
        super().__init__(prog, max_help_position=34, **settings)


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """` (did you mean X?)` for the closest known name, else nothing."""
    close = difflib.get_close_matches(name.replace("_", "-"), known, n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""


def from_environment(parser: CommandParser, environment: Mapping[str, str], prefix: str) -> list[str]:
    """Arguments set by variables such as `TOKENCLOCK_SERVING_BASE_URL` (prefix `TOKENCLOCK_SERVING_`).

    Put them before the real arguments: those then win. Several values of one flag are words as
    a shell reads them. A switch is set by 1/true/yes and left alone by 0/false/no.
    """
    flags = {
        prefix + name.removeprefix("--").replace("-", "_").upper(): (name, action)
        for action in parser._actions
        for name in action.option_strings
        if name.startswith("--") and name != "--help"
    }
    arguments: list[str] = []
    for variable, value in environment.items():
        if not variable.startswith(prefix):
            continue
        if variable not in flags:
            raise UsageError(f"unknown environment variable {variable}{did_you_mean(variable, list(flags))}; unset it")
        name, action = flags[variable]
        if action.nargs in ("+", "*"):
            arguments += [f"{name}={word}" for word in _words(action, variable, value)]
        elif isinstance(action.nargs, int) and action.nargs > 1:
            arguments += [name, *_words(action, variable, value)]
        elif action.nargs != 0:
            arguments.append(f"{name}={value}")
        elif value.lower() in ("1", "true", "yes"):
            arguments.append(name)
        elif value.lower() not in ("", "0", "false", "no"):
            raise UsageError(f"{variable} must be 1 or 0, got {value}")
    return arguments


def _words(action: argparse.Action, variable: str, value: str) -> list[str]:
    """The values of a flag that takes several: what is one value as it stands (a header has spaces) stays one."""
    if callable(action.type) and not value.startswith(("'", '"')):
        with contextlib.suppress(argparse.ArgumentTypeError):
            action.type(value)
            return [value]
    import shlex

    try:
        return shlex.split(value)
    except ValueError as error:
        raise UsageError(f"{variable} must be words as a shell reads them, got {shown(value)} ({error})") from error


def _typed(expected: str, read: Callable[[str], Any]) -> Callable[[str], Any]:
    """An argparse type whose failure says what was expected and what was got."""

    def convert(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"must be {expected}, got {shown(text)}") from error

    return convert


def _finite_or_inf(text: str) -> float:
    value = float(text)
    if math.isnan(value):
        raise ValueError(text)
    return value + 0.0  # -0.0 is 0: NumPy takes it for a negative spread


def _split_once(text: str, separators: str) -> tuple[str, str]:
    """Cut at the first of `separators`; both halves stripped, the first not empty."""
    at = min((text.index(mark) for mark in separators if mark in text), default=-1)
    key, value = text[: max(at, 0)].strip(), text[at + 1 :].strip()
    if not key:
        raise ValueError(text)
    return key, value


def _limit(text: str) -> tuple[str, float]:
    key, value = _split_once(text, ":")
    return key, float(value)


def _object(text: str) -> dict[str, Any]:
    value = json.loads(text, parse_constant=_no_constant)
    if not isinstance(value, dict):
        raise ValueError(text)
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


whole_number = _typed("a whole number", int)
number = _typed("a number", _finite_or_inf)
number_list = _typed("numbers with commas between", lambda text: tuple(dict.fromkeys(map(float, _names(text)))))
metric_list = _names
header = _typed("KEY=VALUE or 'Key: value'", lambda text: _split_once(text, "=:"))
key_value = _typed("KEY=VALUE", lambda text: _split_once(text, "="))
goodput_limit = _typed("KEY:MILLISECONDS, such as ttft:200", _limit)
json_object = _typed("a JSON object, such as '{\"min_tokens\": 8}'", _object)
