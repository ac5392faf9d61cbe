from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tokenclock.metrics.facts import RunFacts
from tokenclock.report import quality_block

MS = 1_000_000
US = 1_000
S = 1000 * MS
WORKER = {"cpu_user_ns": 20 * MS, "cpu_system_ns": 30 * MS, "wall_ns": S}
CLIENT = {
    "stamp_source": "kernel",
    "n_events": 300,
    "n_events_kernel": 300,
    "n_events_coalesced": 3,
    "anchor_uncertainty_ns": 100,
    "workers": [WORKER],
    "wall_ns": S,
}


def good(i: int, **change: Any) -> dict[str, Any]:
    due = i * 10 * MS
    request = {
        "t_scheduled_ns": due,
        "sent": due + 30 * US,
        "tokens": [due + 10 * MS, due + 20 * MS, due + 30 * MS],
        "read_lag": 12 * US,
        "isl_requested": 100,
        "isl_server": 100,
        "osl_requested": 3,
        "cached_tokens": 0,
    }
    return {**request, **change}


def test_a_clean_open_loop_run_word_for_word(make_result: Any) -> None:
    result = make_result([good(i) for i in range(100)], RunFacts(request_rate=100.0), client=CLIENT)
    assert quality_block.render(result) == (
        "============== Measurement quality ===============\n"
        "Token stamps by the kernel:              100.00 %\n"
        "Read lag p50/p99/max (us):            12 / 12 / 12\n"
        "Events sharing a stamp:                  1.00 %\n"
        "Send lag p50/p99/max (us):            30 / 30 / 30\n"
        "Client CPU, of one core:                 5.00 %\n"
        "Client CPU per token event (us):         166.7\n"
        "Rate asked/drawn/sent (req/s): 100.00 / 100.00 / 100.00\n"
        "Longest silence of the server (ms):      10.0\n"
        "Steadiness:                          no drift seen\n"
        "Input tokens as asked:     100.00 % (server usage)\n"
        "Output tokens as asked:    100.00 % (server usage)\n"
        "Cached prompt tokens:                    0.00 %\n"
        "Failed requests:                         0 of 100\n"
        "Samples TTFT/TPOT/ITL:             100 / 100 / 200\n"
        "Percentile rule above:                   linear\n"
        "TTFT from sending p50/p99 (ms):        9.97 / 9.97\n"
        "TTFT from schedule p50/p99 (ms):     10.00 / 10.00\n"
        "E2EL from sending p50/p99 (ms):      29.97 / 29.97\n"
        "E2EL from schedule p50/p99 (ms):     30.00 / 30.00\n"
        "----------------- Verdict: VALID -----------------\n"
        "==================================================\n"
    )


def test_a_bad_run_says_why_and_what_to_do(make_result: Any) -> None:
    requests = [
        *(good(i, cached_tokens=20, isl_server=100 + i) for i in range(9)),
        {"status": "http_error", "sent": 95 * MS, "t_done_ns": 96 * MS, "error": "404 " + "no such model " * 30},
    ]
    facts = RunFacts(max_concurrency=1, metric_percentiles=(90.0, 99.0), slos_ms={"ttft": 1})
    text = quality_block.render(make_result(requests, facts, client={**CLIENT, "n_clock_steps": 2}))
    assert "Slot idle p50/p99/max (us):" in text
    assert (
        "Input tokens as asked:      11.11 % (server usage)\n  off by min/max:                        +0 / +8\n" in text
    )
    assert "Steps of the wall clock:                 2\n" in text
    assert (
        "Failed requests:                         1 of 10\n  http_error:                            1\n    404 no such"
        in text
    )
    assert "  too few for P90 TTFT/TPOT:             needs 10\n" in text
    assert "  too few for P99 TTFT/TPOT/ITL:         needs 100\n" in text
    assert "Requests within every limit:             0.00 %\n" in text
    assert " Verdict: INVALID " in text
    verdict = text[text.index("Verdict") :]
    assert "x 10.0% of requests failed (above 0.0%)\n  -> hold --model, --endpoint and OPENAI_API_KEY\n" in verdict
    assert verdict.index("x ") < verdict.index("\n! ")
    assert max(len(line) for line in text.splitlines()) <= 51


@pytest.mark.parametrize(("most", "shown"), [(7, "+7 each"), (9, "+7 to +9")])
def test_what_a_chat_template_adds_is_no_share_of_nothing(make_result: Any, most: int, shown: str) -> None:
    requests = [good(i, isl_requested=100, isl_server=107) for i in range(9)]
    requests.append(good(9, isl_requested=100, isl_server=100 + most))
    result = make_result(requests, RunFacts(max_concurrency=1), client=CLIENT)
    text = " ".join(quality_block.render(result).split())
    assert f"Input tokens beyond those asked: {shown} (server usage)" in text
    assert "Input tokens as asked" not in text
    chat = replace(
        result, plan={"endpoint": {"backend": "openai-chat"}}, workload={"prompt_tokens": {"exact_share": 1.0}}
    )
    assert f"{shown} (chat template, server usage)" in " ".join(quality_block.render(chat).split())


