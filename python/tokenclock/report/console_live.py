"""The progress bar of a run: on stderr, and only where somebody looks at it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from tokenclock.standard_error import quiet_stderr

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
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.fields[in_flight]} in flight, {task.fields[events]} token events{task.fields[failed]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=quiet_stderr()), transient=True) as bar:
        task = bar.add_task("requests", total=None, in_flight=0, events=0, failed="")

        def show(progress: Mapping[str, int]) -> None:
            failed = progress["n_failed"]
            bar.update(
                task,
                total=progress["n_requests"],
                completed=progress["n_done"],
                in_flight=progress["n_in_flight"],
                events=progress["n_events"],
                failed=f", {failed} failed" if failed else "",
            )

        yield show
