from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.summary import summarise
from tokenclock.quality import INVALID, OK, THRESHOLDS, WARN, Quality, SampleMark, assess

MS = 1_000_000
S = 1000 * MS
WORKER = {"cpu_user_ns": S, "cpu_system_ns": 2 * S, "wall_ns": 10 * S}
CLIENT = {"stamp_source": "kernel", "workers": [WORKER], "n_clock_steps": 0, "anchor_uncertainty_ns": 200}


def good(i: int = 0, **change: Any) -> dict[str, Any]:
    """Request i of an open loop at 10 per second: 3 tokens, 10 ms apart, lengths as asked."""
    due = i * 100 * MS
    request = {
        "t_scheduled_ns": due,
        "sent": due + 20_000,
        "tokens": [due + 10 * MS, due + 20 * MS, due + 30 * MS],
        "read_lag": 5_000,
        "isl_requested": 100,
        "isl_server": 100,
        "osl_requested": 3,
        "cached_tokens": 0,
    }
    return {**request, **change}


OPEN = RunFacts(request_rate=10.0)


def judge(make_records: Any, requests: list[dict[str, Any]], facts: RunFacts = OPEN, **client: Any) -> Quality:
    n_events = sum(len(request.get("tokens", [])) for request in requests)
    counters = {"n_events": n_events, "n_events_kernel": n_events, **CLIENT, **client}
    records = make_records(requests, client=counters)
    return assess(records, facts, summarise(records, facts), incomplete=bool(client.get("interrupted")))


def run_of(n: int = 10, **change: Any) -> list[dict[str, Any]]:
    return [good(i, **change) for i in range(n)]


def test_a_clean_run_is_valid(make_records: Any) -> None:
    quality = judge(make_records, run_of())
    assert quality.verdict == "VALID"
    assert quality.findings == ()
    assert {check.tag for check in quality.checks} <= set(THRESHOLDS)


@pytest.mark.parametrize(
    ("tag", "change", "client", "status"),
    [
        ("stamps", {}, {"n_events_kernel": 20}, WARN),
        ("stamps", {}, {"n_events_kernel": 0, "stamp_source": "user"}, WARN),
        ("read_lag", {"read_lag": 51 * MS}, {}, WARN),
        ("read_lag", {"read_lag": 1100 * MS}, {}, INVALID),
        ("coalesced", {}, {"n_events_coalesced": 2}, WARN),
        ("anchor", {}, {"anchor_uncertainty_ns": 20_001}, WARN),
        ("clock", {}, {"n_clock_steps": 1}, WARN),
        ("unrecognised", {}, {"n_unrecognised": 2, "n_resolved": 1}, WARN),
        ("unrecognised", {}, {"n_unrecognised": 2, "n_resolved": 2}, OK),
        ("cpu", {}, {"workers": [WORKER, {**WORKER, "cpu_user_ns": 7 * S}]}, WARN),
        ("cpu", {}, {"workers": [{**WORKER, "cpu_user_ns": 8 * S}]}, INVALID),
        ("isl", {"isl_server": 103}, {}, WARN),
        ("isl", {"isl_server": 98}, {}, OK),
        ("osl", {"osl_requested": 4}, {}, WARN),
        ("starved", {}, {"workers": [{**WORKER, "busy_ns": 5 * S}]}, WARN),
        ("starved", {}, {"workers": [{**WORKER, "busy_ns": 9 * S}]}, INVALID),
        ("starved", {}, {"workers": [{**WORKER, "core_wait_share": 0.31}]}, INVALID),
        ("starved", {}, {"workers": [{**WORKER, "core_wait_share": 0.09}]}, OK),
        ("steal", {}, {"host": {"busy_share": 0.5, "steal_share": 0.03}}, WARN),
        ("steal", {}, {"host": {"busy_share": 0.5, "steal_share": 0.21}}, INVALID),
        ("steal", {}, {"host": {"busy_share": 1.0, "steal_share": 0.01}}, OK),
        ("osl_source", {"osl_source": 3}, {}, WARN),
        ("event_tokens", {"osl": 5, "osl_requested": 5}, {}, WARN),
        ("event_tokens", {"osl": 4, "osl_requested": 4}, {}, OK),  # the end token may have no event
        ("cached", {"cached_tokens": 2}, {}, WARN),
        ("cached", {"cached_tokens": 6}, {}, INVALID),
    ],
)
def test_each_check_beyond_its_threshold(
    make_records: Any, tag: str, change: dict[str, Any], client: dict[str, Any], status: str
) -> None:
    quality = judge(make_records, run_of(**change), **client)
    check = quality.check(tag)
    assert check is not None
    assert check.status == status
    assert [found.tag for found in quality.findings] == ([tag] if status != OK else [])
    assert bool(check.reason) == bool(check.remedy) == (status != OK)
    assert check.threshold is not None


@pytest.mark.parametrize(("late_ms", "status"), [(1, OK), (6, WARN), (101, INVALID)])
def test_late_sending_in_an_open_loop(make_records: Any, late_ms: int, status: str) -> None:
    requests = [good(i, t_scheduled_ns=i * 100 * MS - late_ms * MS + 20_000) for i in range(10)]
    check = judge(make_records, requests).check("send_lag")
    assert check is not None
    assert check.status == status
    assert check.value == late_ms * MS


