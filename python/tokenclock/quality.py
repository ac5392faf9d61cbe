"""Can this measurement be trusted? The one table of limits, and the judging of each figure by it; the worst decides."""

from __future__ import annotations

from dataclasses import dataclass

from tokenclock import units
from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.summary import RunSummary
from tokenclock.quality_checks.client import client_figures
from tokenclock.quality_checks.failures import failure_figures
from tokenclock.quality_checks.figure import Figure
from tokenclock.quality_checks.lengths import length_figures
from tokenclock.quality_checks.ranks import rank_figures
from tokenclock.quality_checks.samples import sample_figures, sample_marks
from tokenclock.quality_checks.stamps import stamp_figures, streamed_figure
from tokenclock.quality_checks.steadiness import steadiness_figures
from tokenclock.records import Records
from tokenclock.verdict import INVALID, OK, WARN, Check, Quality, SampleMark

__all__ = [
    "BENCHMARK_THRESHOLDS",
    "INVALID",
    "OK",
    "THRESHOLDS",
    "WARN",
    "Check",
    "Quality",
    "SampleMark",
    "Threshold",
    "assess",
]


@dataclass(frozen=True)
class Threshold:
    """A check warns beyond ``warn`` and invalidates beyond ``invalid`` (None: never). Beyond means above, or below
    where ``worse`` says so. ``says`` is the reason, with ``{value}`` and ``{limit}`` as ``shown`` prints them."""

    warn: float | None
    invalid: float | None
    says: str
    remedy: str
    worse: str = "above"
    shown: str = "{:.1%}"