def test_what_the_client_was_given_and_how_the_load_held(make_result: Any) -> None:
    worker = {**WORKER, "busy_ns": 100 * MS, "involuntary_switches": 7}
    host = {"busy_share": 0.5, "steal_share": 0.25}
    client = {**CLIENT, "workers": [worker], "process_cpu_ns": S // 4, "host": host}
    requests = [good(i, sent=i * 30 * MS, tokens=[i * 30 * MS + 10 * MS, (i + 1) * 30 * MS]) for i in range(50)]
    lines = quality_block.render(make_result(requests, RunFacts(max_concurrency=1), client=client)).splitlines()
    assert "Client loop busy / process CPU:  10.00 % / 25.00 %" in lines
    assert "Machine busy / stolen from it:   50.00 % / 25.00 %" in lines
    assert "Forced switches / starved:           7 / >= 5.00 %" in lines, "of being woken late nothing is known"
    counting = {**client, "workers": [{**worker, "core_wait_share": 0.0625}]}
    counted = quality_block.render(make_result(requests, RunFacts(max_concurrency=1), client=counting))
    assert "Forced switches / starved:               7 / 6.25 %\n" in counted
    assert not [line for line in lines if "from sending" in line]
    assert "x the hypervisor gave 25.0% of this machine's time" in lines


def test_latency_from_sending_stands_beside_latency_from_the_schedule(make_result: Any) -> None:
    late = [good(i, t_scheduled_ns=max(0, i * 10 - 40) * MS) for i in range(100)]
    lines = quality_block.render(make_result(late, RunFacts(request_rate=100.0), client=CLIENT)).splitlines()
    at = lines.index("TTFT from sending p50/p99 (ms):        9.97 / 9.97")
    assert lines[at + 1] == "TTFT from schedule p50/p99 (ms):     50.00 / 50.00"
    whole = [{"sent": i, "t_scheduled_ns": i, "last": 9 * MS + i, "osl": 4} for i in range(3)]
    text = quality_block.render(make_result(whole, RunFacts(request_rate=1.0, streaming=False), client=CLIENT))
    assert "TTFT from" not in text
    assert "E2EL from sending p50/p99 (ms):" in text


def test_user_stamps_are_named_and_have_no_read_lag(make_result: Any) -> None:
    client = {**CLIENT, "stamp_source": "user", "n_events_kernel": 0}
    text = quality_block.render(make_result([good(i) for i in range(3)], RunFacts(request_rate=100.0), client=client))
    assert "Token stamps:                            user space\n" in text
    assert "Read lag p50/p99/max (us):               n/a\n" in text
    assert " Verdict: VALID with warnings " in text


def test_lags_too_long_for_us_are_shown_in_ms(make_result: Any) -> None:
    requests = [good(i, read_lag=250 * MS) for i in range(3)]
    text = quality_block.render(make_result(requests, RunFacts(request_rate=100.0), client=CLIENT))
    assert "Read lag p50/p99/max (ms):   250.0 / 250.0 / 250.0\n" in text


def test_itl_per_token_stands_beside_itl_of_events(make_result: Any) -> None:
    requests = [good(i, n_tokens=[1, 2, 2], osl_requested=5) for i in range(3)]
    text = quality_block.render(make_result(requests, RunFacts(request_rate=100.0), client=CLIENT))
    assert "ITL per token p50/p99 (ms):            5.00 / 5.00\nTokens per event:                        1.67\n" in text


def test_nothing_measured_is_all_n_a(make_result: Any) -> None:
    result = make_result([{"status": "connect_error", "error": "refused"}] * 2, RunFacts(max_concurrency=2))
    text = quality_block.render(result)
    assert "Token stamps:                            n/a\n" in text
    assert (
        "Failed requests:                         2 of 2\n  connect_error:                         2\n    refused\n"
        in text
    )
    assert "x no request succeeded: nothing was measured\n" in text


def test_what_an_interruption_cut_off_is_no_failure(make_result: Any) -> None:
    requests = [
        *(good(i) for i in range(5)),
        {"status": "cancelled", "sent": 95 * MS},
        {"status": "http_error", "sent": 95 * MS, "t_done_ns": 96 * MS, "error": "500 no"},
        *({"status": "not_sent"} for _ in range(13)),
    ]
    text = quality_block.render(make_result(requests, RunFacts(max_concurrency=1), incomplete=True, client=CLIENT))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    at = lines.index("Failed requests: 1 of 6")
    assert lines[at + 1] == "Not ended for the interruption: 14"
    assert {"http_error: 1", "cancelled: 1", "not_sent: 13"} <= set(lines)
    whole = quality_block.render(make_result(requests, RunFacts(max_concurrency=1), client=CLIENT))
    assert "Failed requests: 15 of 20" in " ".join(whole.split())
