"""Servers of arithmetic: what a run against them would record, for checking intervals against a truth that is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock.records import Records, empty_columns

__all__ = ["correlated_stream", "server_in_step", "stalling_server"]

Array = npt.NDArray[Any]

MS = 1_000_000


def correlated_stream(rng: np.random.Generator, n: int, correlation: float) -> tuple[Array, Array]:
    """Latencies, log-normal around 100 ms, each correlated with the one before; and when each was taken, 10 ms apart.

    Returns:
        values: float64 (n,) in ns, whose quantile q is ``100 ms * exp(0.5 * normal quantile of q)``.
        t_ns: int64 (n,).
    """
    fresh = rng.standard_normal(n) * np.sqrt(1 - correlation**2)
    state, level = np.empty(n), float(rng.standard_normal())
    for i, step in enumerate(fresh.tolist()):
        level = correlation * level + step
        state[i] = level
    return 100 * MS * np.exp(0.5 * state), np.arange(n, dtype=np.int64) * 10 * MS


def stalling_server(
    rng: np.random.Generator,
    n_requests: int,
    slots: int,
    *,
    osl: int = 32,
    prompts: np.random.Generator | None = None,
    slowdown: float = 1.0,
) -> Records:
    """A closed loop on a server that steps all streams together every 20 ms and now and then stands still.

    Every stall (one in 3 s, exponential, 300 ms in the mean) hits all streams at once: their gap, their TPOT and E2EL,
    or their TTFT. A request waits 2 steps and, by chance, some more; it has half to one and a half of ``osl`` tokens.
    Two runs with generators of one seed for ``prompts`` are asked the same; ``slowdown`` stretches the steps.
    """
    per_slot = n_requests // slots
    lengths = (prompts or rng).integers(osl // 2, osl * 3 // 2 + 1, size=(slots, per_slot))
    waits = 2 + rng.poisson(1.0, size=(slots, per_slot))
    ends = np.cumsum(lengths + waits, axis=1) + rng.integers(0, osl, size=(slots, 1))
    starts = ends - lengths - waits
    steps_ns = slowdown * 20 * MS * (1 + 0.02 * rng.standard_normal(int(ends.max()) + 2))
    stalled = rng.random(len(steps_ns)) < 20 / 3000
    steps_ns += np.where(stalled, rng.exponential(300 * MS, len(steps_ns)), 0)
    t_step_ns = np.cumsum(steps_ns)
    order = np.argsort(starts, axis=None, kind="stable")
    first, n_tokens = (starts + waits).ravel()[order], lengths.ravel()[order]
    offsets = np.concatenate([[0], np.cumsum(n_tokens)]).astype(np.int64)
    step = np.repeat(first - offsets[:-1], n_tokens) + np.arange(offsets[-1])
    t_token = (t_step_ns[step] + rng.normal(0, 0.1 * MS, len(step))).astype(np.int64)
    columns = empty_columns(len(order))
    columns["status"][:] = 0
    columns["osl"][:] = n_tokens
    columns["isl_requested"][:] = 32
    columns["t_sent_ns"][:] = t_step_ns[starts.ravel()[order]].astype(np.int64)
    columns["t_first_token_ns"][:] = t_token[offsets[:-1]]
    columns["t_last_token_ns"][:] = columns["t_done_ns"][:] = t_token[offsets[1:] - 1]
    one = np.ones(len(t_token), np.int32)
    return Records(0, columns, offsets, t_token, one, t_token, client={"stamp_source": "user"})


def server_in_step(
    rng: np.random.Generator, n_waves: int, slots: int, *, osl: int = 32, n_waiting: int = 5, stalls: bool = True
) -> Records:
    """A closed loop of equal answers, whose slots keep step: all requests of a wave end together, all are sent again.

    Steps of 20 ms with a noise of 2 % and the stalls of `stalling_server`; a request waits ``n_waiting`` of them and
    then has a token a step. The next wave is sent as each slot is free: 0.2 ms after its own last token.
    """
    steps_ns = 20 * MS * (1 + 0.02 * rng.standard_normal(n_waves * (osl + n_waiting)))
    stalled = rng.random(len(steps_ns)) < (20 / 3000 if stalls else 0)
    t_step_ns = np.concatenate(
        [[0.0], np.cumsum(steps_ns + np.where(stalled, rng.exponential(300 * MS, len(steps_ns)), 0))]
    )
    first = np.repeat(np.arange(n_waves) * (osl + n_waiting), slots)
    n = len(first)
    late = rng.normal(0, 0.1 * MS, (n, osl))
    t_token = (t_step_ns[(first + n_waiting + 1)[:, None] + np.arange(osl)] + late).astype(np.int64)
    columns = empty_columns(n)
    columns["status"][:] = 0
    columns["osl"][:] = osl
    columns["isl_requested"][:] = 32
    free = np.concatenate([np.full(slots, t_step_ns[0]), t_token[:-slots, -1]])
    columns["t_sent_ns"][:] = (free + 0.2 * MS).astype(np.int64)
    columns["t_first_token_ns"][:] = t_token[:, 0]
    columns["t_last_token_ns"][:] = columns["t_done_ns"][:] = t_token[:, -1]
    flat = t_token.ravel()
    offsets = np.arange(n + 1, dtype=np.int64) * osl
    return Records(0, columns, offsets, flat, np.ones(len(flat), np.int32), flat, client={"stamp_source": "user"})
