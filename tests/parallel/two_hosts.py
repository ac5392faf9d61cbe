"""Two hosts on one machine: network namespaces joined by a cable of their own, each with its host name.

mpirun runs on the first and starts its daemon on the second through an agent script in place of ssh, so ranks on the
two talk TCP and are counted per host, as on two machines. Needs root and iproute2.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.parallel.launching import Launcher, pypi_launcher

ADDRESSES = ("10.77.0.1", "10.77.0.2")
NAMES = ("node-a", "node-b")


@dataclass(frozen=True)
class TwoHosts:
    """A launcher that puts ranks on both hosts, and what runs a command on one of them."""

    launcher: Launcher
    namespaces: tuple[str, str]

    def on(self, host: int, *command: str) -> list[str]:
        """The command line that runs `command` on host 0 or 1."""
        return [*_inside(self.namespaces[host], NAMES[host]), *command]


def _inside(namespace: str, name: str, *, monotonic_s: int = 0) -> list[str]:
    clock = ["--time", "--monotonic", str(monotonic_s), "--fork"] if monotonic_s else []
    named = f'hostname {name}; exec "$@"'
    return ["ip", "netns", "exec", namespace, "unshare", "--uts", *clock, "sh", "-c", named, "-"]


@contextlib.contextmanager
def two_hosts(directory: Path, *, slots: int = 1, monotonic_s: int = 0) -> Iterator[TwoHosts]:
    """Make the hosts and take them away again; skips the test where namespaces are not permitted.

    slots: ranks on each host.
    monotonic_s: the second host's CLOCK_MONOTONIC is ahead of the first one's by this.
    """
    launcher = pypi_launcher()
    tag = f"{os.getpid() % 100_000}"
    namespaces = (f"tca{tag}", f"tcb{tag}")
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("unshare") is None:
        pytest.skip("two hosts on one machine need root, iproute2 and unshare")
    try:
        _ip("netns", "add", namespaces[0])
    except subprocess.CalledProcessError as error:
        pytest.skip(f"network namespaces are not permitted here: {error.stderr.strip()}")
    try:
        _ip("netns", "add", namespaces[1])
        _ip("link", "add", f"va{tag}", "type", "veth", "peer", "name", f"vb{tag}")
        for namespace, cable, address in zip(namespaces, (f"va{tag}", f"vb{tag}"), ADDRESSES, strict=True):
            _ip("link", "set", cable, "netns", namespace)
            _ip("-n", namespace, "addr", "add", f"{address}/24", "dev", cable)
            for link in ("lo", cable):
                _ip("-n", namespace, "link", "set", link, "up")
        agent = directory / "agent"
        inside = _inside(namespaces[1], NAMES[1], monotonic_s=monotonic_s)
        quoted = " ".join(f"'{word}'" for word in inside)
        exports = " ".join(f"{name}={value}" for name, value in launcher.environment.items())
        agent.write_text(f'#!/bin/sh\nshift  # the host\nexec {quoted} sh -c "export {exports}; $*"\n')
        agent.chmod(0o755)
        mpirun = [
            *launcher.command, "--prtemca", "plm_ssh_agent", str(agent),
            "--host", ",".join(f"{address}:{slots}" for address in ADDRESSES), "--map-by", "slot",
            "--mca", "btl", "tcp,self", "--mca", "btl_tcp_if_include", f"{ADDRESSES[0]}/24",
        ]  # fmt: skip
        command = (*_inside(namespaces[0], NAMES[0]), *mpirun)
        yield TwoHosts(Launcher("two hosts", command, launcher.environment), namespaces)
    finally:
        for namespace in namespaces:
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
