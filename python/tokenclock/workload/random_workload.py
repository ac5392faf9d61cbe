"""The dataset `random`: synthetic prompts of drawn lengths that need no network, and with no tokenizer no files."""

from __future__ import annotations

import numpy as np

from tokenclock.plan import RandomDataset, ServingPlan
from tokenclock.workload.assemble import assemble
from tokenclock.workload.kinds import choose_kind, notes_on_outcome
from tokenclock.workload.lengths import draw_lengths
from tokenclock.workload.messages import Prompt
from tokenclock.workload.prefixes import draw_behind, pick_prefixes
from tokenclock.workload.realised import Workload
from tokenclock.workload.streams import content_stream, stream
from tokenclock.workload.tokenizer import find_tokenizer

__all__ = ["build_random"]


def build_random(plan: ServingPlan, dataset: RandomDataset, n_vocab: int | None) -> Workload:
    """Draw every request from the plan's seed.

    n_vocab: vocabulary size the server reports, used for token ids when there is neither a tokenizer nor --vocab-size.
    """
    load = plan.load
    n, ratio, style = load.num_prompts, dataset.range_ratio, dataset.range_ratio_style
    tokenizer = find_tokenizer(plan)
    kind = choose_kind(
        tokenizer,
        chat=plan.endpoint.wants_text,
        tokenize_on_client=dataset.tokenize_on_client,
        vocab_size=dataset.vocab_size,
        n_vocab=n_vocab,
    )
    lengths = draw_lengths(stream("input_lengths", load.seed), n, dataset.input_len, ratio, style)
    osl = draw_lengths(stream("output_lengths", load.seed), n, dataset.output_len, ratio, style)

    drawn = content_stream("prefix", plan).integers(len(kind.choices), size=dataset.num_prefixes * dataset.prefix_len)
    prefixes = kind.choices[drawn].reshape(dataset.num_prefixes, dataset.prefix_len)
    prefix = prefixes[0]
    taken: set[bytes] = set()
    if dataset.num_prefixes == 1:
        prompts, realised = kind.draw(content_stream("content", plan), lengths, prefix, taken)
    else:
        picked = pick_prefixes(stream("prefix_choice", load.seed), n, dataset.num_prefixes, dataset.prefix_zipf)
        prompts, realised = draw_behind(kind, content_stream("content", plan), lengths, prefixes, picked, taken)
    isl = lengths + np.int32(dataset.prefix_len)

    def draw_spares(count: int) -> list[tuple[Prompt, int]]:
        lengths_stream, content = stream("spare_lengths", load.seed), content_stream("spare_content", plan)
        unlike, spares = set(taken), []
        for _ in range(count):
            length = draw_lengths(lengths_stream, 1, dataset.input_len, ratio, style)
            output = draw_lengths(lengths_stream, 1, dataset.output_len, ratio, style)
            spares.append((kind.draw(content, length, prefix, unlike)[0][0], int(output[0])))
        return spares

    outcome = notes_on_outcome(isl, realised, n - len(taken), "raise --random-input-len")
    return assemble(
        plan,
        prompts,
        isl=isl,
        isl_realised=realised,
        osl=osl,
        draw_spares=draw_spares,
        tokenizer=tokenizer,
        notes=(*kind.notes, *outcome),
        shared_prefix=dataset.prefix_len > 0,
    )
