"""What a verdict advises names flags that the command has: every word of every reason and remedy, for each command."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from tokenclock.cli.profile_flags import build_parser as profile_parser
from tokenclock.cli.throughput_flags import build_parser as throughput_parser
from tokenclock.metrics import steady_state
from tokenclock.quality import THRESHOLDS
from tokenclock.quality_checks import client, failures, lengths
from tokenclock.quality_words import in_words_of_profile, in_words_of_throughput
from tokenclock.verdict import Check, Quality

SYNTHETIC: dict[str, Any] = {"asked": {}, "dataset": {"name": "synthetic"}, "load": {"windows": None}}
SESSIONS = {**SYNTHETIC, "dataset": {"name": "synthetic_sessions"}, "asked": {"session_concurrency": 8}}
WINDOWS = {**SYNTHETIC, "load": {"windows": {"interval_s": 5}}}
TRACE = {**SYNTHETIC, "dataset": {"name": "trace"}}
RAISE = "raise --num-prompts to five times --max-concurrency or more; where slots stood empty, see slot idle"

# Lines that are made where the cause is known, besides those of the tables.
MADE = [
    *(remedy for _, remedy in failures._HTTP_REMEDIES),
    *failures._FAILURE_REMEDIES.values(),
    lengths._ENDED_EARLY,
    "raise --max-concurrency, at whose 8 requests in flight later ones had to wait, or lower the rate",
    "stop other work on this machine, or raise --workers; "
    "9 of 9 good requests opened a connection: give --connection reuse",
    "stop other work on this machine, or lower the rate; "
    "9 of 9 good requests opened a connection: the server closes them",
    "raise --num-prompts to 640 or more",
]


def advice() -> Quality:
    """A verdict that advises all there is to advise."""
    tables = [line for threshold in THRESHOLDS.values() for line in (threshold.says, threshold.remedy)]
    checks = [Check("x", "warn", None, None, {}, line, line) for line in (*tables, *MADE)]
    return Quality(tuple(checks), ())


def flags_in(quality: Quality) -> set[str]:
    text = " ".join(f"{check.reason} {check.remedy}" for check in quality.checks)
    return set(re.findall(r"--[a-z][\w-]*", text))


@pytest.mark.parametrize("plan", [SYNTHETIC, SESSIONS, WINDOWS, TRACE])
def test_profile_is_told_flags_that_it_has(plan: Mapping[str, Any]) -> None:
    has = {word for action in profile_parser()._actions for word in action.option_strings}
    assert flags_in(in_words_of_profile(advice(), plan)) - has == set()


@pytest.mark.parametrize("command", ["throughput", "latency"])
@pytest.mark.parametrize("in_process", [True, False])
def test_throughput_and_latency_are_told_flags_that_they_have(command: str, in_process: bool) -> None:
    has = {word for action in throughput_parser(command)._actions for word in action.option_strings}
    told = in_words_of_throughput(advice(), command=command, in_process=in_process)
    assert flags_in(told) - has == set()
    assert not in_process or "server's" not in " ".join(check.remedy for check in told.checks if "seed" in check.remedy)


def one(line: str) -> Quality:
    return Quality((Check("concurrency", "warn", None, None, {}, line, line),), ())


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (
            SYNTHETIC,
            "raise --request-count to five times --concurrency or more; where slots stood empty, see slot idle",
        ),
        (
            SESSIONS,
            "raise --num-sessions to five times --session-concurrency or more; where slots stood empty, see slot idle",
        ),
        (
            WINDOWS,
            "raise --measurement-interval to five times the request latency or more; where slots stood empty, "
            "see slot idle",
        ),
        (
            TRACE,
            "give a longer --input-file, of five times as many rows as --concurrency or more; where slots stood empty, "
            "see slot idle",
        ),
    ],
)
def test_what_is_to_be_raised_is_what_makes_the_run_longer(plan: Mapping[str, Any], expected: str) -> None:
    assert in_words_of_profile(one(RAISE), plan).checks[0].remedy == expected


def test_a_number_of_requests_is_no_number_of_sessions_or_ms() -> None:
    line = "no steady part: 5 of 8 slots were ever filled: raise --num-prompts to 40 or more"
    found = {
        name: in_words_of_profile(one(line), plan).checks[0].reason.rpartition(": ")[2]
        for name, plan in {"one": SYNTHETIC, "sessions": SESSIONS, "windows": WINDOWS, "file": TRACE}.items()
    }
    assert found == {
        "one": "raise --request-count to 40 or more",
        "sessions": "raise --num-sessions",
        "windows": "raise --measurement-interval",
        "file": "give a longer --input-file",
    }


def test_the_lines_above_are_those_that_are_made() -> None:
    """So that a new one of these rooms is not forgotten here: their sources name no flag that no line above has."""
    import inspect

    named = {word for line in (*MADE, RAISE) for word in re.findall(r"--[a-z][\w-]*", line)} | {"--ramp-up-seconds"}
    for room in (client, failures, lengths, steady_state):
        assert set(re.findall(r"--[a-z][\w-]*", inspect.getsource(room))) <= named, room.__name__
