"""The server's `/metrics` over time, one line of JSON per reading."""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

__all__ = ["MetricsSeries", "read_page"]

_PATHS = ("/metrics", "/prometheus/metrics")
_SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*(?:\{.*\})?)\s+(\S+)(?:\s+-?\d+)?")
_MOST_BYTES = 8 * 1024 * 1024


class MetricsSeries:
    """Reads the page at an interval in a thread of its own, from entry to exit; a server without one leaves no file.

    A line holds `unix_s`, `monotonic_ns`, and `values` (name with labels -> number) of a page of Prometheus text, or
    `page` as trtllm-serve gives it: a list of the iterations since it was last asked.

    Args:
        url: of the server.
        path: of the file.
        interval_s: between two readings.
    """

    def __init__(self, url: str, path: Path, interval_s: float) -> None:
        self.n_written = 0
        self._url = url
        self._path = path
        self._interval_s = interval_s
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def __enter__(self) -> MetricsSeries:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join(timeout=5.0)

    def _loop(self) -> None:
        path = self._find()
        while path is not None and self._write(path) and not self._ending.wait(self._interval_s):
            pass
        if path is not None:
            self._write(path)  # where the run ended

    def _write(self, path: str) -> bool:
        """Add a reading; False when the file takes no more. A page that is missed once is left out."""
        reading = _fetch(self._url + path)
        if reading is None:
            return True
        line = {"unix_s": round(time.time(), 3), "monotonic_ns": time.perf_counter_ns(), **reading}
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError:
            return False
        self.n_written += 1
        return True

    def _find(self) -> str | None:
        """TensorRT-LLM keeps Prometheus text under the second path; the first holds its iterations there."""
        found = None
        for path in _PATHS:
            reading = _fetch(self._url + path)
            if reading is not None and "values" in reading:
                return path
            found = path if reading is not None and found is None else found
        return found


def read_page(text: str) -> dict[str, Any] | None:
    """`values` of a page of Prometheus text or `page` of JSON; None for anything else."""
    if text.lstrip().startswith(("[", "{")):
        try:
            return {"page": json.loads(text)}
        except ValueError:
            return None
    values = {}
    for line in text.splitlines():
        sample = _SAMPLE.fullmatch(line.strip()) if not line.startswith("#") else None
        if sample is not None:
            try:
                value = float(sample[2])
            except ValueError:
                continue
            if value == value and abs(value) != float("inf"):
                values[sample[1]] = value
    return {"values": values} if values else None


def _fetch(url: str) -> dict[str, Any] | None:
    no_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with no_proxy.open(url, timeout=2.0) as reply:
            return read_page(reply.read(_MOST_BYTES).decode("utf-8", "replace"))
    except (urllib.error.URLError, OSError, ValueError):
        return None
