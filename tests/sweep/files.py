"""Sweeps over paced servers: server entries, ports that are free, and the command as a user types it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def paced(name: str, *flags: str, port: int | None = None, **keys: Any) -> dict[str, Any]:
    """A server entry whose command is the paced server."""
    words = " ".join(["{python} -m tokenclock paced-server --port {port} --ttft-ms 5 --itl-ms 1", *flags])
    return {"name": name, "command": words, "url": f"http://127.0.0.1:{port or free_port()}", **keys}


def benchmark(**flags: Any) -> dict[str, Any]:
    return {
        "model": "paced", "dataset-name": "random", "random-ids": True, "random-input-len": 4,
        "random-output-len": 4, "ignore-eos": True, **flags,
    }  # fmt: skip


def command(file: Path, *flags: str) -> list[str]:
    return [sys.executable, "-m", "tokenclock", "sweep", str(file), *flags]


def sweep(file: Path, *flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(file, *flags), capture_output=True, text=True, timeout=120, env={**os.environ, **environment}
    )


def index_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "index.json").read_text())
    return found


def statuses(folder: Path) -> dict[str, str]:
    return {point["file"].removesuffix(".json"): point["status"] for point in index_of(folder)["points"]}


def processes_with(text: str) -> list[str]:
    """Command lines that contain a text, zombies left out."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
        except OSError:
            continue
        if text in line:
            found.append(line)
    return found
