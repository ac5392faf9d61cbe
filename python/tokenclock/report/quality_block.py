"""The block under the table that says how far the numbers can be trusted."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from tokenclock.quality import INVALID, OK, Check, Quality
from tokenclock.records import STATUS_NAMES
from tokenclock.report.format import (
    NOT_MEASURED,
    fixed,
    fixed_ms,
    fixed_us,
    heading,
    own_row,
    percent,
    rule,
    spread,
    wrapped,
)
from tokenclock.report.goodput_rows import goodput_rows
from tokenclock.result import Result

__all__ = ["render"]

_EXAMPLE_CHARS = 130
_UNENDED = ("cancelled", "not_sent")  # of a run that was interrupted
_DOUBTED_SHARE = 1.5  # so far past the ceiling it is the ceiling that is wrong
_SHOWN_IN_MS_NS = 100_000_000


def render(result: Result, *, percentile_rule: str | None = None) -> str:
    """The block as text, ending in a newline: figures first, verdict with reasons and remedies last.

    percentile_rule: of what is shown above the block; None: the ``serving`` table.
    """
    lines = [
        heading(" Measurement quality ", "="),
        *_stamp_rows(result.quality),
        *_client_rows(result),
        *_length_rows(result),
        *_failure_rows(result),
        *_sample_rows(result, percentile_rule),
        *_latency_rows(result),
        *_verdict_rows(result.quality),
        rule(),
    ]
    return "\n".join(lines) + "\n"


def _lag_row(label: str, details: Mapping[str, Any]) -> str:
    """p50, p99 and maximum of a lag: in us, or in ms where us would not fit the table."""
    values = [details[key] for key in ("p50_ns", "p99_ns", "max_ns")]
    if values[-1] is not None and values[-1] >= _SHOWN_IN_MS_NS:
        return own_row(f"{label} p50/p99/max (ms):", spread(fixed_ms(value, 1) for value in values))
    return own_row(f"{label} p50/p99/max (us):", spread(fixed_us(value) for value in values))


def _stamp_rows(quality: Quality) -> Iterator[str]:
    stamps = quality.check("stamps")
    if stamps is None:
        yield own_row("Token stamps:", NOT_MEASURED)
        return
    if stamps.value is None:
        yield own_row("Token stamps:", "not known")
    elif stamps.value:
        yield own_row("Token stamps by the kernel:", percent(stamps.value))
    else:
        yield own_row("Token stamps:", "user space")
    if stamps.details.get("transport") == "in process":
        return
    yield _lag_row("Read lag", _details(quality, "read_lag"))
    yield own_row("Events sharing a stamp:", percent(_value(quality, "coalesced")))
    if _value(quality, "clock"):
        yield own_row("Steps of the wall clock:", fixed(_value(quality, "clock"), 0))


def _client_rows(result: Result) -> Iterator[str]:
    quality = result.quality
    rate, cpu = _details(quality, "rate"), _details(quality, "cpu")
    for tag, label in (("send_lag", "Send lag"), ("slot_idle", "Slot idle")):
        if quality.check(tag) is not None:
            yield _lag_row(label, _details(quality, tag))
    yield own_row("Client CPU, of one core:", percent(_value(quality, "cpu")))
    yield own_row("Client CPU per token event (us):", fixed_us(cpu["ns_per_event"], 1))
    shares = spread(percent(cpu.get(key)) for key in ("loop_busy_share", "process_share_of_core"))
    if shares != NOT_MEASURED:
        yield own_row("Client loop busy / process CPU:", shares)
    host = spread(percent(value) for value in (cpu.get("system_share"), _value(quality, "steal")))
    if host != NOT_MEASURED:
        yield own_row("Machine busy / stolen from it:", host)
    if cpu.get("n_involuntary_switches") is not None:
        share, counted = _value(quality, "starved"), _details(quality, "starved").get("core_wait_share") is not None
        bound = "" if counted or share is None else ">= "
        yield own_row("Forced switches / starved:", f"{cpu['n_involuntary_switches']} / {bound}{percent(share)}")
    calibration = result.client.get("calibration")
    if calibration is not None:
        bound = "" if calibration.get("ceiling_was_met", True) else ">= "
        ceiling = (
            f"{percent(calibration['share_of_ceiling'])} of {bound}{calibration['ceiling_events_per_s']:.0f} events/s"
        )
        yield own_row("Of this machine's ceiling:", ceiling)
        if calibration["share_of_ceiling"] > _DOUBTED_SHARE:
            yield from wrapped(
                "above the ceiling kept: run tokenclock calibrate again when the machine is quiet", "  ", "  "
            )
    if rate["asked"] is not None:
        yield own_row("Rate asked/drawn/sent (req/s):", spread(fixed(rate[k]) for k in ("asked", "scheduled", "sent")))
    under_way = _details(quality, "concurrency")
    if under_way:
        mean = under_way["reached"] if under_way["mean"] is None else under_way["mean"]
        yield own_row("Requests under way asked/mean:", spread([str(under_way["asked"]), fixed(mean)]))
    silence = _details(quality, "silence")
    if silence:
        yield own_row("Longest silence of the server (ms):", fixed_ms(silence["longest_ns"], 1))
    if quality.check("steady") is not None:
        yield own_row("Steadiness:", _steadiness(quality))


def _steadiness(quality: Quality) -> str:
    drift = quality.check("drift")
    if _value(quality, "steady"):
        return "no steady part"
    if drift is None or drift.value is None:
        return "too short to test"
    details = drift.details
    return f"{details['kind']} of {details['metric']} {details['change']:+.0%}" if drift.value else "no drift seen"


def _length_rows(result: Result) -> Iterator[str]:
    quality = result.quality
    for tag, label in (("isl", "Input tokens as asked:"), ("osl", "Output tokens as asked:")):
        details = _details(quality, tag)
        if not details:  # no output is asked of embeddings and rankings
            continue
        if tag == "isl" and details["n"] and details["min_deviation"] > 0:
            yield _more_than_asked(result, details)
            continue
        share = percent(details["share_exact"])
        yield own_row(label, f"{share} ({details['source']})" if details["n"] else NOT_MEASURED)
        if details["n"] and (details["min_deviation"] or details["max_deviation"]):
            yield own_row("  off by min/max:", f"{details['min_deviation']:+d} / {details['max_deviation']:+d}")
    cached = quality.check("cached")
    yield own_row("Cached prompt tokens:", percent(cached.value) if cached else NOT_MEASURED)


def _more_than_asked(result: Result, details: Mapping[str, Any]) -> str:
    """No prompt has as few tokens as asked, as where a chat template adds some: by how many, not a share of 0 %."""
    least, most = details["min_deviation"], details["max_deviation"]
    more = f"+{least} each" if least == most else f"+{least} to +{most}"
    is_chat = result.plan.get("endpoint", {}).get("backend") == "openai-chat"
    prompts_are_exact = result.workload.get("prompt_tokens", {}).get("exact_share") == 1
    why = "chat template, " if is_chat and prompts_are_exact else ""
    return own_row("Input tokens beyond those asked:", f"{more} ({why}{details['source']})")


def _failure_rows(result: Result) -> Iterator[str]:
    requests = result.requests
    cut = [kind for kind in _UNENDED if result.incomplete and kind in requests["by_status"]]
    n_cut = sum(requests["by_status"][kind] for kind in cut)
    yield own_row("Failed requests:", f"{requests['failed'] - n_cut} of {requests['scheduled'] - n_cut}")
    if cut:  # which are no failures
        yield own_row("Not ended for the interruption:", n_cut)
    for kind in (*(name for name in STATUS_NAMES[1:] if name not in cut), *cut):
        if kind in requests["by_status"]:
            yield own_row(f"  {kind}:", requests["by_status"][kind])
            example = requests["failure_examples"].get(kind)
            if example:
                yield from wrapped(textwrap.shorten(example, _EXAMPLE_CHARS, placeholder=" ..."), "    ", "    ")


def _sample_rows(result: Result, percentile_rule: str | None) -> Iterator[str]:
    face = result.faces["serving"]
    shown = [tag for tag in face["metrics"] if result.latencies[tag]["n"]]
    names, counts = "/".join(tag.upper() for tag in shown), (str(result.latencies[tag]["n"]) for tag in shown)
    yield own_row(f"Samples {names}:" if shown else "Samples:", spread(counts))
    for percentile in sorted({mark.percentile for mark in result.quality.marks}):
        marks = [mark for mark in result.quality.marks if mark.percentile == percentile]
        named = "/".join(mark.metric.upper() for mark in marks)
        yield own_row(f"  too few for P{percentile:g} {named}:", f"needs {marks[0].needed}")
    yield own_row("Percentile rule above:", percentile_rule or face["percentile_rule"])


def _latency_rows(result: Result) -> Iterator[str]:
    """What the classic table has no row for: latency from the schedule, and per token of multi-token events.

    From sending is what the server did; from the schedule is what a user saw who did not wait for anybody's answer.
    """
    rows = [("itl_per_token", "ITL per token p50/p99 (ms):")]
    if result.requests["loop"] != "closed":
        rows = [
            ("ttft", "TTFT from sending p50/p99 (ms):"),
            ("response_ttft", "TTFT from schedule p50/p99 (ms):"),
            ("e2el", "E2EL from sending p50/p99 (ms):"),
            ("response_e2el", "E2EL from schedule p50/p99 (ms):"),
            *rows,
        ]
    for tag, label in rows:
        found = result.latencies.get(tag)
        if found is not None and (result.requests["streaming"] or "ttft" not in tag):
            ranks = found["percentiles"]["rank"]
            yield own_row(label, spread(fixed_ms(ranks[p]) for p in ("50", "99")))
    events = result.quality.check("event_tokens")
    if events is not None and (events.status != OK or "itl_per_token" in result.latencies):
        yield own_row("Tokens per event:", fixed(_details(result.quality, "event_tokens")["tokens_per_event"]))
    if result.goodput is not None:
        yield from goodput_rows(result.goodput, result.requests["scheduled"])


def _verdict_rows(quality: Quality) -> Iterator[str]:
    yield heading(f" Verdict: {quality.verdict} ")
    for check in quality.findings:
        mark = "x" if check.status == INVALID else "!"
        yield from wrapped(check.reason, f"{mark} ", "  ")
        yield from wrapped(check.remedy, "  -> ", "     ")


def _details(quality: Quality, tag: str) -> Mapping[str, Any]:
    check = quality.check(tag)
    return {} if check is None else check.details


def _value(quality: Quality, tag: str) -> float | None:
    check: Check | None = quality.check(tag)
    return None if check is None else check.value
