"""Reads GPU quantities from DCGM exporters (Prometheus text) while the load runs, in a thread of its own."""

from __future__ import annotations

import math
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence

__all__ = ["DcgmWatch", "Reading", "read_page"]

_INTERVAL_S = 0.33
_ANSWER_S = 1.0
_LARGEST_PAGE_BYTES = 16 << 20
_SAMPLE = re.compile(r"(DCGM_FI_\w+)\{(.*)\}\s+(\S+)(?:\s+-?\d+)?")
_GPU = re.compile(r'(?:^|,)\s*gpu="([^"]*)"')

Reading = dict[tuple[str, str], float]  # (exporter's field, GPU) -> value


def read_page(text: str) -> Reading:
    """The fields of every GPU in a page; lines of anything else, and values that are no numbers, are passed over.

    Fields of MIG instances add nothing here: of several values for one field and GPU the first counts.
    """
    found: Reading = {}
    for line in text.splitlines():
        sample = _SAMPLE.fullmatch(line.strip())
        gpu = _GPU.search(sample[2]) if sample else None
        if sample is None or gpu is None:
            continue
        try:
            value = float(sample[3])
        except ValueError:
            continue
        if math.isfinite(value):
            found.setdefault((sample[1], gpu[1]), value)
    return found


class DcgmWatch:
    """Call `begin` when the load begins and `end` when it has ended. Never raises; what is amiss is said once a URL."""

    def __init__(self, urls: Sequence[str], say: Callable[[str], None]) -> None:
        self._urls, self._say = list(urls), say
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        #: URL -> what was read, one entry a look
        self.readings: dict[str, list[Reading]] = {url: [] for url in urls}

    def begin(self) -> None:
        """Look at each URL once, and go on every 0.33 s with those that answer."""
        for url in list(self._urls):
            problem = self._look(url)
            if problem is not None:
                self._urls.remove(url)
                self._say(f"tokenclock serving: no GPU telemetry from {url}: {problem}")
        if self._urls:
            self._thread = threading.Thread(target=self._go_on, name="dcgm", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Stop looking."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=2 * _ANSWER_S)

    def _go_on(self) -> None:
        next_s = time.monotonic() + _INTERVAL_S
        while not self._stop.wait(max(0.0, next_s - time.monotonic())):
            for url in self._urls:
                self._look(url)  # an exporter that is late now and then leaves out a look
            next_s = max(next_s + _INTERVAL_S, time.monotonic())

    def _look(self, url: str) -> str | None:
        """Why nothing came; None when something did."""
        try:
            with self._opener.open(url, timeout=_ANSWER_S) as answer:
                text = answer.read(_LARGEST_PAGE_BYTES).decode("utf-8", "replace")
        except (OSError, ValueError) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            return str(getattr(reason, "strerror", None) or reason)
        found = read_page(text)
        if not found:
            return "the page holds no field of DCGM; is it the address of a DCGM exporter?"
        self.readings[url].append(found)
        return None
