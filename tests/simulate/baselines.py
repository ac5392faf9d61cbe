"""Histories of a case as a server might make them, gated run by run as the plugin does it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

import numpy as np

from tokenclock.baselines.decide import ALPHA, REGRESSION, Decision
from tokenclock.baselines.held import hold
from tokenclock.baselines.history import LAST, Session
from tokenclock.baselines.thresholds import Threshold, shared_alpha

__all__ = ["NOISES", "Gate", "Noise", "alarms", "called_of_cases", "caught_at_once", "runs_until_caught"]

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
TTFT = Threshold("lower", 0.05, 0.5)
LEVEL_MS = 100.0


@dataclass
class Noise:
    """How runs differ.

    Args:
        sigma: of a session's log.
        within: of a repeat's log beside others of its session.
        kind: ``normal``, ``heavy`` (t with 3 degrees of freedom), ``skewed`` (exponential), ``outliers`` (one session
            in twenty is 20 % slower), ``two kinds`` (one in four is 4 sigma slower) ``wander`` (each half like the
            last) or ``hiccups`` (one repeat in twenty takes 20 % longer).
    """

    sigma: float
    within: float = 0.0
    kind: str = "normal"

    def sessions(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Deviations of n sessions, logs."""
        if self.kind == "heavy":
            return self.sigma * rng.standard_t(3, n) / math.sqrt(3)
        if self.kind == "skewed":
            return self.sigma * (rng.exponential(1, n) - 1)
        found = self.sigma * rng.standard_normal(n)
        if self.kind == "outliers":
            found += math.log(1.2) * (rng.random(n) < 0.05)
        if self.kind == "two kinds":
            found += 4 * self.sigma * (rng.random(n) < 0.25)
        if self.kind == "wander":
            for i in range(1, n):
                found[i] = 0.5 * found[i - 1] + math.sqrt(0.75) * found[i]
        return found


NOISES = {
    "0.5 %": Noise(0.005),
    "2 %": Noise(0.02),
    "5 %": Noise(0.05),
    "2 %, heavy tails": Noise(0.02, kind="heavy"),
    "2 %, skewed": Noise(0.02, kind="skewed"),
    "2 % and outliers of 20 %": Noise(0.02, kind="outliers"),
    "2 % and hiccups of 20 %": Noise(0.014, 0.014, "hiccups"),
    "two kinds of runs, 8 % apart": Noise(0.02, kind="two kinds"),
    "2 %, wandering": Noise(0.02, kind="wander"),
}


@dataclass
class _Pin:
    values: tuple[float, ...]
    run_ids: tuple[int, ...]
    accepted: datetime = START
    reason: str = "simulated"


@dataclass
class Gate:
    """One metric's history and its pin."""

    alpha: float = ALPHA
    max_repeats: int = 1
    pins: bool = True
    sessions: list[Session] = field(default_factory=list)
    pin: _Pin | None = None

    def accept(self, last: int = LAST) -> None:
        """As `baseline accept`."""
        part = self.sessions[-last:]
        self.pin = _Pin(tuple(one.value for one in part), tuple(run for one in part for run in one.run_ids))

    def run(self, measure: Callable[[], float]) -> Decision:
        """Measure once, and again as often as the decision asks; the run is then part of the history."""
        fresh = [measure()]
        while True:
            found = hold(
                "ttft.mean", fresh, self.sessions, self.pin, TTFT, alpha=self.alpha, max_repeats=self.max_repeats
            )
            if found.more_repeats == 0:
                break
            fresh += [measure() for _ in range(found.more_repeats)]
        if found.verdict == REGRESSION and self.pin is None and self.pins:
            self.accept()
        at = START + timedelta(hours=len(self.sessions))
        self.sessions.append(
            Session(float(np.median(fresh)), at, tuple(1000 * len(self.sessions) + i for i in range(len(fresh))))
        )
        return found


