"""What is seen while a sweep runs: a page that is redrawn on a terminal, one line for each point elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tokenclock.standard_error import quiet_stderr, say_on_stderr
from tokenclock.sweep.index import DONE, Entry
from tokenclock.sweep.plan import SweepPlan
from tokenclock.sweep.points import Point
from tokenclock.sweep.so_far import SoFar

__all__ = ["Page", "shown_page"]

_REDRAW_S = 0.5


class Page:
    """Says what goes on, and how long the rest may take.

    Args:
        plan: for the guesses that the rest of the time is made of.
    """

    def __init__(self, plan: SweepPlan) -> None:
        self._plan = plan
        self._live: Any = None
        self._state = "starting"
        self._left = {point.key: point for point in plan.points}
        self._n_total = len(self._left)
        self._n_ran = 0
        self._guessed_s = self._took_s = 0.0
        self._point: Point | None = None
        self._begun_s = time.monotonic()
        self._point_begun_s = self._drawn_s = 0.0
        self._so_far: SoFar | None = None

    def attach(self, live: Any) -> None:
        """Draw on this `rich.live.Live`."""
        self._live = live

    def already_done(self, keys: Sequence[str]) -> None:
        """Points of an earlier run."""
        for key in keys:
            self._left.pop(key, None)

    def expected_s(self, point: Point) -> float:
        """How long a point may take: the plan's guess, scaled by how the guesses did so far."""
        return point.expected_s * (self._took_s / self._guessed_s if self._guessed_s else 1.0)

    def left_s(self) -> float:
        """How long the points that are left may take, server starts left out."""
        now = self._point
        rest_s = sum(self.expected_s(point) for key, point in self._left.items() if now is None or key != now.key)
        if now is None:
            return rest_s
        return rest_s + max(0.0, self.expected_s(now) - (time.monotonic() - self._point_begun_s))

    def state(self, text: str) -> None:
        """What is going on between points."""
        self._state, self._point = text, None
        self.tick()

    def server_ready(self, folder: str, ready_s: float) -> None:
        self.say(f"tokenclock sweep: {folder} is ready after {ready_s:.1f} s")

    def point_started(self, point: Point, folder: Path) -> None:
        self._point, self._point_begun_s, self._state = point, time.monotonic(), f"running {point.key}"
        self._so_far = SoFar(folder, point.stem) if self._live is not None else None
        self.tick(at_once=True)

    def point_ended(self, point: Point, entry: Entry) -> None:
        self._left.pop(point.key, None)
        self._point = None
        if entry.status == DONE and entry.took_s is not None:
            self._guessed_s += point.expected_s
            self._took_s += entry.took_s
        done = self._n_total - len(self._left)
        self._n_ran += 1
        count = f"{done}/{self._n_total}" if self._plan.sweep.search is None else f"{self._n_ran}"
        took = f"{entry.took_s:.1f} s" if entry.took_s is not None else "n/a"
        self.say(f"tokenclock sweep: [{count}] {point.key}: {entry.status}, {took}")

    def say(self, line: str) -> None:
        """A line that stays."""
        if self._live is not None:
            self._live.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            say_on_stderr(line)

    def tick(self, *, at_once: bool = False) -> None:
        """Draw anew, twice a second at most."""
        if self._live is None or (not at_once and time.monotonic() - self._drawn_s < _REDRAW_S):
            return
        self._drawn_s = time.monotonic()
        self._live.update(self.render(), refresh=True)

    def render(self) -> Any:
        """The page as it is now, for rich."""
        from rich.table import Table

        table = Table.grid(padding=(0, 2))
        done = self._n_total - len(self._left)
        table.add_row("now", self._state)
        table.add_row("points", f"{done} of {self._n_total}, elapsed {_clock(time.monotonic() - self._begun_s)}, "
                                f"left about {_clock(self.left_s())} and starts of servers")  # fmt: skip
        if self._point is not None and self._so_far is not None:
            table.add_row("so far", self._so_far.words())
        return table


@contextmanager
def shown_page(plan: SweepPlan) -> Iterator[Page]:
    """A page on stderr, if that is a terminal."""
    if not sys.stderr.isatty():
        yield Page(plan)
        return
    from rich.console import Console
    from rich.live import Live

    page = Page(plan)
    with Live(console=Console(file=quiet_stderr()), auto_refresh=False, transient=True) as live:
        page.attach(live)
        yield page


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"