def test_a_burst_is_late_by_nature(make_records: Any) -> None:
    check = judge(make_records, run_of(t_scheduled_ns=0), RunFacts()).check("send_lag")
    assert check is not None
    assert (check.status, check.value) == (OK, None)
    assert check.details["max_ns"] == 900 * MS + 20_000


def test_an_empty_slot_in_a_closed_loop(make_records: Any) -> None:
    # one slot: each request ends after 30 ms, the next is sent 70 ms later
    quality = judge(make_records, run_of(), RunFacts(max_concurrency=1))
    check = quality.check("slot_idle")
    assert check is not None
    assert check.value == pytest.approx(70 * MS + 20_000)
    assert check.status == WARN
    assert "stood empty for 70.0 ms" in check.reason
    assert quality.check("send_lag") is None


def test_a_schedule_that_was_not_kept(make_records: Any) -> None:
    requests = [good(i, sent=i * 110 * MS, t_scheduled_ns=i * 100 * MS, tokens=[2 * S]) for i in range(10)]
    check = judge(make_records, requests).check("rate")
    assert check is not None
    assert check.status == INVALID
    assert check.details["asked"] == 10
    assert check.details["sent"] == pytest.approx(10 / 1.1)


def test_cached_tokens_are_no_surprise_where_a_prefix_was_asked(make_records: Any) -> None:
    quality = judge(make_records, run_of(cached_tokens=90), RunFacts(request_rate=10.0, shared_prefix=True))
    assert quality.verdict == "VALID"
    found = quality.check("cached")
    assert found is not None
    assert found.value == 0.9


def test_failures_invalidate_past_the_allowed_share(make_records: Any) -> None:
    requests = [*run_of(9), {"status": "http_error", "sent": S, "error": "404"}]
    strict = judge(make_records, requests)
    assert strict.verdict == "INVALID"
    finding = strict.findings[0]
    assert (finding.tag, finding.value, finding.reason) == ("failures", 0.1, "10.0% of requests failed (above 0.0%)")
    assert "--endpoint" in finding.remedy
    lenient = judge(make_records, requests, RunFacts(request_rate=10.0, max_failure_share=0.1))
    assert lenient.verdict == "VALID with warnings"


def test_all_failed_is_invalid_whatever_is_allowed(make_records: Any) -> None:
    quality = judge(make_records, [{"status": "connect_error"}], RunFacts(max_failure_share=1.0))
    assert quality.verdict == "INVALID"
    assert quality.findings[0].reason == "no request succeeded: nothing was measured"
    assert "--base-url" in quality.findings[0].remedy
    assert quality.check("stamps") is None


def test_every_reason_names_its_limit_unless_that_is_none_at_all() -> None:
    for tag, limit in THRESHOLDS.items():
        assert "{limit}" in limit.says or limit.warn == 0, tag
        assert limit.remedy, tag


def test_an_empty_run_is_invalid(make_records: Any) -> None:
    assert judge(make_records, []).verdict == "INVALID"


def test_what_ctrl_c_cut_off_is_no_failure_but_is_said(make_records: Any) -> None:
    requests = [*run_of(8), {"status": "cancelled", "sent": 800 * MS}, {"status": "not_sent"}]
    quality = judge(make_records, requests, interrupted=True)
    assert [(found.tag, found.status, found.value) for found in quality.findings] == [("complete", WARN, 2)]


def test_too_few_samples_mark_and_invalidate_only_a_named_percentile(make_records: Any) -> None:
    facts = RunFacts(request_rate=10.0, percentile_metrics=("ttft", "itl"), metric_percentiles=(50.0, 90.0, 99.0))
    quality = judge(make_records, run_of(), facts)
    assert quality.marks == (SampleMark("ttft", 99.0, 10, 100), SampleMark("itl", 99.0, 20, 100))
    assert quality.verdict == "VALID"
    named = RunFacts(**{**vars(facts), "percentiles_named": True})
    assert judge(make_records, run_of(), named).findings[0].tag == "samples"
    assert judge(make_records, run_of(100), named).verdict == "VALID"


def test_the_worst_finding_comes_first_and_decides(make_records: Any) -> None:
    quality = judge(make_records, run_of(cached_tokens=50), n_clock_steps=1)
    assert [found.tag for found in quality.findings] == ["cached", "clock"]
    assert quality.verdict == "INVALID"


def test_quality_survives_json(make_records: Any) -> None:
    quality = judge(make_records, run_of(cached_tokens=50))
    data = json.loads(json.dumps(quality.to_dict(), allow_nan=False))
    assert data["verdict"] == "INVALID"
    assert Quality.from_dict(data) == quality


