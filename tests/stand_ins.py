"""Stand-ins of NVIDIA's libraries, built by the C++ compiler from csrc/tests/stand_ins; processes that load them."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

SOURCES = Path(__file__).resolve().parent.parent / "csrc/tests/stand_ins"
LIBRARIES = {"libcuda.cpp": "libcuda.so.1", "libnvidia_ml.cpp": "libnvidia-ml.so.1"}


@functools.lru_cache(maxsize=1)
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Both libraries, built once in a test run; removed at its end."""
    folder = tempfile.TemporaryDirectory(prefix="tokenclock-stand-ins-")
    compiler = os.environ.get("CXX", "c++")
    for source, name in LIBRARIES.items():
        command = [compiler, "-std=c++20", "-O2", "-shared", "-fPIC", "-pthread", "-o", f"{folder.name}/{name}"]
        subprocess.run([*command, str(SOURCES / source), "-ldl"], check=True)
    return folder


def directory() -> Path:
    """Where the libraries lie: for LD_LIBRARY_PATH."""
    return Path(_folder().name)


def libcuda() -> Path:
    """The file of the driver's stand-in: for TOKENCLOCK_LIBCUDA."""
    return directory() / LIBRARIES["libcuda.cpp"]


class FakeGpus:
    """What the stand-in of NVML says, line by line (see its source); changed while it is being asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.set()

    def set(self, *lines: str) -> None:
        """From the next call on it says this."""
        partial = self.path.with_suffix(".partial")
        partial.write_text("".join(f"{line}\n" for line in lines))
        partial.replace(self.path)


def run_python(code: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run code in a process that finds the stand-ins; its output and exit code. Warnings are errors there too."""
    given = {**os.environ, "LD_LIBRARY_PATH": str(directory()), **(environment or {})}
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code)]
    return subprocess.run(command, env=given, capture_output=True, text=True, timeout=120)
