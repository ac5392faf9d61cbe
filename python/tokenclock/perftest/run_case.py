"""Runs a case: data set, build, benchmark as often as asked; keeps what ran, and says what became of it."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

from tokenclock.errors import TokenclockError
from tokenclock.perftest.case import Case, ServerCase
from tokenclock.perftest.case_file import write_case_file
from tokenclock.perftest.commands import (
    OPTIONS_FILE,
    Command,
    commands_of,
    model_of,
    reads_options,
    written_command,
)
from tokenclock.perftest.evaluate import evaluate
from tokenclock.perftest.gpu_monitor import FILE_NAME as GPU_FILE
from tokenclock.perftest.gpu_monitor import GpuMonitor
from tokenclock.perftest.outcome import FAILED, SKIPPED, MetricRow, Outcome, Ran
from tokenclock.perftest.refusal import NotRunHere
from tokenclock.perftest.run_command import not_run, run_command
from tokenclock.perftest.settings import Settings

__all__ = ["CaseRun", "commands_of", "run_case", "skipped_case"]

Say = Callable[[str], None]
INTERRUPTED = "interrupted"
_LAST_LINES = 10  # of a log that is not kept
_PREPARES = ("dataset", "build")


def run_case(case: Case, settings: Settings, folder: Path, *, say: Say) -> Outcome:
    """Run a case, `settings.repeats` times, or evaluate its stored run with `settings.replay_dir`.

    Args:
        case: which.
        settings: of the session.
        folder: of the case; made here, and everything goes there.
        say: told one line at a time what goes on.

    Returns:
        The outcome; `failed` where a command failed, and never an exception for that.

    Raises:
        KeyboardInterrupt: somebody wants the session to end.
    """
    if settings.replay_dir is not None:
        from tokenclock.perftest.replay import replay_case

        try:
            return replay_case(case, settings.replay_dir, folder)
        except TokenclockError as error:
            return Outcome(case, FAILED, str(error), (), (), (), folder)
    return CaseRun(case, settings, folder, say=say).run()


def skipped_case(case: Case, settings: Settings, folder: Path, reason: str) -> Outcome:
    """The outcome of a case that is not run: a row of state `skipped` for each metric type that it would have."""
    rows: tuple[MetricRow, ...] = ()
    with contextlib.suppress(TokenclockError):  # what it would run cannot be told: it has one row without a type
        ran = [not_run(command, 1, reason) for command in commands_of(case, settings, folder)]
        rows = tuple(
            dataclasses.replace(row, state=SKIPPED, reason=reason, command="")
            for row in evaluate(case, folder, ran).rows
        )
    return Outcome(case, SKIPPED, reason, rows, (), (), folder)


class CaseRun:
    """A case that can be run further: `run`, then `again` for one more repeat; `outcome` is of all so far.

    Args: as of `run_case`.
    """

    def __init__(self, case: Case, settings: Settings, folder: Path, *, say: Say) -> None:
        self._case, self._settings, self._folder, self._say = case, settings, folder, say
        output = settings.output_dir
        self._monitor = GpuMonitor(None if output is None else output / GPU_FILE)
        self._ran: list[Ran] = []
        self._n_repeats = 0
        self._deadline_s = None if case.timeout_s is None else time.monotonic() + case.timeout_s
        self.outcome = Outcome(case, SKIPPED, "not run yet", (), (), (), folder)

    def run(self) -> Outcome:
        """All repeats that the settings ask for; ends after the first that fails.

        Raises KeyboardInterrupt, with `outcome` saying so.
        """
        try:
            self._prepare()
            for _ in range(max(1, self._settings.repeats)):
                self.again()
                if self.outcome.state == FAILED:
                    break
        except (TokenclockError, OSError) as error:
            state = SKIPPED if isinstance(error, NotRunHere) else FAILED
            self.outcome = Outcome(self._case, state, " ".join(str(error).split()), (), (), (), self._folder)
        except KeyboardInterrupt:
            self._interrupted()
            raise
        return self.outcome

    def _interrupted(self) -> None:
        """`outcome` and the case's record, with a failed row for all that was under way or had not begun."""
        number = max(1, self._n_repeats)
        with contextlib.suppress(TokenclockError, OSError):
            results = self._folder if number == 1 else self._folder / f"repeat-{number}"
            commands = commands_of(self._case, self._settings, self._folder, results)
            done = {ran.cells for ran in self._ran if ran.repeat == number}
            self._ran += [
                dataclasses.replace(not_run(command, number, ""), problem=INTERRUPTED)
                for command in commands
                if command.cells and command.cells not in done
            ]
        self.outcome = dataclasses.replace(
            evaluate(self._case, self._folder, self._ran),
            state=FAILED,
            reason=INTERRUPTED,
            gpu_samples=tuple(self._monitor.last.values()),
        )
        with contextlib.suppress(OSError):
            write_case_file(self.outcome, self._ran)

    def again(self) -> Mapping[str, float]:
        """One more repeat: its values, empty where it failed. `outcome` covers it too."""
        self._n_repeats += 1
        number = self._n_repeats
        results = self._folder if number == 1 else self._folder / f"repeat-{number}"
        commands = commands_of(self._case, self._settings, self._folder, results)
        if number > 1:  # the data set and the engine are there
            commands = [command for command in commands if command.what not in _PREPARES]
        results.mkdir(parents=True, exist_ok=True)
        with self._monitor:
            self._run_all(commands, results)
        self.outcome = dataclasses.replace(
            evaluate(self._case, self._folder, self._ran), gpu_samples=tuple(self._monitor.last.values())
        )
        with contextlib.suppress(OSError):
            write_case_file(self.outcome, self._ran)
        values = self.outcome.repeats[number - 1] if len(self.outcome.repeats) >= number else {}
        if values:
            self._say(f"repeat {number}: " + ", ".join(f"{name} {value:.5g}" for name, value in values.items()))
        return values

    def _prepare(self) -> None:
        """Folder, adapters and options file."""
        self._folder.mkdir(parents=True, exist_ok=True)
        label = self._case.label
        if isinstance(label, ServerCase) or label.runtime == "disagg_server":
            return
        model = model_of(label, self._settings)
        links: list[str] = []
        if label.loras:
            from tokenclock.perftest.adapters import link_adapters

            links = link_adapters(self._settings.lora_dir, label.loras, self._folder)
        if label.runtime == "bench" and reads_options(label, self._settings, model):
            import yaml

            from tokenclock.atomic_file import atomic_write
            from tokenclock.perftest.model_config import model_config

            with atomic_write(self._folder / OPTIONS_FILE) as file:
                file.write(yaml.safe_dump(model_config(label, links), sort_keys=False).encode())

    def _run_all(self, commands: Sequence[Command], results: Path) -> None:
        if isinstance(self._case.label, ServerCase):
            from tokenclock.perftest.server_case import run_server_commands

            run_server_commands(self._case.label, self._settings, results, commands, self._run_one, self._is_over)
            return
        for command in commands:
            self._run_one(command)

    def _is_over(self) -> bool:
        return self._deadline_s is not None and time.monotonic() >= self._deadline_s

    def _run_one(self, command: Command, problem: str = "") -> Ran:
        """Run a command, unless one before it failed, or `problem` says why it cannot."""
        number = self._n_repeats
        failed = problem or next((ran.problem for ran in self._ran if ran.problem and _blocks(ran)), "")
        if failed:
            ran = not_run(command, number, failed)
        else:
            self._say(written_command(command))
            log = self._log_of(command)
            self._monitor.begin()
            started = datetime.now(timezone.utc)
            try:
                ran = run_command(command, number, log, self._deadline_s)
            except KeyboardInterrupt:
                ended = not_run(command, number, "")
                self._ran.append(dataclasses.replace(ended, started=started, log=log, problem=INTERRUPTED))
                raise
            finally:
                self._monitor.end()
            if ran.problem:
                self._say_problem(ran.problem, log)
        self._ran.append(ran)
        return ran

    def _say_problem(self, problem: str, log: Path) -> None:
        """With the log's place; where nothing is kept, with its last lines instead."""
        if self._settings.output_dir is not None:
            self._say(f"{problem}; log {log}")
            return
        self._say(f"{problem}; its log is not kept (give --output-dir to keep it), and ends:")
        with contextlib.suppress(OSError):
            for line in log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:]:
                self._say(f"  {line}")

    def _log_of(self, command: Command) -> Path:
        place = self._folder if command.result is None else command.result.parent
        stem = command.what if command.stdout is None else command.stdout.stem
        if command.result is not None:
            stem = command.result.name.removesuffix(".json").removesuffix(".tokenclock")
        return place / f"{stem}.log"


def _blocks(ran: Ran) -> bool:
    """Nothing runs after a data set or a build that failed, or past the time; benchmarks are alone."""
    return ran.what in _PREPARES or "TIMEOUT" in ran.problem
