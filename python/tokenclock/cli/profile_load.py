"""Which load the flags of `profile` ask for: what paces it, when it ends, how many requests it has."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenclock.errors import UsageError
from tokenclock.plan_checks import MOST_REQUESTS
from tokenclock.plan_windows import MOST_WINDOWS

if TYPE_CHECKING:
    from tokenclock.plan import WindowPlan

__all__ = ["Stimulus", "has_sessions", "request_count", "stimulus_of", "windows_of"]

_SHORTEST_REPLY_S = 0.002  # no faster server is planned for where a run ends by time
_MOST_OF_WINDOWS = 400_000


@dataclass(frozen=True)
class Stimulus:
    """What paces the requests: a concurrency, a rate, or neither (the file's own time stamps)."""

    name: str  # in the name of the run's directory
    concurrency: int | None = None
    rate: float | None = None


def has_sessions(args: argparse.Namespace) -> bool:
    """Whether synthetic conversations are asked for."""
    return args.session_concurrency is not None or bool(args.num_sessions)


def stimulus_of(args: argparse.Namespace) -> Stimulus:
    """The one that was given; default: a concurrency of 1."""
    given = {
        "--concurrency": args.concurrency is not None,
        "--request-rate": args.request_rate is not None,
        "--fixed-schedule": args.fixed_schedule,
        "--session-concurrency": args.session_concurrency is not None,
    }
    named = [flag for flag, is_given in given.items() if is_given]
    if len(named) > 1:
        raise UsageError(f"{named[0]} and {named[1]} exclude each other: give one")
    if args.num_sessions and args.concurrency is not None:
        raise UsageError(
            "--concurrency and --num-sessions exclude each other: say --session-concurrency N with sessions"
        )
    if args.fixed_schedule:
        if not (args.input_file or "").startswith("payload:"):
            raise UsageError("--fixed-schedule needs --input-file payload:FILE, whose rows have time stamps")
        return Stimulus("fixed_schedule")
    if args.request_rate is not None:
        if not 0 < args.request_rate < math.inf:
            raise UsageError(f"--request-rate must be requests per second > 0, got {args.request_rate:g}")
        return Stimulus(f"request_rate{float(args.request_rate)}", rate=float(args.request_rate))
    if has_sessions(args):
        number = _at_least_1("--session-concurrency", args.session_concurrency)
        return Stimulus(f"session_concurrency{number}", number)
    number = _at_least_1("--concurrency", args.concurrency)
    return Stimulus(f"concurrency{number}", number)


def _at_least_1(flag: str, value: int | None) -> int:
    number = 1 if value is None else value
    if number < 1:
        raise UsageError(f"{flag} must be a whole number >= 1, got {number}")
    return number


def windows_of(args: argparse.Namespace) -> WindowPlan | None:
    """The windows of time that end the run; None where it ends by a number."""
    from tokenclock.plan import WindowPlan

    if args.measurement_interval is None:
        return None
    if args.request_count is not None:
        raise UsageError("--request-count and --measurement-interval exclude each other: end by a number or by time")
    for flag, given in (
        ("--num-sessions", args.num_sessions),
        ("--session-concurrency", args.session_concurrency is not None),
        ("--input-file payload:", (args.input_file or "").startswith("payload:")),
    ):
        if given:
            raise UsageError(f"{flag} and --measurement-interval exclude each other: such a run ends by itself")
    return WindowPlan(args.measurement_interval / 1000, args.stability_percentage)


def request_count(args: argparse.Namespace, stimulus: Stimulus, windows: WindowPlan | None) -> int:
    """Requests of the run; where it ends by time or with its file, the most that can be sent until then."""
    if args.request_count is not None:
        if has_sessions(args):
            flag = "--num-sessions" if args.num_sessions else "--session-concurrency"
            raise UsageError(f"--request-count and {flag} exclude each other: sessions and their turns decide")
        return int(args.request_count)
    if (args.input_file or "").startswith("payload:"):
        return MOST_REQUESTS
    if has_sessions(args):
        return int(args.num_sessions)
    if windows is None:
        return max(10, 2 * (stimulus.concurrency or 1))
    longest_s = windows.interval_s * MOST_WINDOWS
    wanted = (
        stimulus.rate * longest_s + 1
        if stimulus.rate is not None
        else (stimulus.concurrency or 1) * longest_s / _SHORTEST_REPLY_S
    )
    return max(10, math.ceil(min(wanted, _MOST_OF_WINDOWS)))
