"""What metrics, quality and result need to know of a plan, as plain values."""

from __future__ import annotations

import dataclasses

from tokenclock.metrics.facts import RunFacts
from tokenclock.plan import ServingPlan
from tokenclock.plan_throughput import ThroughputPlan
from tokenclock.units import NS_PER_S

__all__ = ["bench_facts", "facts_of"]


def facts_of(plan: ServingPlan, n_requests: int, request_rate: float, *, shared_prefix: bool) -> RunFacts:
    """The facts of a run.

    Args:
        plan: of the run.
        n_requests: in the realised workload.
        request_rate: mean of the realised workload, requests per second; ``inf`` without pacing.
        shared_prefix: its prompts share a prefix by the user's wish.
    """
    output, load = plan.output, plan.load
    return RunFacts(
        backend=plan.endpoint.backend,
        model=plan.endpoint.model,
        tokenizer=plan.endpoint.tokenizer or plan.endpoint.model,
        num_prompts=n_requests,
        request_rate=request_rate,
        burstiness=load.burstiness,
        max_concurrency=load.max_concurrency,
        streaming=load.streaming,
        percentile_metrics=output.percentile_metrics,
        metric_percentiles=output.metric_percentiles,
        percentiles_named=output.percentiles_named,
        slos_ms=output.goodput_ms,
        metadata=output.metadata,
        max_failure_share=output.max_failure_share,
        shared_prefix=shared_prefix,
        label=output.label,
        connection=plan.endpoint.connection,
        ignore_eos=plan.generation.ignore_eos or bool(plan.generation.extra_body.get("ignore_eos")),
        slots_open_ns=round(load.ramp_up_s * NS_PER_S),
        ramp_up=None if load.ramp_up is None else dataclasses.astuple(load.ramp_up),
    )


def bench_facts(plan: ThroughputPlan, n_requests: int, tokenizer: str | None) -> RunFacts:
    """The facts of a run of `throughput` or `latency` on a runtime in this process.

    Args:
        plan: of the run.
        n_requests: rows of the data set.
        tokenizer: where it was found; None: there was none.
    """
    return RunFacts(
        backend="in process",
        model=plan.model,
        tokenizer=tokenizer,
        num_prompts=n_requests,
        max_concurrency=plan.concurrency,
        streaming=plan.streaming,
        percentile_metrics=("ttft", "tpot", "itl", "e2el") if plan.streaming else ("e2el",),
        metric_percentiles=(50.0, 90.0, 95.0, 99.0),
        max_failure_share=plan.output.max_failure_share,
    )
