"""The files of `profile`: what is sent, before the run; the requests one by one, the statistics and their CSV after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from tokenclock.metrics.request_series import boundaries_ns, request_series
from tokenclock.plan import ServingPlan
from tokenclock.records import Records
from tokenclock.report import genai_perf_csv, genai_perf_json, genai_perf_profile
from tokenclock.result import Result
from tokenclock.serving.endpoint import body_builder
from tokenclock.units import NS_PER_MS
from tokenclock.workload.realised import Workload

__all__ = ["SUFFIX", "Payloads", "profile_files", "raw_path", "write_inputs"]

SUFFIX = "_genai_perf"
"""What the names of the statistics have behind the name of the file of requests."""

Files = list[tuple[Path, Callable[[], None]]]


class Payloads:
    """The bodies of a run, each made when it is asked for."""

    def __init__(self, plan: ServingPlan, workload: Workload) -> None:
        self.plan, self.workload = plan, workload
        self._build = body_builder(plan)

    def __call__(self, row: int) -> str:
        """The JSON text of a row's body."""
        workload = self.workload
        lora = -1 if workload.lora_index is None else int(workload.lora_index[row])
        return self._build(workload.prompts[row], int(workload.osl_requested[row]), lora).decode()

    def unique(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The bodies that differ, in the order in which they are first sent, and what goes beside each; of
        conversations and of a file with time stamps every row. Of a later turn it is what the turn itself adds."""
        workload, seen = self.workload, set[bytes]()
        if workload.session is not None or (workload.dataset == "trace" and workload.t_due_ns.any()):
            yield from ((self(row), self._beside(row)) for row in range(len(workload)))
            return
        for row in range(min(getattr(self.plan.dataset, "n_entries", len(self.workload)), len(self.workload))):
            body = self(row)
            mark = sha256(body.encode()).digest()
            if mark not in seen:
                seen.add(mark)
                yield body, {}

    def _beside(self, row: int) -> dict[str, Any]:
        workload, found = self.workload, dict[str, Any]()
        if workload.t_due_ns.any():
            found["timestamp"] = [int(workload.t_due_ns[row]) / NS_PER_MS]
        if workload.session is not None:
            found["session_id"] = str(int(workload.session[row]))
            found["delay"] = [0 if workload.think_ns is None else int(workload.think_ns[row]) / NS_PER_MS]
        return found


def raw_path(path: Path) -> Path:
    """The file of requests beside the file of statistics: ``a_genai_perf.json`` -> ``a.json``."""
    return path.with_name(path.name.replace(SUFFIX, "", 1) if SUFFIX in path.name else f"raw-{path.name}")


def write_inputs(payloads: Payloads, path: Path, say: Callable[[str], None]) -> None:
    """Write ``inputs.json`` beside the result; a disk that refuses is said, and the run goes on."""
    file = path.with_name("inputs.json")
    try:
        genai_perf_profile.write_inputs(payloads.unique(), file)
    except OSError as error:
        say(f"tokenclock serving: cannot write {file}: {error.strerror or error}")


def profile_files(
    payloads: Payloads, result: Result, records: Records, path: Path, say: Callable[[str], None]
) -> Files:
    """What is to be written, and how: the statistics first, for they are the smallest and matter most."""
    plan, raw = payloads.plan, raw_path(path)

    def write_json() -> None:
        genai_perf_json.write(result, path)
        say(f"tokenclock serving: result in {path}")

    def write_raw() -> None:
        endpoint = plan.endpoint.path.lstrip("/")
        genai_perf_profile.write_profile(
            request_series(records), payloads, raw, experiment=_experiment(plan), endpoint=endpoint,
            window_ns=boundaries_ns(records), streaming=plan.load.streaming, form=plan.endpoint.backend,
            version=result.tool["version"],
        )  # fmt: skip

    table = path.with_suffix(".csv")
    files: Files = [(path, write_json), (table, lambda: genai_perf_csv.write(result, table))]
    return [*files, (raw, write_raw)] if plan.output.save_detailed else files


def _experiment(plan: ServingPlan) -> dict[str, Any]:
    load = plan.load
    if plan.is_open_loop:
        return {"mode": "request_rate", "value": load.request_rate}
    if load.max_concurrency is None:
        return {"mode": "fixed_schedule", "value": None}
    if plan.asked.get("session_concurrency") is not None:
        return {"mode": "session_concurrency", "value": load.max_concurrency}
    return {"mode": "concurrency", "value": load.max_concurrency}
