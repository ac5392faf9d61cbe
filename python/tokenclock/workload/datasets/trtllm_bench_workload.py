"""The dataset `trtllm_bench`: the requests of a trtllm-bench file as a server is sent them."""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tokenclock.plan import ServingPlan, TrtllmBenchDataset
from tokenclock.workload.assemble import assemble
from tokenclock.workload.datasets.reading import fault
from tokenclock.workload.datasets.trtllm_bench import BenchRow, BenchRows, read_bench_rows
from tokenclock.workload.messages import Messages, Prompt
from tokenclock.workload.prompts import TokenPrompts
from tokenclock.workload.realised import Workload
from tokenclock.workload.streams import stream
from tokenclock.workload.tokenizer import find_tokenizer
from tokenclock.workload.words import WORDS

__all__ = ["build_trtllm_bench", "has_media", "lora_names"]

_SPARE_WORDS = 64  # of a warm-up's text


def has_media(rows: BenchRows) -> bool:
    """Whether any row has pictures or videos, so that all go to the chat endpoint."""
    return any(row.media_paths for row in rows.rows)


def lora_names(rows: BenchRows) -> tuple[str, ...]:
    """The adapters that rows ask for, each once, in the order of the file."""
    return tuple(dict.fromkeys(row.lora.name for row in rows.rows if row.lora is not None))


def build_trtllm_bench(plan: ServingPlan, dataset: TrtllmBenchDataset) -> Workload:
    """Rows in the order of the file, each once: ids as they are, an adapter as the name of the model.

    Raises:
        UsageError: a bad line; rows of ids among rows of text, or with pictures; a picture that cannot be read.
    """
    found = read_bench_rows(dataset.path, plan.load.num_prompts)
    rows, names = found.rows, plan.endpoint.lora_modules
    tokenizer = find_tokenizer(plan)
    prompts = _prompts(found, chat=plan.endpoint.is_chat)
    counts = np.array([row.isl for row in rows], np.int32)
    if tokenizer is not None and not plan.endpoint.is_chat and isinstance(prompts, list):
        counts = tokenizer.counts([str(row.prompt) for row in rows], special=True)
    return assemble(
        plan,
        prompts,
        isl=counts,
        isl_realised=counts.copy(),
        osl=np.array([row.osl for row in rows], np.int32),
        draw_spares=_spares(rows, plan.load.seed, chat=plan.endpoint.is_chat),
        tokenizer=tokenizer,
        notes=found.notes,
        recorded=True,
        lora_index=np.array([-1 if row.lora is None else names.index(row.lora.name) for row in rows], np.int16)
        if names
        else None,
    )


def _prompts(found: BenchRows, *, chat: bool) -> Sequence[Prompt]:
    first_is_text = isinstance(found.rows[0].prompt, str)
    for row in found.rows:
        if isinstance(row.prompt, str) != first_is_text:
            raise fault(
                found.path, row.line, "expected input_ids in every row or in none: prompts are sent in one form"
            )
        if chat and not isinstance(row.prompt, str):
            raise fault(
                found.path, row.line, "expected prompt, got input_ids: rows with media_paths go to chat as text"
            )
    if chat:
        return [_messages(found.path, row) for row in found.rows]
    if first_is_text:
        return [str(row.prompt) for row in found.rows]
    offsets = np.concatenate([[0], np.cumsum([row.isl for row in found.rows], dtype=np.int64)])
    return TokenPrompts(np.concatenate([np.asarray(row.prompt, np.int32) for row in found.rows]), offsets)


def _messages(path: str, row: BenchRow) -> Messages:
    parts = [_part(path, row.line, place) for place in row.media_paths]
    content = [*parts, {"type": "text", "text": row.prompt}] if parts else row.prompt
    return Messages.of([{"role": "user", "content": content}])


def _part(path: str, line: int, place: str) -> dict[str, object]:
    """A picture or a video as the chat API takes it: its URL, or the file itself as a data URL."""
    kind = mimetypes.guess_type(place.partition("?")[0])[0] or ""
    name = f"{kind.partition('/')[0]}_url"
    if name not in ("image_url", "video_url"):
        raise fault(path, line, f"media_paths must name pictures or videos by their suffix, got {place}")
    if place.startswith(("http://", "https://")):
        return {"type": name, name: {"url": place}}
    try:
        content = base64.b64encode(Path(place).read_bytes()).decode("ascii")
    except OSError as error:
        raise fault(path, line, f"media_paths: {place} cannot be read: {error.strerror or error}") from error
    return {"type": name, name: {"url": f"data:{kind};base64,{content}"}}


def _spares(rows: Sequence[BenchRow], seed: int, *, chat: bool) -> Callable[[int], list[tuple[Prompt, int]]]:
    """Lengths of drawn rows; ids in another order, or words: never a measured prompt."""

    def draw(count: int) -> list[tuple[Prompt, int]]:
        draws = stream("spare_content", seed)
        found: list[tuple[Prompt, int]] = []
        for _ in range(count):
            row = rows[int(draws.integers(len(rows)))]
            if not isinstance(row.prompt, str):
                found.append((draws.permutation(row.prompt).tolist(), row.osl))
                continue
            text = " ".join(WORDS[index] for index in draws.integers(len(WORDS), size=_SPARE_WORDS))
            found.append((Messages.of([{"role": "user", "content": text}]) if chat else text, row.osl))
        return found

    return draw
