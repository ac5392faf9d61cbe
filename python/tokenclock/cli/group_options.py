"""trtllm-bench's options before a command: `tokenclock --model X throughput ...`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from tokenclock.errors import UsageError
from tokenclock.plan_checks import shown

__all__ = ["GROUP_COMMANDS", "GROUP_FLAGS", "GroupOptions", "split_group_options", "starts_with_group_option"]

GROUP_COMMANDS = ("throughput", "latency", "prepare-dataset")
"""The commands that take group options: their `main(argv, group)` gets what stood before their name."""

# Every spelling -> the field that it sets; the underscored names are the original's, the dashed ones are ours.
GROUP_FLAGS: dict[str, str] = {
    "-m": "model",
    "--model": "model",
    "--model_path": "model_path",
    "--model-path": "model_path",
    "-w": "workspace",
    "--workspace": "workspace",
    "--log_level": "log_level",
    "--log-level": "log_level",
    "--revision": "revision",
}
_AS_EVER = "--no-telemetry"  # asks for what is so in any case
_LOG_LEVELS = ("internal_error", "error", "warning", "info", "verbose", "debug", "trace")


@dataclass(frozen=True)
class GroupOptions:
    """What stood before the command; None where an option was not given."""

    model: str | None = None  # hub name, or a directory
    model_path: str | None = None  # directory of a local checkpoint
    workspace: str | None = None
    log_level: str | None = None  # one of the original's levels
    revision: str | None = None

    def given(self) -> list[str]:
        """The flags that were given, by their long names, in the order of the fields."""
        return [f"--{field.name}" for field in fields(self) if getattr(self, field.name) is not None]


def starts_with_group_option(argv: Sequence[str]) -> bool:
    """Whether a command line begins with one of the options rather than with a command."""
    return bool(argv) and _split(argv[0])[0] in (*GROUP_FLAGS, _AS_EVER)


def split_group_options(argv: Sequence[str]) -> tuple[GroupOptions, list[str]]:
    """The options before the command, as `--flag value`, `--flag=value`, `-m value` or `-mvalue`, and the rest.

    The rest begins with the first word that is none of them: the command. Raises UsageError for an option without a
    value, an option given twice and an unknown log level.
    """
    values: dict[str, str] = {}
    rest = list(argv)
    while rest:
        flag, value = _split(rest[0])
        if flag == "--telemetry":
            raise UsageError(f"{flag} is refused: tokenclock sends nothing anywhere: leave it out")
        if rest[0] == _AS_EVER:
            del rest[0]
            continue
        if flag not in GROUP_FLAGS:
            break
        del rest[0]
        if value is None:
            if not rest:
                raise UsageError(f"{flag} needs a value")
            value = rest.pop(0)
        if not value:
            raise UsageError(f"{flag} must not be empty; leave it out for the default")
        name = GROUP_FLAGS[flag]
        if name in values:
            raise UsageError(f"{flag} must be given once before the command, got {values[name]} and {value}")
        values[name] = value
    level = values.get("log_level")
    if level is not None and level not in _LOG_LEVELS:
        raise UsageError(f"--log_level must be one of {', '.join(_LOG_LEVELS)}, got {shown(level)}")
    return GroupOptions(**values), rest


def _split(argument: str) -> tuple[str, str | None]:
    """The flag of an argument, and its value where that is part of the same word."""
    if argument.startswith("--"):
        flag, equals, value = argument.partition("=")
        return flag, value if equals else None
    if argument.startswith("-") and len(argument) > 2:
        return argument[:2], argument[2:].removeprefix("=")
    return argument, None
