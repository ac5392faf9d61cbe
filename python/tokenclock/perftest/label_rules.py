"""What the parts of a label say about each other."""

from __future__ import annotations

import dataclasses

from tokenclock.perftest.label import Label

__all__ = ["problem_of", "with_gpus"]

_SMALLEST_BATCH = 32
_SMALL_MODELS = ("gpt_350m", "bloom_560m")  # too small for the flow to time at less than 32 rows


def with_gpus(label: Label) -> Label:
    """The label with tp and the number of GPUs filled in from each other, as the flow does."""
    if label.gpus > 1 and label.tp == label.pp == 1:
        return dataclasses.replace(label, tp=label.gpus)
    if label.gpus == 1 and (label.tp > 1 or label.pp > 1):
        return dataclasses.replace(label, gpus=label.tp * label.pp)
    return label


def problem_of(label: Label, given: frozenset[str]) -> tuple[str, str] | None:
    """The first thing that does not go together: the field at fault, and one line; None where all does.

    Args:
        label: after `with_gpus`.
        given: fields that the label as written names.
    """
    if label.gpus != label.tp * label.pp:
        return "gpus", f"gpus must be tp x pp = {label.tp} x {label.pp} = {label.tp * label.pp}, got {label.gpus}"
    if label.build_only and "lengths" in given:
        return "lengths", "build_only runs nothing: expected no lengths beside it"
    if not label.build_only and not label.lengths:
        return "lengths", "expected input_output_len:I,O (or input_len:N for a model without output)"
    if label.runtime == "bench" and "mode" in given:
        return "mode", "the runtime bench has no mode: leave it out"
    if label.quant and label.backend == "pytorch":
        return "quant", "the pytorch backend reads its quantisation from the checkpoint: leave quant out"
    if label.runtime != "cppmanager" and (label.executor_api or label.static_batching):
        field = "executor_api" if label.executor_api else "static_batching"
        return field, f"exe and static_batching are of the runtime cppmanager, got {label.runtime}"
    return _of_disaggregated(label) or _of_encoders(label)


def _of_disaggregated(label: Label) -> tuple[str, str] | None:
    sides = {"ctx": label.ctx_parallel, "gen": label.gen_parallel}
    for name, side in sides.items():
        if label.runtime == "disagg_server" and side is None:
            return "runtime", f"disagg_server needs one of {name}_tp:N, {name}_dp:N, {name}_pp:N"
        if label.runtime != "disagg_server" and side is not None:
            return f"{name}_parallel", f"{name}_{side} is of disagg_server, got {label.runtime}"
    return None


def _of_encoders(label: Label) -> tuple[str, str] | None:
    has_output = any(osl is not None for _, osl in label.lengths)
    if label.is_bert_like and has_output:
        return "lengths", f"{label.model} has no output: expected input_len:N"
    if not label.is_bert_like and label.lengths and not has_output and label.runtime == "bench":
        return "lengths", "bench asks for output: expected input_output_len:I,O"
    if label.is_bert_like or label.model in _SMALL_MODELS:
        too_small = [size for size in label.batch_sizes if size < _SMALLEST_BATCH]
        if too_small:
            return "batch_sizes", f"{label.model} is timed at batches of {_SMALLEST_BATCH} or more, got {too_small[0]}"
    return None
