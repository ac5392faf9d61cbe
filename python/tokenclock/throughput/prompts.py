"""From a file's rows to requests of token ids for a runtime in this process, and to warm-up requests like them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np

from tokenclock.plan import EndpointPlan, ServingPlan
from tokenclock.plan_throughput import ThroughputPlan
from tokenclock.runtime.in_flight import InFlightRequest
from tokenclock.workload.datasets.reading import fault
from tokenclock.workload.datasets.trtllm_bench import BenchRow, BenchRows
from tokenclock.workload.prompts import TokenPrompts
from tokenclock.workload.realised import workload_sha256
from tokenclock.workload.streams import stream
from tokenclock.workload.tokenizer import Tokenizer, find_tokenizer

__all__ = ["check_fit", "fingerprint", "requests_of", "tokenizer_of", "warm_ups"]

_BATCH = 512  # texts encoded at a time


def tokenizer_of(plan: ThroughputPlan) -> Tokenizer | None:
    """The tokenizer of --tokenizer, else of --model_path or --model where that is a directory with a tokenizer.json;
    an engine's directory has none: there it is the one beside it in --model_path.

    Raises UsageError when a named tokenizer cannot be read.
    """
    directory = plan.runtime.directory if plan.runtime is not None else plan.model_path or plan.model
    if plan.model_path is not None and not Path(directory, "tokenizer.json").is_file():
        directory = plan.model_path
    return find_tokenizer(ServingPlan(EndpointPlan(model=directory, tokenizer=plan.tokenizer)))


def requests_of(rows: BenchRows, tokenizer: Tokenizer | None) -> list[InFlightRequest]:
    """One request per row, text turned into ids with the special tokens that the tokenizer adds.

    Raises UsageError, with the line, for rows that need what this process does not have.
    """
    requests: list[InFlightRequest] = []
    for start in range(0, len(rows.rows), _BATCH):
        batch = rows.rows[start : start + _BATCH]
        texts = {index: row.prompt for index, row in enumerate(batch) if isinstance(row.prompt, str)}
        if texts and tokenizer is None:
            raise fault(
                rows.path,
                batch[next(iter(texts))].line,
                "prompt is text, and there is no tokenizer: give --tokenizer DIR, or input_ids in the file",
            )
        encoded = dict(zip(texts, tokenizer.ids(list(texts.values()), special=True), strict=True)) if tokenizer else {}
        for index, row in enumerate(batch):
            if row.media_paths:
                raise fault(
                    rows.path, row.line, "media_paths need a server (--base-url): a runtime in this process takes ids"
                )
            requests.append(InFlightRequest(_ids(rows.path, row, encoded.get(index)), row.osl, _lora(row)))
    return requests


def _ids(path: str, row: BenchRow, encoded: Sequence[int] | None) -> Sequence[int]:
    if not isinstance(row.prompt, str):
        return cast("Sequence[int]", row.prompt)  # an array: a list would take eight times its room
    if not encoded:
        raise fault(
            path, row.line, "prompt must be text of at least one token, got one that the tokenizer leaves empty"
        )
    return encoded


def _lora(row: BenchRow) -> tuple[str, int, str] | None:
    return None if row.lora is None else (row.lora.name, row.lora.int_id, row.lora.path)


def check_fit(
    rows: BenchRows,
    requests: Sequence[InFlightRequest],
    vocab_size: int | None,
    max_seq_len: int | None,
    *,
    takes_lora: bool,
) -> None:
    """Raise UsageError, with the line, for the first request that the loaded model cannot take."""
    for row, request in zip(rows.rows, requests, strict=True):
        highest = int(max(request.ids))
        if vocab_size is not None and highest >= vocab_size:
            raise fault(
                rows.path,
                row.line,
                f"token ids must be below {vocab_size}, the model's vocabulary, got {highest}; make the data set with "
                "this model's tokenizer or --vocab-size",
            )
        length = len(request.ids) + request.osl
        if max_seq_len is not None and length > max_seq_len:
            raise fault(
                rows.path,
                row.line,
                f"prompt and answer must have at most {max_seq_len} tokens together (--max_seq_len, or the model's own "
                f"limit), got {len(request.ids)} + {request.osl}",
            )
        if request.lora is not None and not takes_lora:
            raise fault(
                rows.path,
                row.line,
                "lora_request needs --runtime trtllm-llm, in a release with LoRARequest, or a server (--base-url)",
            )


def warm_ups(requests: Sequence[InFlightRequest], count: int, seed: int) -> list[InFlightRequest]:
    """Requests of the lengths of `count` drawn rows, their ids in another order: same kind, no measured prompt."""
    draws = stream("spare_content", seed)
    found = []
    for index in draws.integers(len(requests), size=count).tolist():
        request = requests[index]
        found.append(InFlightRequest(draws.permutation(np.asarray(request.ids)).tolist(), request.osl, request.lora))
    return found


def fingerprint(requests: Sequence[InFlightRequest]) -> str:
    """SHA-256 of prompts and lengths, as a server's run of the same file has it."""
    lengths = np.array([len(request.ids) for request in requests], np.int32)
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    flat = np.concatenate([np.asarray(request.ids, np.int32) for request in requests])
    names = [request.lora[0] if request.lora else "" for request in requests]
    return workload_sha256(
        TokenPrompts(flat, offsets),
        lengths,
        np.array([request.osl for request in requests], np.int32),
        np.zeros(len(requests), np.int64),
        names if any(names) else None,
    )
