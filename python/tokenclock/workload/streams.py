"""Independent random streams of one seed: drawing more of one thing never changes another."""

from __future__ import annotations

import hashlib
import struct

import numpy as np

from tokenclock.plan import ServingPlan

__all__ = ["content_stream", "nonce_numbers", "stream"]

_PURPOSES = (  # new ones go to the end: the place is part of the seed
    *("input_lengths", "output_lengths", "arrivals", "prefix", "content", "spare_lengths", "spare_content"),
    *("probes", "rows", "lora", "pixels", "spare_pixels"),
    *("prefix_choice", "session_turns", "session_delays", "answers"),
)


def stream(purpose: str, *entropy: int) -> np.random.Generator:
    """The generator of one purpose (a name of this file) for whole numbers >= 0, usually the seed alone."""
    return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=(_PURPOSES.index(purpose),)))


def content_stream(purpose: str, plan: ServingPlan) -> np.random.Generator:
    """The generator of prompt content: it depends on the load's shape as well as on the seed.

    So each point of a sweep with one seed has prompts of its own, and no point finds its prompts in a prefix cache that
    an earlier one has filled; the same point repeated, on another server or next week, has the same prompts, unless a
    nonce (--cache-bust) says otherwise.
    """
    load = plan.load
    (rate_bits,) = struct.unpack("<Q", struct.pack("<d", load.request_rate))
    ramp = load.ramp_up
    ramp_bits = () if ramp is None else struct.unpack("<QQ", struct.pack("<dd", ramp.start_rps, ramp.end_rps))
    shape = (load.num_prompts, load.max_concurrency or 0, rate_bits, *ramp_bits)
    return stream(purpose, load.seed, *shape, *nonce_numbers(load.cache_bust))


def nonce_numbers(nonce: str | None) -> tuple[int, ...]:
    """Four numbers to seed with that a nonce stands for; none without, so that streams stay what they are."""
    if nonce is None:
        return ()
    digest = hashlib.sha256(nonce.encode()).digest()
    return tuple(int.from_bytes(digest[at : at + 4], "little") for at in range(0, 16, 4))
