"""What happens around the measured load: caches cleared, profiler started and stopped, counters read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tokenclock.plan import ServingPlan
from tokenclock.serving.ask import ask
from tokenclock.serving.dcgm import Reading
from tokenclock.serving.scrape import Snapshot, fetch_perf_metrics, take_snapshot

__all__ = ["Around", "Findings"]

_COMMAND_S = 60.0  # longest wait for a command to the server
_STOP_PROFILE_S = 600.0  # writing a trace takes its time
_FIRST_PERF_METRICS_S = 2.0  # mostly empty then
_PERF_METRICS_S = 30.0  # a record for each request of the run
_PERF_METRICS_HELP = "start trtllm-serve with return_perf_metrics: true and perf_metrics_max_requests above 0"


@dataclass
class Findings:
    """What was found; the readings are None where the server has no such counters."""

    before: Snapshot = field(default_factory=Snapshot)
    after: Snapshot = field(default_factory=Snapshot)
    perf_metrics: list[dict[str, Any]] | None = None  # one record per request, as the server gave them
    dcgm: dict[str, list[Reading]] = field(default_factory=dict)  # URL -> what each look at an exporter read
    commands: dict[str, str | None] = field(default_factory=dict)  # path asked -> None, or what went wrong


class Around:
    """Call `before` just before the load, then `read_counters` and `after`; no answer of the server raises anything.

    asks: False where another rank does all this.
    """

    def __init__(self, plan: ServingPlan, say: Callable[[str], None], *, asks: bool = True) -> None:
        self._plan = plan
        self._asks = asks
        self._say = say
        self._profiling = False
        self.findings = Findings()

    def before(self) -> None:
        """Clear caches, empty the server's list of records, start the profiler, read the counters last."""
        server = self._plan.server
        if server.reset_cache is not None:
            self._command(f"/{server.reset_cache}", _COMMAND_S, "cached prompts may be answered faster")
        if server.time_breakdown:
            _, problem = fetch_perf_metrics(self._plan, timeout_s=_FIRST_PERF_METRICS_S)
            if problem is not None:
                self._note(f"--save-request-time-breakdown: /perf_metrics: {problem}; {_PERF_METRICS_HELP}")
                self.findings.commands["/perf_metrics"] = problem
        if server.profile:
            self._profiling = self._command("/start_profile", _COMMAND_S, "there will be no profile")
        if self._asks:
            self.findings.before = take_snapshot(self._plan)

    def read_counters(self) -> None:
        """Read the counters again; the first thing after the load, so that they count nothing else."""
        if not self._asks:
            return
        before = self.findings.before
        after = self.findings.after = take_snapshot(self._plan, before)
        for path, had, has in (
            ("/metrics", before.spec_decode, after.spec_decode),
            ("/energy_metrics", before.energy, after.energy),
        ):
            if had is not None and has is None:
                self._note(f"the server answered {path} before the load but not after it: its figures are left out")

    def after(self) -> None:
        """Stop the profiler and fetch the server's records."""
        server = self._plan.server
        self.stop_profile()
        if server.time_breakdown and "/perf_metrics" not in self.findings.commands:
            found, problem = fetch_perf_metrics(self._plan, timeout_s=_PERF_METRICS_S)
            if found is not None and not found:
                problem = "it is empty"
            if problem is not None:
                self._note(
                    f"--save-request-time-breakdown: no records in /perf_metrics ({problem}); {_PERF_METRICS_HELP}"
                )
            self.findings.perf_metrics = found or None
            self.findings.commands["/perf_metrics"] = problem

    def stop_profile(self) -> None:
        """Stop the profiler if it runs; for the ways out of a run that never reach `after`."""
        if self._profiling:
            self._profiling = False
            self._command("/stop_profile", _STOP_PROFILE_S, "the server may still be profiling")

    def _command(self, path: str, timeout_s: float, consequence: str) -> bool:
        answer = ask(self._plan, "POST", path, timeout_s=timeout_s)
        self.findings.commands[path] = answer.problem
        if not answer.ok:
            self._note(f"the server refused POST {path} ({answer.problem}): {consequence}")
        return answer.ok

    def _note(self, text: str) -> None:
        self._say(f"tokenclock serving: {text}")
