"""The progress bar of a run: on stderr, and only where somebody looks at it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tokenclock.standard_error import quiet_stderr

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["progress_bar"]


def _ignore(_progress: Mapping[str, int]) -> None:
    pass


@contextmanager
def progress_bar(*, enabled: bool = True) -> Iterator[Callable[[Mapping[str, int]], None]]:
    """Gives a function that is told the counters (`n_requests n_done n_failed n_in_flight n_events`) and shows them.

    Shows nothing when not `enabled` or when stderr is no terminal.
    """
    if not enabled or not sys.stderr.isatty():
        yield _ignore
        return
    bar = _Bar()
    try:
        yield bar.show
    finally:
        bar.close()


class _Bar:
    """The bar, made when there is something to show: importing rich takes longer than connecting."""

    def __init__(self) -> None:
        self._bar: Progress | None = None

    def show(self, progress: Mapping[str, int]) -> None:
        if self._bar is None:
            self._bar = _new_bar()
            self._bar.start()
            self._task = self._bar.add_task("requests", total=None, in_flight=0, events=0, failed="")
        failed = progress["n_failed"]
        self._bar.update(
            self._task,
            total=progress["n_requests"],
            completed=progress["n_done"],
            in_flight=progress["n_in_flight"],
            events=progress["n_events"],
            failed=f", {failed} failed" if failed else "",
        )

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def _new_bar() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.fields[in_flight]} in flight, {task.fields[events]} token events{task.fields[failed]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(file=quiet_stderr()),
        transient=True,
    )
