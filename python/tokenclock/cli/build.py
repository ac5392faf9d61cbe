"""`tokenclock --model NAME build ...`: trtllm-bench's own, which builds an engine; handed to it where it is."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from tokenclock.cli.group_options import GroupOptions

__all__ = ["group_words", "main"]


def group_words(group: GroupOptions) -> list[str]:
    """What stood before the command, as trtllm-bench takes it."""
    values = {
        "--model": group.model,
        "--model_path": group.model_path,
        "--workspace": group.workspace,
        "--log_level": group.log_level,
        "--revision": group.revision,
    }
    return [f"{flag}={value}" for flag, value in values.items() if value is not None]


def main(argv: Sequence[str], group: GroupOptions | None = None) -> int:
    """Run `trtllm-bench ... build ...`; returns its exit code. Raises UsageError where it is not on the PATH."""
    from tokenclock.throughput.external import find_executable

    command = [find_executable("build"), *group_words(group or GroupOptions()), "build", *argv]
    return subprocess.run(command, check=False, env=dict(os.environ)).returncode