# The one table of limits. Shares are 0..1, instants are ns.
THRESHOLDS: dict[str, Threshold] = {
    "complete": Threshold(
        0, None, "the run was interrupted: {value} requests did not end", "let it run to its end", shown="{:.0f}"
    ),
    "stamps": Threshold(
        0.99,
        None,
        "only {value} of token events have a kernel stamp (below {limit}): the rest carry this program's own delay",
        "run where the kernel stamps packets: not over a Unix socket, not in a sandbox that filters it",
        worse="below",
    ),
    "read_lag": Threshold(
        50e6,
        1e9,
        "reading lags arrival by {value} at p99 (above {limit}): the server may feel it",
        "stop other work on this machine or use fewer streams",
        shown="{:ms}",
    ),
    "send_lag": Threshold(
        5e6,
        100e6,
        "requests left {value} late at p99 (above {limit})",
        "stop other work on this machine, or lower the rate",
        shown="{:ms}",
    ),
    "slot_idle": Threshold(
        5e6,
        100e6,
        "slots stood empty for {value} between requests at p99 (above {limit})",
        "stop other work on this machine, or raise --workers",
        shown="{:ms}",
    ),
    "cpu": Threshold(
        0.80,
        0.97,
        "the busiest client thread used {value} of a core (above {limit}): the client may be the limit",
        "use a machine with faster or idle cores, or fewer streams",
    ),
    "starved": Threshold(
        0.10,
        0.30,
        "for {value} of the time the client had work but no core (above {limit}): it sends and reads late",
        "stop other work on this machine, or give the client a core of its own (taskset; --workers with more cores)",
    ),
    "steal": Threshold(
        0.02,
        0.20,
        "the hypervisor gave {value} of this machine's time to others (above {limit})",
        "measure from a machine that is not shared",
    ),
    "rate": Threshold(
        0.01,
        0.05,
        "the rate sent misses the schedule by {value} (above {limit})",
        "raise or drop --max-concurrency, or lower --request-rate",
    ),
    "concurrency": Threshold(
        0.05,
        0.20,
        "the requests under way were {value} below --max-concurrency (above {limit})",
        "raise --num-prompts to five times --max-concurrency or more; where slots stood empty, see slot idle",
    ),
    "isl": Threshold(
        0.02,
        None,
        "prompt tokens differ from those asked by {value} in total (above {limit})",
        "name the server's --tokenizer, or send token ids to completions; chat templates add tokens",
    ),
    "osl": Threshold(
        0.02,
        None,
        "output tokens differ from those asked by {value} in total (above {limit})",
        "add --ignore-eos, and leave room in the server's context length",
    ),
    "osl_source": Threshold(
        0,
        None,
        "{value} of answers came without usage and their tokens were not counted by the server",
        "enable usage in streams on the server, or name --tokenizer",
    ),
    "failures": Threshold(
        0, None, "{value} of requests failed (above {limit})", "see the failures by kind above and the server's log"
    ),
    "cached": Threshold(
        0.01,
        0.05,
        "{value} of prompt tokens came from the server's cache (above {limit}) though no prefix was asked",
        "restart the server or change --seed",
    ),
    "coalesced": Threshold(
        0.05,
        None,
        "{value} of token events came with others in one read (above {limit}) and carry the stamp of the last of them",
        "judge by TPOT, not ITL: the server sends several events at once, or the client is behind (see CPU)",
    ),
    "first_token_shared": Threshold(
        0.01,
        None,
        "{value} of first tokens came in one read with others (above {limit}): their gaps are not seen; TTFT is right "
        "where the server sent them together",
        "judge by TPOT, not ITL; where the client is behind (see CPU), take TTFT as an upper bound",
    ),
    "streamed": Threshold(
        0,
        None,
        "{value} of answers came whole though a stream was asked for: they have no TTFT and no ITL",
        "let the server stream, or say --non-streaming",
    ),
    "ranks": Threshold(
        0,
        0,
        "{value} of the ranks were lost: what they had yet to send is missing",
        "see mpirun's own message, or the log of that host, and run again",
        shown="{:.0f}",
    ),
    "rank_clocks": Threshold(
        1e6,
        None,
        "the clocks of the ranks are known to {value} only (above {limit}), and so are instants across ranks",
        "use hosts with a shorter way between them",
        shown="{:us}",
    ),
    "clock": Threshold(
        0,
        None,
        "the wall clock was stepped {value} times; events near a step carry this program's own stamps",
        "stop time synchronisation while measuring",
        shown="{:.0f}",
    ),
    "anchor": Threshold(
        20e3,
        None,
        "kernel stamps are known to {value} only (above {limit})",
        "stop other work on this machine",
        shown="{:us}",
    ),
    "event_tokens": Threshold(
        0.01,
        None,
        "in {value} of answers (above {limit}) the server counts more tokens than it sent events, and does not say "
        "which events hold several: ITL is the gap between events there, not between tokens",
        "judge by TPOT, or let the server report usage in every event",
    ),
    "unrecognised": Threshold(
        0,
        None,
        "{value} events of the stream were not understood and are in no number",
        "see whether --backend fits the endpoint",
        shown="{:.0f}",
    ),
    "steady": Threshold(
        0,
        None,
        "no steady part: {why}",
        "read the numbers as those of filling and draining, not of the load asked for",
        shown="{:.0f}",
    ),
    "drift": Threshold(
        0.10,
        None,
        "{metric} did not stay what it was: a {kind} of {change:+.0%} (above {limit}), beyond chance",
        "let it run until it settles; where the server falls behind, lower the rate",
        shown="{:.0%}",
    ),
    "silence": Threshold(
        4.0,
        None,
        "nothing came for {longest_ns:ms} while requests were under way: {value} the median TTFT (above {limit})",
        "see what the server did then: a stall, or a first request without warm-up (--num-warmups)",
        shown="{:.0f} times",
    ),
    "samples": Threshold(
        0,
        0,
        "{value} of the percentiles you named have too few samples: {worst} has {n} and needs {needed}",
        "raise --num-prompts or name lower percentiles",
        shown="{:.0f}",
    ),
}

