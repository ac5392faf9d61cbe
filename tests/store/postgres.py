"""A PostgreSQL server of the tests' own: a new cluster under /tmp on a free port, gone at the end."""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["postgresql_server"]


def _program(name: str) -> str | None:
    there = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    return there[-1] if there else shutil.which(name)


def _account() -> dict[str, str | int]:
    """The server refuses to run as root: then Debian's own account runs it."""
    if os.getuid() != 0:
        return {}
    try:
        account = pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no account postgres")
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": ()}  # type: ignore[dict-item]


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def postgresql_server() -> Iterator[str]:
    """Start it; gives its URL without a database. Skips where no server is installed."""
    initdb, pg_ctl = _program("initdb"), _program("pg_ctl")
    if initdb is None or pg_ctl is None:
        pytest.skip("needs a PostgreSQL server: .ci/get_postgresql, or apt install postgresql")
    account = _account()
    folder = Path(tempfile.mkdtemp(prefix="tokenclock-pg-", dir="/tmp"))
    if account:
        os.chown(folder, int(account["user"]), int(account["group"]))
    data, port = folder / "data", _free_port()
    run = {"cwd": folder, "check": True, "stdin": subprocess.DEVNULL, "timeout": 60, **account}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = [initdb, "-D", str(data), "-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"]
    try:
        subprocess.run(command, **run, **quiet)  # type: ignore[call-overload]
        settings = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=60"
        start = [pg_ctl, "-D", str(data), "-l", str(folder / "log"), "-w", "-o", settings, "start"]
        subprocess.run(start, **run, **quiet)  # type: ignore[call-overload]
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}"
        finally:
            stop = [pg_ctl, "-D", str(data), "-m", "immediate", "-w", "stop"]
            subprocess.run(stop, **run, **quiet)  # type: ignore[call-overload]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
