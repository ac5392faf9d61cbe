"""From a plan to its workload: each dataset by its own file, imported when it is asked for: a run needs one of them."""

from __future__ import annotations

from tokenclock.plan import (
    BurstGptDataset,
    CustomDataset,
    HfDataset,
    InputFileDataset,
    RandomDataset,
    RandomImageDataset,
    ServingPlan,
    ShareGptDataset,
    SonnetDataset,
    SyntheticDataset,
    SyntheticSessionsDataset,
    TraceDataset,
    TrtllmBenchDataset,
)
from tokenclock.workload.batches import build_without_output
from tokenclock.workload.random_workload import build_random
from tokenclock.workload.realised import Workload
from tokenclock.workload.tokenizer import find_tokenizer

__all__ = ["build_workload", "needs_vocabulary"]


def needs_vocabulary(plan: ServingPlan) -> bool:
    """Whether token ids will be drawn whose range only the server can tell."""
    dataset = plan.dataset
    draws = (
        isinstance(dataset, (RandomDataset, BurstGptDataset, SyntheticDataset, TraceDataset))
        and dataset.vocab_size is None
    )
    return draws and not plan.endpoint.wants_text and find_tokenizer(plan) is None


def build_workload(plan: ServingPlan, *, n_vocab: int | None = None) -> Workload:
    """Realise every request of `plan` from its seed and files: same plan, same workload, whatever machine and day.

    n_vocab: vocabulary size the server reports, used for token ids when there is neither a tokenizer nor --vocab-size.
    Raises UsageError for a tokenizer or dataset that cannot be read, with the line of the file where one is at fault.
    """
    if plan.endpoint.backend in ("embeddings", "rerank"):
        return build_without_output(plan, lambda inner: _build(inner, n_vocab))
    return _build(plan, n_vocab)


def _build(plan: ServingPlan, n_vocab: int | None) -> Workload:
    dataset = plan.dataset
    if isinstance(dataset, RandomDataset):
        return build_random(plan, dataset, n_vocab)
    if isinstance(dataset, ShareGptDataset):
        from tokenclock.workload.datasets.sharegpt import build_sharegpt

        return build_sharegpt(plan, dataset)
    if isinstance(dataset, BurstGptDataset):
        from tokenclock.workload.datasets.burstgpt import build_burstgpt

        return build_burstgpt(plan, dataset, n_vocab)
    if isinstance(dataset, SonnetDataset):
        from tokenclock.workload.datasets.sonnet import build_sonnet

        return build_sonnet(plan, dataset)
    if isinstance(dataset, CustomDataset):
        from tokenclock.workload.datasets.custom import build_custom

        return build_custom(plan, dataset)
    if isinstance(dataset, HfDataset):
        from tokenclock.workload.datasets.hugging_face import build_hf

        return build_hf(plan, dataset)
    if isinstance(dataset, TrtllmBenchDataset):
        from tokenclock.workload.datasets.trtllm_bench_workload import build_trtllm_bench

        return build_trtllm_bench(plan, dataset)
    if isinstance(dataset, RandomImageDataset):
        from tokenclock.workload.datasets.random_image import build_random_image

        return build_random_image(plan, dataset)
    if isinstance(dataset, SyntheticSessionsDataset):
        from tokenclock.workload.synthetic_sessions import build_sessions

        return build_sessions(plan, dataset, n_vocab)
    if isinstance(dataset, SyntheticDataset):
        from tokenclock.workload.synthetic import build_synthetic

        return build_synthetic(plan, dataset, n_vocab)
    if isinstance(dataset, InputFileDataset):
        from tokenclock.workload.datasets.input_file import build_input_file

        return build_input_file(plan, dataset)
    if isinstance(dataset, TraceDataset):
        from tokenclock.workload.datasets.trace_workload import build_trace

        return build_trace(plan, dataset, n_vocab)
    from tokenclock.workload.datasets.trtllm_custom import build_trtllm_custom

    return build_trtllm_custom(plan, dataset)
