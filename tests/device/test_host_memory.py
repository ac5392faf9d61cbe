from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tokenclock.device.host_memory import descendants, process_name, rss_bytes

# Prints the pid of its own child, then both wait for the end of input; the child holds 64 MB.
FAMILY = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c",
    "import sys; held = bytearray(b'x') * (64 << 20); print('up', flush=True); sys.stdin.read()"],
    stdin=sys.stdin, stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""


@pytest.fixture
def family() -> Iterator[tuple[int, int]]:
    """A child of this process and the child's child."""
    with subprocess.Popen([sys.executable, "-c", FAMILY], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        yield child.pid, int(child.stdout.readline())
        child.stdin.close()


def test_children_and_their_children_are_found(family: tuple[int, int]) -> None:
    child, grandchild = family
    found = descendants([os.getpid()])
    assert {os.getpid(), child, grandchild} <= found
    assert descendants([child]) == {child, grandchild}
    assert descendants([child], without=(grandchild,)) == {child}
    assert not {child, grandchild} & descendants([os.getpid()], without=(child,))


def test_memory_of_both_is_summed(family: tuple[int, int]) -> None:
    child, grandchild = family
    alone, both = rss_bytes([child]), rss_bytes(family)
    assert alone is not None
    assert both is not None
    assert both - alone >= 64 << 20
    assert rss_bytes([grandchild, 2**22 + 1]) == pytest.approx(both - alone, rel=0.1)


def test_our_own_is_what_the_kernel_tells() -> None:
    own = rss_bytes([os.getpid()])
    assert own is not None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert peak / 10 < own <= peak * 1.1


def test_nobody() -> None:
    assert rss_bytes([]) is None
    assert rss_bytes([2**22 + 1]) is None
    assert process_name(2**22 + 1) is None
    assert process_name(os.getpid())
