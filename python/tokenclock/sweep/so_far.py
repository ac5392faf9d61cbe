"""Figures of a run that still goes on, read off the event log that it keeps beside its result."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Any

import numpy as np

from tokenclock import units

__all__ = ["SoFar"]


class SoFar:
    """Reads parts as they appear, each once; a run without such a log has no figures.

    Args:
        folder: in which, or in a directory of which, the log is.
        stem: of the run's files.
    """

    def __init__(self, folder: Path, stem: str) -> None:
        self._folder = folder
        self._pattern = f".{glob.escape(stem)}*.events/part-*.npz"
        self._seen: set[Path] = set()
        self._n_done = self._n_tokens = 0
        self._span: tuple[int, int] | None = None
        self._ttft_ns: list[Any] = []
        self._itl_ns: list[Any] = []

    def words(self) -> str:
        """Requests that ended, output tokens per second, medians of TTFT and ITL; `n/a` where nothing came yet."""
        self._read()
        if self._span is None:
            return "n/a yet"
        span_ns = self._span[1] - self._span[0]
        rate = f"{units.per_s(self._n_tokens, span_ns):.1f}" if span_ns > 0 else "n/a"
        return (
            f"{self._n_done} answers, {rate} tok/s, median TTFT {_median_ms(self._ttft_ns)}, "
            f"median ITL {_median_ms(self._itl_ns)}"
        )

    def _read(self) -> None:
        parts = [*self._folder.glob(self._pattern), *self._folder.glob(f"*/{self._pattern}")]
        for path in sorted(parts):
            if path in self._seen:
                continue
            try:
                with np.load(path, allow_pickle=False) as arrays:
                    part = dict(arrays)
            except (OSError, ValueError):
                continue
            self._seen.add(path)
            if "event_row" in part:
                self._add(part)

    def _add(self, part: dict[str, Any]) -> None:
        rows, stamps = part["event_row"], part["t_token_ns"]
        self._n_done += len(part["rows"])
        self._n_tokens += int(part["n_tokens"].sum())
        if len(stamps):
            first, last = int(stamps.min()), int(stamps.max())
            self._span = (first, last) if self._span is None else (min(first, self._span[0]), max(last, self._span[1]))
            order = np.argsort(rows, kind="stable")
            gaps, same = np.diff(stamps[order]), np.diff(rows[order]) == 0
            self._itl_ns.append(gaps[same])
        sent, token = part.get("column_t_sent_ns"), part.get("column_t_first_token_ns")
        if sent is not None and token is not None:
            known = (sent >= 0) & (token >= 0)
            self._ttft_ns.append(token[known] - sent[known])


def _median_ms(pieces: list[Any]) -> str:
    values = np.concatenate(pieces) if pieces else np.zeros(0)
    return f"{units.ns_to_ms(float(np.median(values))):.2f} ms" if len(values) else "n/a"
