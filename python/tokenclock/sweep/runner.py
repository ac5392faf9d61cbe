"""Runs a sweep: server by server, point by point; what is done stays done, whatever happens next."""

from __future__ import annotations

import contextlib
import shlex
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tokenclock.errors import MeasurementError
from tokenclock.sweep.index import DONE, FAILED, INCOMPLETE, Entry, Index, now
from tokenclock.sweep.live import Page
from tokenclock.sweep.plan import SweepPlan
from tokenclock.sweep.points import Point, Visit
from tokenclock.sweep.processes import Supervised
from tokenclock.sweep.server_process import Interrupted, RunningServer, ServerFailed, log_tail
from tokenclock.sweep.side_files import SideFiles

__all__ = ["Runner"]

_POLL_S = 0.1
_WIND_UP_S = 60.0  # for a run that was told to stop, to save what it measured
_GATE_MISSED = 3


@dataclass
class Runner:
    """Runs visits; the index says what came of them.

    Args:
        plan: what to do.
        index: kept up to date, and saved after each point.
        page: shown while it goes on.
        interrupted: whether somebody wants the end.
        continue_on_error: go on after a failure.
    """

    plan: SweepPlan
    index: Index
    page: Page
    interrupted: Callable[[], bool]
    continue_on_error: bool = False
    out_of_time: bool = False
    stopped: bool = False  # after a failure
    too_long: str = ""  # the point that was not begun, and how long it would have taken

    def __post_init__(self) -> None:
        minutes = self.plan.sweep.max_minutes
        self._deadline_s = time.monotonic() + 60.0 * minutes if minutes is not None else float("inf")
        self._ran_one = False
        self._tried = False  # a point has ended, or a start has failed: from then on time is kept to
        self._start_s = self.plan.sweep.expected.start

    def run(self) -> None:
        """Every visit whose points are not done."""
        for visit in self.plan.visits:
            left = tuple(point for point in visit.points if self.index.add(point).status != DONE)
            if not left:
                continue
            if self.must_end(left[0], starts=True):
                break
            self.visit(Visit(visit.variant, left))

    def visit(self, visit: Visit) -> None:
        """Start the server, run its points, stop it; after its death start it again for what is left."""
        left = list(visit.points)
        while left and not self.must_end(left[0], starts=True):
            with contextlib.ExitStack() as stack:
                server = self.started(visit, stack)
                if server is None:
                    if not self.interrupted():
                        for point in left:
                            self._fail(point, "its server did not start")
                    return
                while left and server.died() is None and not self.must_end(left[0]):
                    self.run_point(left.pop(0), server)

    def started(self, visit: Visit, stack: contextlib.ExitStack) -> RunningServer | None:
        """A server that is ready and warm, stopped with the stack; None when it did not come up."""
        variant = visit.variant
        server = RunningServer(variant, self.plan.settled[variant.folder], self.interrupted)
        self.page.state(f"starting {variant.folder}")
        try:
            server.start()
        except ServerFailed as error:
            self._tried = True
            self.say_failure(str(error), error.tail)
            self.index.note_server(variant.folder, started=now(), failure=str(error))
            self.index.save()
            self.stopped = self.stopped or not self.continue_on_error
            return None
        except Interrupted:
            return None
        self._start_s = server.ready_s or 0.0
        self.index.note_server(variant.folder, started=now(), ready_s=server.ready_s)
        self.page.server_ready(variant.folder, server.ready_s or 0.0)
        stack.callback(self._stop, server, variant.folder)
        if self.plan.sweep.warmup and visit.points:
            self._warm_up(visit.points[0], server)
        return server

    def run_point(self, point: Point, server: RunningServer) -> Entry:
        """Run one point; its entry says what came of it."""
        self._cool_down()
        entry = self.index.add(point)
        folder = self.plan.result_dir / point.variant.folder
        log = folder / f"{point.stem}.log"
        log.unlink(missing_ok=True)
        self.plan.words.result(folder, point.stem).unlink(missing_ok=True)  # of an earlier try: it is none of this one
        entry.started, begun_s = now(), time.monotonic()
        self.page.point_started(point, folder)
        side = SideFiles(point, self.plan, folder)
        with side.watching():
            try:
                code = self._run(point, log, server)
            except MeasurementError as error:  # no process, or no log: the disk or the machine refuses
                code = None
                self.page.say(f"tokenclock sweep: {point.key}: {error}")
        self._tried = True
        entry.took_s = round(time.monotonic() - begun_s, 3)
        entry.exit_code = code
        self._settle(point, entry, code, server, log)
        entry.files = side.finish(self.plan.result_dir / entry.file) if entry.status == DONE else {}
        self.page.point_ended(point, entry)
        self.index.save()
        return entry

    def say_failure(self, line: str, tail: list[str]) -> None:
        """The line, and below it the last words of a log."""
        self.page.say(f"tokenclock sweep: {line}")
        for words in tail:
            self.page.say(f"    | {words}")

    def _run(self, point: Point, log: Path, server: RunningServer) -> int | None:
        """The exit code of a point's command; it is told to stop when time is up, the server dies, or on Ctrl-C."""
        told = False
        command = [sys.executable, "-m", "tokenclock", *point.argv]
        with Supervised(command, log=log, stop_signal=signal.SIGINT, stop_timeout_s=5.0) as process:
            give_up_s = float("inf")
            while process.wait(_POLL_S) is None:
                self.page.tick()
                if self._tried and time.monotonic() > self._deadline_s:
                    self.out_of_time = True
                if not told and (self.interrupted() or self.out_of_time):
                    told = True
                    process.signal(signal.SIGINT)
                    give_up_s = time.monotonic() + _WIND_UP_S
                if time.monotonic() > give_up_s:
                    break
            return process.exit_code

    def _settle(self, point: Point, entry: Entry, code: int | None, server: RunningServer, log: Path) -> None:
        """Put a point's end into words."""
        died = server.died()
        result = self.plan.words.result(self.plan.result_dir / point.variant.folder, point.stem)
        entry.file, there = str(result.relative_to(self.plan.result_dir)), result.is_file()
        if code in (0, _GATE_MISSED) and there and died is None:
            entry.status, entry.failure = DONE, None
            if code == _GATE_MISSED:
                self.page.say(f"tokenclock sweep: {point.key}: measured, but a gate was missed; log {log}")
            return
        if self.interrupted() or self.out_of_time:
            entry.status = INCOMPLETE
            entry.failure = "stopped before it was done"
            return
        how = f"ended with exit code {code}" if code is None or code >= 0 else f"was ended by signal {-code}"
        if code in (0, _GATE_MISSED) and not there:
            how = f"left no {result}"
        if died is not None:
            failed = server.failure(f"died during {point.key} (exit code {died})")
            self.say_failure(str(failed), failed.tail)
            how += ", and its server died"
        self._fail(point, how)

    def _fail(self, point: Point, how: str) -> None:
        entry = self.index.add(point)
        entry.status = FAILED
        folder = self.plan.result_dir / point.variant.folder
        log = folder / f"{point.stem}.log"
        health = shlex.quote(point.variant.server.health_url)
        where = f"; log {log}" if log.exists() else ""
        entry.failure = f"{how}{where}; probe: curl -s {health}; results in {folder}/"
        if "server did not start" not in how:
            self.say_failure(f"{point.key} {entry.failure}", log_tail(log, 5))
        self.stopped = self.stopped or not self.continue_on_error
        self.index.save()

    def _warm_up(self, point: Point, server: RunningServer) -> None:
        """Requests that count for nothing, with the flags of the first point."""
        self.page.state(f"warming up {point.variant.folder}")
        folder = self.plan.result_dir / point.variant.folder
        warmup = self.plan.maker.warm_up(point, self.plan.sweep.warmup)
        code = self._run(warmup, folder / "warmup.log", server)
        for path in (*folder.glob("warmup*.json"), *folder.glob("warmup*.npz")):
            path.unlink(missing_ok=True)
        if code not in (0, _GATE_MISSED) and not self.interrupted():
            self.page.say(f"tokenclock sweep: the warm-up of {point.variant.folder} ended with {code}; "
                          f"log {folder / 'warmup.log'}")  # fmt: skip

    def _stop(self, server: RunningServer, folder: str) -> None:
        self.page.state(f"stopping {folder}")
        if problem := server.stop():
            self.say_failure(problem, [])
            self.stopped = self.stopped or not self.continue_on_error

    def must_end(self, point: Point | None = None, *, starts: bool = False) -> bool:
        """Whether nothing more, or not this point, is to begin; `starts`: its server is started for it.

        The first point always begins, and runs to its end: a sweep that is resumed gets on, however short the time.
        """
        if self.interrupted() or self.stopped:
            return True
        if not self._tried:
            return False
        needed_s, parts = 0.0, ""
        if point is not None:
            needed_s = self.page.expected_s(point)
            if starts and point.variant.server.command is not None:
                parts = f", {self._start_s:.0f} of them for the start"
                needed_s += self._start_s
        if time.monotonic() + needed_s > self._deadline_s and not self.out_of_time:
            self.out_of_time = True
            if point is not None:
                self.too_long = f" ({point.key} would have taken about {needed_s:.0f} s{parts}, by expected and so far)"
        return self.out_of_time

    def _cool_down(self) -> None:
        end_s = time.monotonic() + self.plan.sweep.cooldown * self._ran_one
        self._ran_one = True
        while time.monotonic() < end_s and not self.interrupted():
            self.page.state("cooling down")
            time.sleep(min(_POLL_S, max(0.0, end_s - time.monotonic())))
