"""What follows `--`: perf_analyzer's own flags, understood where they map, refused by name where they do not."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tokenclock.cli import arguments as words
from tokenclock.cli.arguments import CommandParser
from tokenclock.errors import UsageError

__all__ = ["read_pass_through", "split_pass_through"]

_OURS = {
    "--concurrency-range": "--concurrency N",
    "--request-rate-range": "--request-rate R",
    "--request-count": "--request-count N before the --",
    "--warmup-request-count": "--warmup-request-count N before the --",
    "--measurement-interval": "--measurement-interval before the --",
    "--stability-percentage": "--stability-percentage before the --",
    "--input-data": "--input-file before the --",
    "--profile-export-file": "--profile-export-file before the --",
    "-m": "-m before the --",
    "-u": "--url before the --",
    "-H": "-H before the --",
    "--streaming": "--streaming before the --",
    "--endpoint": "--endpoint before the --",
}


def split_pass_through(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Arguments before and after the first bare `--`."""
    words = list(argv)
    at = words.index("--") if "--" in words else len(words)
    return words[:at], words[at + 1 :]


def read_pass_through(arguments: Sequence[str]) -> argparse.Namespace:
    """Read what follows `--`. Raises UsageError for what does not map."""
    parser = CommandParser(prog="tokenclock profile --", add_help=False)
    add = parser.add_argument
    add("--request-distribution", default="constant")
    add("--max-threads", type=words.whole_number)
    add("--async", action="store_true")
    add("--service-kind", default="openai")
    add("-v", "--verbose", action="store_true")
    for argument in arguments:
        flag = argument.partition("=")[0]
        if flag in _OURS:
            raise UsageError(f"{flag} after -- is refused: give {_OURS[flag]}")
    values, unknown = parser.parse_known_args(list(arguments))
    if unknown:
        raise UsageError(
            f"{unknown[0]} after -- is refused: perf_analyzer is not run, and of its flags tokenclock understands "
            "--request-distribution, --max-threads, --async, --service-kind openai and --verbose"
        )
    if values.service_kind != "openai":
        raise UsageError(f"--service-kind after -- must be openai, got {values.service_kind}")
    if values.request_distribution not in ("constant", "poisson"):
        raise UsageError(f"--request-distribution must be constant or poisson, got {values.request_distribution}")
    return values