def _measure(rng: np.random.Generator, noise: Noise, deviation: float, factor: float) -> Callable[[], float]:
    def measure() -> float:
        hiccup = 1.2 if noise.kind == "hiccups" and rng.random() < 0.05 else 1.0
        return LEVEL_MS * factor * hiccup * math.exp(deviation + noise.within * float(rng.standard_normal()))

    return measure


def _gate(rng: np.random.Generator, noise: Noise, deviations: Sequence[float], **settings: float) -> Gate:
    """A gate with that history, which nothing was judged in."""
    gate = Gate(**settings)  # type: ignore[arg-type]
    for i, deviation in enumerate(deviations):
        value = _measure(rng, noise, deviation, 1.0)()
        gate.sessions.append(Session(value, START + timedelta(hours=i), (1000 * i,)))
    return gate


def alarms(noise: Noise, *, n: int = 1000, history: int = LAST, seed: int = 0, **settings: float) -> float:
    """Share of runs that are called a regression although nothing changed."""
    return caught_at_once(noise, 1.0, n=n, history=history, seed=seed, **settings)


def caught_at_once(
    noise: Noise, factor: float, *, n: int = 1000, history: int = LAST, seed: int = 0, **settings: float
) -> float:
    """Share of runs that are called a regression where from this run on everything takes ``factor`` as long."""
    called = 0
    for i in range(n):
        rng = np.random.default_rng([seed, i])
        deviations = noise.sessions(rng, history + 1)
        gate = _gate(rng, noise, deviations[:-1], **settings)
        called += gate.run(_measure(rng, noise, deviations[-1], factor)).verdict == REGRESSION
    return called / n


def called_of_cases(
    noise: Noise,
    factor: float = 1.0,
    *,
    metrics: int = 12,
    shared: float = 0.8,
    n: int = 300,
    history: int = LAST,
    seed: int = 0,
) -> float:
    """Share of cases with a metric that is called a regression.

    Args:
        factor: by which all metrics are slower.
        metrics: of a case; they share alpha.
        shared: part of the variance of a metric that the others have too.
    """
    called = 0
    alpha = shared_alpha([str(i) for i in range(metrics)], ALPHA)
    for i in range(n):
        rng = np.random.default_rng([seed, i])
        common = noise.sessions(rng, history + 1)
        for _ in range(metrics):
            own = noise.sessions(rng, history + 1)
            deviations = math.sqrt(shared) * common + math.sqrt(1 - shared) * own
            gate = _gate(rng, noise, deviations[:-1], alpha=alpha)
            if gate.run(_measure(rng, noise, deviations[-1], factor)).verdict == REGRESSION:
                called += 1
                break
    return called / n


def runs_until_caught(
    noise: Noise,
    factor: Callable[[int], float],
    *,
    n: int = 300,
    runs: int = 60,
    accepted: bool = False,
    then: int = 0,
    seed: int = 0,
    **settings: float,
) -> tuple[np.ndarray, float]:
    """How many runs after a change a regression is first called, and how steadily later ones are.

    Args:
        factor: of the i-th run since the change, the first being 1.
        runs: watched; what is not caught in them counts as infinite.
        accepted: the history before it was accepted as the baseline.
        then: runs after the first call that are watched.

    Returns:
        the counts, and of the ``then`` runs the share that is called too (nan without).
    """
    found, again = [], []
    for i in range(n):
        rng = np.random.default_rng([seed, i])
        deviations = noise.sessions(rng, LAST + runs + then)
        gate = _gate(rng, noise, deviations[:LAST], **settings)
        if accepted:
            gate.accept()
        first = math.inf
        for run in range(1, runs + then + 1):
            decision = gate.run(_measure(rng, noise, deviations[LAST + run - 1], factor(run)))
            called = decision.verdict == REGRESSION
            if called and math.isinf(first) and run <= runs:
                first = run
            elif first < run <= first + then:
                again.append(called)
            if run >= (runs if math.isinf(first) else first + then):
                break
        found.append(first)
    return np.array(found), float(np.mean(again)) if again else math.nan
