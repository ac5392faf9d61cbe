"""The dataset `synthetic_sessions` of `profile`: conversations of synthetic turns, with pauses between them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tokenclock.plan import ServingPlan, SyntheticSessionsDataset
from tokenclock.workload.assemble import assemble
from tokenclock.workload.kinds import choose_kind, notes_on_outcome
from tokenclock.workload.messages import Prompt
from tokenclock.workload.realised import Workload
from tokenclock.workload.streams import content_stream, stream
from tokenclock.workload.synthetic import asked_lengths, normal_lengths, way_to_draw
from tokenclock.workload.tokenizer import find_tokenizer

__all__ = ["build_sessions"]


def build_sessions(plan: ServingPlan, dataset: SyntheticSessionsDataset, n_vocab: int | None) -> Workload:
    """All turns of all conversations, one row each, conversation after conversation, drawn from the plan's seed."""
    seed, tokenizer = plan.load.seed, find_tokenizer(plan)
    draw, notes = way_to_draw(plan, dataset, tokenizer, n_vocab)
    turns = normal_lengths(stream("session_turns", seed), dataset.n_sessions, dataset.turns_mean, dataset.turns_stddev)
    session = np.repeat(np.arange(dataset.n_sessions, dtype=np.int64), turns)
    n, is_first = len(session), np.diff(session, prepend=-1) > 0
    delays_ms = stream("session_delays", seed).normal(dataset.turn_delay_mean_ms, dataset.turn_delay_stddev_ms, size=n)
    think_ms = np.where(is_first, 0.0, np.maximum(delays_ms, 0.0) * dataset.delay_ratio)
    lengths = normal_lengths(stream("input_lengths", seed), n, dataset.input_mean, dataset.input_stddev)
    osl = asked_lengths(stream("output_lengths", seed), n, dataset.output_mean, dataset.output_stddev)
    beginnings = np.full(n, -1, dtype=np.int32)
    if dataset.n_prefixes:
        picked = content_stream("rows", plan).integers(dataset.n_prefixes, size=int(is_first.sum()))
        beginnings[is_first] = picked
    taken: set[bytes] = set()
    prompts, realised = draw(content_stream("content", plan), lengths, beginnings, taken)
    isl = lengths + np.where(beginnings >= 0, dataset.prefix_len, 0).astype(np.int32)

    def draw_spares(count: int) -> list[tuple[Prompt, int]]:
        content, none = content_stream("spare_content", plan), np.full(count, -1, dtype=np.int32)
        sizes = normal_lengths(stream("spare_lengths", seed), count, dataset.input_mean, dataset.input_stddev)
        outputs = asked_lengths(stream("spare_lengths", seed), count, dataset.output_mean, dataset.output_stddev)
        spares, _ = draw(content, sizes, none, set(taken))
        return [(spares[row], int(outputs[row])) for row in range(count)]

    return assemble(
        plan,
        prompts,
        isl=isl,
        isl_realised=realised,
        osl=osl,
        draw_spares=draw_spares,
        tokenizer=tokenizer,
        notes=(*notes, *notes_on_outcome(isl, realised, n - len(taken), "raise --synthetic-input-tokens-mean")),
        shared_prefix=True,  # each turn begins with all that was said before
        session=session,
        think_ms=think_ms,
        answer_ids=None if isinstance(prompts[0], str) else _drawn_answers(plan, dataset, n_vocab),
    )


def _drawn_answers(
    plan: ServingPlan, dataset: SyntheticSessionsDataset, n_vocab: int | None
) -> Callable[[str, int], list[int]]:
    """So many drawn ids in place of an answer whose own ids nobody tells."""
    choices = choose_kind(None, chat=False, vocab_size=dataset.vocab_size, n_vocab=n_vocab).choices
    generator = content_stream("answers", plan)
    return lambda _, n: choices[generator.integers(len(choices), size=max(n, 0))].tolist()
