"""`tokenclock latency`: `throughput` with one request at a time, in the words of trtllm-bench."""

from __future__ import annotations

from collections.abc import Sequence

from tokenclock.cli.arguments import CommandParser
from tokenclock.cli.group_options import GroupOptions
from tokenclock.cli.throughput import run
from tokenclock.cli.throughput_flags import build_parser as parser_of

__all__ = ["build_parser", "main"]


def build_parser() -> CommandParser:
    """The command's parser, for its man page."""
    return parser_of("latency")


def main(argv: Sequence[str], group: GroupOptions | None = None) -> int:
    """Run the command; returns its exit code. Raises TokenclockError for what ends it early."""
    return run("latency", argv, group or GroupOptions())