# Of offline runs; `quality_benchmark` judges by them. The value judged is that of the worst case.
BENCHMARK_THRESHOLDS: dict[str, Threshold] = {
    "complete": Threshold(
        0, None, "the run was interrupted: {value} cases did not end", "let it run to its end", shown="{:.0f}"
    ),
    "cases_failed": Threshold(0, None, "{value} of the cases failed", "see the reason in each case's row"),
    "overhead": Threshold(
        0.01,
        0.10,
        "calling the runtime costs {value} of the shortest latency (above {limit})",
        "measure larger cases: below, the figure is this program's and Python's more than the model's",
    ),
    "stamp_overhead": Threshold(
        0.01,
        0.10,
        "stamping steps costs {value} of the shortest latency (above {limit})",
        "use --no-streaming: there are no TTFT, TPOT, ITL then, and less is added to the latency",
    ),
    "drift": Threshold(
        0.05,
        None,
        "latency still changes by {value} over the timed iterations (above {limit}, and no chance)",
        "raise --warm_up or --duration, and see that clocks and temperature are steady",
    ),
    "first_iteration": Threshold(
        0.20,
        None,
        "the first timed iteration differs by {value} from the rest (above {limit})",
        "raise --warm_up",
    ),
    "lengths": Threshold(
        0,
        None,
        "in {value} of the iterations rows generated other lengths than asked",
        "let the model ignore its end token, or build it for longer sequences; tokens_per_sec counts what came",
    ),
    "together": Threshold(
        0,
        None,
        "in {value} of the iterations the rows of the batch did not run together",
        "raise the engine's max_batch_size and max_num_tokens: the latency is not that of one batch",
    ),
    "cut_short": Threshold(
        0,
        None,
        "{value} cases ended by --max-duration before --num_runs were done",
        "raise --max-duration",
        shown="{:.0f}",
    ),
    "samples": Threshold(
        0,
        0,
        "{value} of the percentiles you named have too few samples",
        "raise --num_runs or --duration, or name lower percentiles",
        shown="{:.0f}",
    ),
}  # fmt: skip


class _Shown:
    """A value that formats itself: ``{:ms}`` and ``{:us}`` from ns, everything else as Python does."""

    def __init__(self, value: float | str) -> None:
        self.value = value

    def __format__(self, spec: str) -> str:
        if isinstance(self.value, str):
            return self.value
        if spec == "ms":
            return f"{units.ns_to_ms(self.value):.1f} ms"
        if spec == "us":
            return f"{units.ns_to_us(self.value):.0f} us"
        return format(self.value, spec)


def assess(records: Records, facts: RunFacts, summary: RunSummary, *, incomplete: bool = False) -> Quality:
    """Run every check that applies to the run.

    Args:
        records: the raw columns and the client's counters.
        facts: what was asked.
        summary: of the same records.
        incomplete: the run was interrupted; requests it cancelled or never sent are then no failures.
    """
    marks = sample_marks(summary, facts)
    figures = [
        *rank_figures(records),  # first: a rank that was lost makes much of the rest look bad
        *stamp_figures(records),
        *client_figures(records, facts),
        *length_figures(records, facts),
        *failure_figures(records, facts, summary, incomplete=incomplete),
        *streamed_figure(records, facts, summary),
        *steadiness_figures(records, facts),
        *sample_figures(marks, facts),
    ]
    return Quality(tuple(_judge(figure) for figure in figures), marks)


def _judge(figure: Figure) -> Check:
    """Hold a figure against its threshold."""
    limit, value, details = THRESHOLDS[figure.tag], figure.value, dict(figure.details)
    remedy = figure.remedy or limit.remedy
    invalid = limit.invalid if figure.invalid is None else figure.invalid
    if figure.verdict is not None:
        status, reason = figure.verdict
        bound = None if status == OK else invalid
        return Check(figure.tag, status, value, bound, details, reason, "" if status == OK else remedy)
    steps = ((INVALID, invalid), (WARN, limit.warn))
    for status, bound in steps:
        if value is None or bound is None or not (value < bound if limit.worse == "below" else value > bound):
            continue
        shown = [limit.shown.format(_Shown(number)) for number in (value, bound)]
        more = {name: _Shown(detail) for name, detail in details.items() if detail is not None}
        reason = limit.says.format(value=shown[0], limit=shown[1], **more)
        return Check(figure.tag, status, value, bound, details, reason, remedy)
    bounds = [bound for _, bound in steps if bound is not None]
    return Check(figure.tag, OK, value, bounds[-1] if bounds else None, details)