@pytest.mark.parametrize(
    ("statuses", "words"),
    [
        ([401, 503, 401], "OPENAI_API_KEY"),
        ([403], "OPENAI_API_KEY"),
        ([404], "--endpoint"),
        ([400], "lengths asked for"),
        ([429], "lower --max-concurrency or --request-rate"),
        ([503, 401, 503], "lower --max-concurrency or --request-rate"),
        ([301], "--base-url"),
        ([500], "server's log"),
        ([502], "server's log"),
        ([418], "hold --model"),
    ],
)
def test_the_remedy_of_an_http_error_fits_its_status(make_records: Any, statuses: list[int], words: str) -> None:
    failed = [{"status": "http_error", "sent": S, "http_status": status} for status in statuses]
    remedy = judge(make_records, [*run_of(9), *failed]).findings[0].remedy
    assert words in remedy
    assert ("OPENAI_API_KEY" in remedy) == (words in ("OPENAI_API_KEY", "hold --model"))


def test_first_tokens_that_share_a_read_do_not_make_ttft_wrong_by_themselves(make_records: Any) -> None:
    check = judge(make_records, run_of(), n_first_tokens_coalesced=10).check("first_token_shared")
    assert check is not None
    assert check.status == WARN
    assert check.reason == (
        "100.0% of first tokens came in one read with others (above 1.0%): their gaps are not seen; "
        "TTFT is right where the server sent them together"
    )


@pytest.mark.parametrize(("limit", "n_files"), [(None, 9 + 3 + 128), (4, 4 + 128)])
def test_the_remedy_of_too_many_open_files_names_the_limit(make_records: Any, limit: int | None, n_files: int) -> None:
    def remedy(*errors: str) -> str:
        failed = [{"status": "connect_error", "sent": S, "error": error} for error in errors]
        facts = RunFacts(request_rate=10.0, max_concurrency=limit)
        check = judge(make_records, [*run_of(9), *failed], facts).check("failures")
        assert check is not None
        return check.remedy

    full, refused = "connect: Too many open files", "connect: Connection refused"
    assert f"`ulimit -n {n_files}`" in remedy(full, full, refused)
    assert "ulimit" not in remedy(full, refused, refused)


def test_the_remedy_for_late_sending_fits_its_cause(make_records: Any) -> None:
    def remedy(facts: RunFacts, max_in_flight: int, **change: Any) -> str:
        late = [good(i, t_scheduled_ns=i * 100 * MS - 6 * MS, **change) for i in range(10)]
        check = judge(make_records, late, facts, max_in_flight=max_in_flight).check("send_lag")
        assert check is not None
        assert check.status == WARN
        return check.remedy

    limited = RunFacts(request_rate=10.0, max_concurrency=4)
    usual = "stop other work on this machine, or lower the rate"
    assert remedy(limited, 4) == (
        "raise --max-concurrency, at whose 4 requests in flight later ones had to wait, or lower the rate"
    )
    assert remedy(limited, 3) == usual
    assert remedy(OPEN, 4) == usual
    assert remedy(OPEN, 4, t_connect_ns=5) == (
        f"{usual}; 10 of 10 good requests opened a connection: the server closes them: let it keep them"
    )
    refused = {"sent": S, "t_connect_ns": 5, "status": "connect_error"}
    late = [good(i, t_scheduled_ns=i * 100 * MS - 6 * MS) for i in range(10)]
    check = judge(make_records, [*late, *[refused] * 20], OPEN).check("send_lag")
    assert check is not None
    assert check.remedy == usual  # connections that failed say nothing of the server keeping them
    assert "give --connection reuse" in remedy(replace(OPEN, connection="new"), 4, t_connect_ns=5)


def test_the_remedy_for_empty_slots_speaks_of_connections_only_where_they_were_not_kept(make_records: Any) -> None:
    for change, kept in (({}, True), ({"t_connect_ns": 5}, False)):
        check = judge(make_records, run_of(**change), RunFacts(max_concurrency=1)).check("slot_idle")
        assert check is not None
        assert check.remedy.startswith("stop other work on this machine, or raise --workers")
        assert ("the server closes them" not in check.remedy) == kept


def test_ranks_are_judged_where_there_are_several(make_records: Any) -> None:
    assert judge(make_records, run_of()).check("ranks") is None
    shared = {"n_ranks": 4, "ranks_lost": [], "rank_clock_uncertainty_ns": 30_000}
    quality = judge(make_records, run_of(), **shared)
    assert quality.verdict == "VALID"
    lost = judge(make_records, run_of(), **shared | {"ranks_lost": [2]})
    check = lost.check("ranks")
    assert check is not None
    assert (lost.verdict, check.value, check.threshold) == ("INVALID", 1, 0)
    assert check.reason == "rank 2 of 4 was lost: what was yet to be sent there is missing"
    assert "mpirun" in check.remedy
    several = judge(make_records, run_of(), **shared | {"ranks_lost": [2, 3]}).check("ranks")
    assert several is not None
    assert several.reason.startswith("ranks 2, 3 were lost")


def test_clocks_that_are_known_badly_are_said(make_records: Any) -> None:
    shared = {"n_ranks": 2, "ranks_lost": [], "rank_clock_uncertainty_ns": 3 * MS}
    check = judge(make_records, run_of(), **shared).check("rank_clocks")
    assert check is not None
    assert check.status == WARN
    assert "3000 us" in check.reason
    assert "1000 us" in check.reason
