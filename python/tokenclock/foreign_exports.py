"""A run of genai-perf itself as one that can be merged: its requests by its raw profile."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tokenclock.errors import UsageError
from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.genai_perf_face import genai_perf_face
from tokenclock.metrics.summary import summarise
from tokenclock.plan import EndpointPlan, LoadPlan, ServingPlan
from tokenclock.plan_facts import facts_of
from tokenclock.profile_files import SUFFIX
from tokenclock.quality import assess
from tokenclock.readers.perf_analyzer_profile import RawProfile, read_raw_profile
from tokenclock.records import Records
from tokenclock.result import Result, build_result
from tokenclock.result_sections import certainty_sections
from tokenclock.whole_file import read_json

__all__ = ["MARK", "read_foreign_export"]

MARK = "genai-perf"
"""What the plan of such a run says of its origin, under `asked.tool`."""

_MOST_BYTES = 64 << 20


def read_foreign_export(path: Path, count_tokens: Callable[[str], int] | None) -> tuple[Result, Records]:
    """The run whose statistics are in `path`; its requests are in the raw profile beside it.

    count_tokens: text -> tokens, for answers whose stream told no usage.
    What the files do not hold (environment, prompts, GPUs, the client's own cost) is absent in the result.

    Raises:
        UsageError: the raw profile is missing, or cannot be read.
    """
    raw_path = path.with_name(path.name.removesuffix(f"{SUFFIX}.json") + ".json")
    if not raw_path.is_file():
        raise UsageError(f"{raw_path} is missing: the requests of {path} are in it; copy the run's whole directory")
    raw = read_raw_profile(raw_path, count_tokens)
    if not raw.records.ok.any():
        raise UsageError(f"{raw_path} holds no answer with content; leave its run out")
    plan = _plan(raw)
    config = read_json(path, what="an export of genai-perf", most_bytes=_MOST_BYTES).get("input_config")
    facts = facts_of(plan, raw.records.n_requests, plan.load.request_rate, shared_prefix=False)
    return _result(raw, plan, facts, config), raw.records


def _plan(raw: RawProfile) -> ServingPlan:
    """What is known of the load; the rest are defaults, of which the result says nothing."""
    n = raw.records.n_requests
    slots = int(raw.value) if raw.mode == "concurrency" and raw.value is not None and raw.value >= 1 else None
    rate = raw.value if raw.mode == "request_rate" and raw.value is not None and raw.value > 0 else float("inf")
    return ServingPlan(
        endpoint=EndpointPlan(model=raw.models[0] if raw.models else "unknown", backend=raw.backend),
        load=LoadPlan(
            num_prompts=n,
            request_rate=rate,
            burstiness=float("inf") if rate != float("inf") else 1.0,
            max_concurrency=slots,
            streaming=raw.streaming,
        ),
        command="profile",
    )


def _result(raw: RawProfile, plan: ServingPlan, facts: RunFacts, config: Any) -> Result:
    records = raw.records
    summary = summarise(records, facts)
    began_ns = int(records.client["epoch_realtime_ns"])
    asked: dict[str, Any] = {
        "tool": MARK,
        "model": list(raw.models),
        "endpoint_type": raw.endpoint_type,
        "streaming": raw.streaming,
        "input_config": config,
    }
    if raw.mode:
        asked[raw.mode] = raw.value
    return build_result(
        summary,
        assess(records, facts, summary),
        facts,
        plan={**plan.to_dict(), "dataset": {"name": MARK}, "asked": asked},
        environment={},
        workload={"sha256": None, "notes": []},
        client=records.client,
        created=datetime.fromtimestamp(began_ns / 1e9, timezone.utc),
        faces={"profile": genai_perf_face(records, facts, summary)},
        **certainty_sections(records, facts, summary),
    )
