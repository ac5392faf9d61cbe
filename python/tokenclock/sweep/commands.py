"""The command that starts a server, with its placeholders filled in, its options set and its options file named."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tokenclock.errors import UsageError
from tokenclock.runtime.llm_api_options import merge_options, read_options
from tokenclock.sweep.placeholders import filled
from tokenclock.sweep.points import Variant
from tokenclock.sweep.serve_flags import STARTS_SERVE

__all__ = ["Settled", "check_options_file", "options_flag", "port_of", "settle", "write_options"]

_MARK = "# written by tokenclock sweep; it may be written anew"
_OPTIONS_FLAG = re.compile(
    r"--(?:extra_llm_api_options|extra-llm-api-options|config)(?:=|\s+)(\"[^\"]*\"|'[^']*'|[^\s;&|\"']+)"
)
_NESTED = "extra_llm_api_options."


@dataclass(frozen=True)
class Settled:
    """A server's commands as they are run.

    Args:
        command, stop_command, results_from: None where there is none.
        environment: variables of all three.
        options: what the options file holds, or is to hold; None without one.
        options_file: its path; None without one.
        writes_options: the sweep writes the file before each start.
        log: file of the server's own output.
        folder: of its results.
    """

    command: str | list[str] | None
    stop_command: str | list[str] | None
    results_from: str | list[str] | None
    probe: Any
    environment: Mapping[str, str]
    options: Mapping[str, Any] | None
    options_file: Path | None
    writes_options: bool
    log: Path
    folder: Path


def settle(variant: Variant, result_dir: Path) -> Settled:
    """Fill in the placeholders and the options of the matrix.

    Raises:
        UsageError: options that the command has no place for, or an options file that cannot be read.
    """
    server, folder = variant.server, result_dir / variant.folder
    command = server.command
    options: Mapping[str, Any] | None = server.extra_llm_api_options
    for name, value in variant.settings.items():
        name = name.partition(".")[2]
        if name.startswith(_NESTED):
            options = merge_options(options or {}, _nested(name.removeprefix(_NESTED).split("."), value))
        elif command is not None:
            command = _with_option(command, name, value)
    options_file, writes = None, options is not None
    named = options_flag(command) if command is not None else None
    if options is not None:
        assert command is not None
        options_file, command = _place_options(command, named, folder, server.name)
    elif named is not None and Path(named).is_file():
        options_file, options = Path(named), read_options(named)
    values = {
        "python": shlex.quote(sys.executable),
        "port": str(port_of(server.url)),
        "url": server.url,
        "folder": shlex.quote(str(folder)),
        "name": variant.folder,
        "options_file": shlex.quote(str(options_file or "")),
    }
    return Settled(
        command=filled(command, values),
        stop_command=filled(server.stop_command, values),
        results_from=filled(server.results_from, values),
        probe=filled(server.probe, values) if isinstance(server.probe, (str, list)) else server.probe,
        environment={name: str(value) for name, value in server.environment.items()},
        options=options,
        options_file=options_file,
        writes_options=writes,
        log=Path(server.log) if server.log is not None else folder / "server.log",
        folder=folder,
    )


def port_of(url: str) -> int:
    """The port of a URL, that of its scheme where it names none."""
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)


def options_flag(command: str | Sequence[str]) -> str | None:
    """The file that a command names as its options file; None where it names none."""
    found = _OPTIONS_FLAG.search(command if isinstance(command, str) else shlex.join(command))
    return found[1].strip("\"'") if found else None


def check_options_file(settled: Settled) -> None:
    """Refuse to write over a file that the sweep did not write, unless it says the same.

    Raises:
        UsageError: another file is in the place of the options.
    """
    import yaml

    path = settled.options_file
    if not settled.writes_options or path is None or not path.exists():
        return
    try:
        there = path.read_text(encoding="utf-8")
        ours = there.startswith(_MARK) or yaml.safe_load(there) == dict(settled.options or {})
    except (OSError, ValueError, yaml.YAMLError):
        ours = False
    if not ours:
        raise UsageError(
            f"extra_llm_api_options would be written to {path}, which holds something else; remove that file, or name "
            "another one in the command"
        )


def write_options(settled: Settled) -> None:
    """Write the options file, if the options are the YAML's. Raises OSError where it cannot be written."""
    import yaml

    path = settled.options_file
    if settled.writes_options and path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(dict(settled.options or {}), sort_keys=False)
        path.write_text(f"{_MARK}\n{text}", encoding="utf-8")


def _place_options(
    command: str | list[str], named: str | None, folder: Path, name: str
) -> tuple[Path, str | list[str]]:
    """The file the options go to, and the command, which names it."""
    if named is not None and "{" not in named:
        return Path(named), command
    path = (folder / "extra_llm_api_options.yml").absolute()
    text = command if isinstance(command, str) else " ".join(command)
    if "{options_file}" in text:
        return path, command
    words = command if isinstance(command, list) else _words(command)
    if not STARTS_SERVE.search(shlex.join(words)):
        raise UsageError(
            f"server {name} has extra_llm_api_options, but its command names no file for them; "
            "write --extra_llm_api_options {options_file} where it belongs"
        )
    more = ["--extra_llm_api_options", "{options_file}"]
    return path, [*command, *more] if isinstance(command, list) else f"{command.rstrip()} {' '.join(more)}"


def _with_option(command: str | list[str], name: str, value: Any) -> str | list[str]:
    """A command with one flag set: where it stands, else at the end. true: a switch; false or null: taken away."""
    pattern = "--" + re.sub(r"[-_]", "[-_]", re.escape(name).replace(r"\-", "-").replace(r"\_", "_"))
    switch = isinstance(value, bool) or value is None
    new = "" if value in (False, None) else f"--{name}" + ("" if switch else f" {shlex.quote(str(value))}")
    if isinstance(command, list):
        return shlex.split(str(_with_option(shlex.join(command), name, value)))
    found = re.compile(
        rf"(?<!\S){pattern}(?=[\s=]|$)" + ("" if switch else r"(?:=|\s+)(?:\"[^\"]*\"|'[^']*'|[^\s;&|]+)")
    )
    if found.search(command):
        return found.sub(lambda _: new, command).rstrip()
    return f"{command.rstrip()} {new}".rstrip()


def _nested(path: Sequence[str], value: Any) -> dict[str, Any]:
    return {path[0]: _nested(path[1:], value) if len(path) > 1 else value}


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()
