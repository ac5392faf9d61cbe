"""The rules between the tokens of a label: GPUs and ranks, encoders, builds, disaggregated servers."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping

from tokenclock.perftest.label import Label, LabelError

__all__ = ["hold_rules"]

_Refuse = Callable[..., LabelError]

_ENCODER = re.compile(r"(?:.*_)?(?:ro|al|distil|camem)?bert(?:_.*)?")
_UNSTEADY = ("gpt_350m", "bloom_560m")  # in small batches
_LEAST_BATCH = 32


def hold_rules(label: Label, text: str, places: Mapping[str, tuple[int, str]]) -> Label:
    """The label with its ranks and GPUs filled in.

    Args:
        label: as read.
        text: that it was read from.
        places: field -> position and token that set it.

    Raises:
        LabelError: a rule is broken.
    """

    def refuse(problem: str, *fields: str) -> LabelError:
        position, token = next((places[field] for field in fields if field in places), (len(text), ""))
        return LabelError(problem, text, position, len(token))

    if label.runtime == "bench" and "mode" in places:
        raise refuse(f"expected no mode with bench, got {label.mode}", "mode")
    for field in ("executor_api", "static_batching"):
        if field in places and label.runtime != "cppmanager":
            raise refuse(f"expected {places[field][1]} with cppmanager only, got runtime {label.runtime}", field)
    if label.quant and label.backend == "pytorch":
        raise refuse("expected no quant: with pytorch, whose checkpoint says its own quantization", "quant")
    _hold_lengths(label, refuse, places)
    _hold_servers(label, refuse, places)
    return _with_gpus(label, refuse)


def _hold_lengths(label: Label, refuse: _Refuse, places: Mapping[str, tuple[int, str]]) -> None:
    if label.build_only and label.lengths:
        raise refuse("expected no lengths with build_only, which measures nothing", "lengths")
    if not label.lengths and not label.build_only and label.runtime != "disagg_server":
        raise refuse("expected input_output_len:<input>,<output> or input_len:<input>, and the label has neither")
    is_encoder = _ENCODER.fullmatch(label.model) is not None
    if is_encoder and any(output is not None for _, output in label.lengths):
        raise refuse(f"expected input_len: for {label.model}, an encoder without output", "lengths")
    if (is_encoder or label.model in _UNSTEADY) and any(size < _LEAST_BATCH for size in label.batch_sizes):
        raise refuse(f"expected batch sizes of {_LEAST_BATCH} or more for {label.model}", "batch_sizes")


def _hold_servers(label: Label, refuse: _Refuse, places: Mapping[str, tuple[int, str]]) -> None:
    for field, expected in (("ctx_parallel", "ctx_tp: ctx_dp: ctx_pp:"), ("gen_parallel", "gen_tp: gen_dp: gen_pp:")):
        if label.runtime == "disagg_server" and field not in places:
            raise refuse(f"expected exactly one of {expected} with disagg_server, got none")
        if label.runtime != "disagg_server" and field in places:
            raise refuse(f"expected {places[field][1]} with disagg_server only, got runtime {label.runtime}", field)


def _with_gpus(label: Label, refuse: _Refuse) -> Label:
    if label.gpus > 1 and label.tp == label.pp == 1:
        label = dataclasses.replace(label, tp=label.gpus)
    elif label.gpus == 1:
        label = dataclasses.replace(label, gpus=label.tp * label.pp)
    if label.gpus != label.tp * label.pp:
        problem = f"expected gpus: to be tp x pp, {label.tp} x {label.pp} = {label.tp * label.pp}, got {label.gpus}"
        raise refuse(problem, "gpus")
    return label
