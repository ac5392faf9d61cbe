"""File descriptors, asked for before a load."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tokenclock.serving.descriptors import most_connections

CODE = """
import resource, sys
from tokenclock.serving.descriptors import allow_connections
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[1])))
allow_connections(int(sys.argv[2]), certain=True)
"""


def test_a_load_opens_as_many_as_it_has_slots_or_requests() -> None:
    assert (most_connections(10, 4), most_connections(3, 4), most_connections(10, None)) == (4, 3, 10)


@pytest.mark.parametrize(
    ("limit", "n", "expected"),
    [
        (64, 1000, "1000 connections at once need 1128 open files, the limit here is 64; say `ulimit -n 1128` as root"),
        (64, 1, "one connection needs 129 open files, the limit here is 64; say `ulimit -n 129` as root"),
        (
            200,
            1000,
            "1000 connections at once need 1128 open files, the limit here is 200; say `ulimit -n 1128` as root, "
            "or lower --max-concurrency",
        ),
    ],
)
def test_a_hard_limit_that_is_too_low_says_what_to_set(limit: int, n: int, expected: str) -> None:
    done = subprocess.run([sys.executable, "-c", CODE, str(limit), str(n)], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == f"tokenclock.errors.UsageError: {expected}"
