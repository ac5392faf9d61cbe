"""The dataset `random_image`: synthetic text with JPEG pictures of noise."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any, overload

import numpy as np

from tokenclock.errors import UsageError
from tokenclock.plan import RandomImageDataset, ServingPlan
from tokenclock.workload.assemble import assemble
from tokenclock.workload.kinds import choose_kind, notes_on_outcome
from tokenclock.workload.messages import Messages, Prompt
from tokenclock.workload.realised import RecipePrompts, Workload
from tokenclock.workload.streams import content_stream
from tokenclock.workload.tokenizer import find_tokenizer

__all__ = ["ImagePrompts", "build_random_image", "encode_jpeg", "image_message"]

_NOTE = "each picture is made when its request is about to be sent; input lengths, pictures included, are the server's"


def build_random_image(plan: ServingPlan, dataset: RandomImageDataset) -> Workload:
    """Text of the asked length and pictures of noise, none like another."""
    if not plan.endpoint.is_chat:
        raise UsageError("--dataset-name random_image needs --backend openai-chat: completions take no pictures")
    encode_jpeg(np.zeros((1, 1, 3), dtype=np.uint8))  # a missing package is told now, not in the middle of a run
    n = plan.load.num_prompts
    tokenizer = find_tokenizer(plan)
    kind = choose_kind(tokenizer, chat=True)
    lengths, no_prefix = np.full(n, dataset.input_len, dtype=np.int32), np.empty(0, dtype=np.int32)
    taken: set[bytes] = set()
    texts, realised = kind.draw(content_stream("content", plan), lengths, no_prefix, taken)
    seeds = content_stream("pixels", plan).integers(1 << 63, size=n).tolist()
    prompts = ImagePrompts([str(text) for text in texts], seeds, dataset)

    def draw_spares(count: int) -> list[tuple[Prompt, int]]:
        content, pixels = content_stream("spare_content", plan), content_stream("spare_pixels", plan)
        unlike, spares = set(taken), list[tuple[Prompt, int]]()
        for _ in range(count):
            text = str(kind.draw(content, lengths[:1], no_prefix, unlike)[0][0])
            spare = ImagePrompts([text], [int(pixels.integers(1 << 63))], dataset)
            spares.append((spare[0], dataset.output_len))
        return spares

    outcome = notes_on_outcome(lengths, realised, n - len(taken), "raise --random-input-len; their pictures differ")
    return assemble(
        plan,
        prompts,
        isl=np.full(n, -1, dtype=np.int32),
        isl_realised=np.full(n, -1, dtype=np.int32),
        osl=np.full(n, dataset.output_len, dtype=np.int32),
        draw_spares=draw_spares,
        tokenizer=tokenizer,
        notes=(_NOTE, *outcome),
    )


class ImagePrompts(RecipePrompts):
    """One user message per row: a text, then pictures made from the row's seed whenever the row is asked for."""

    def __init__(self, texts: Sequence[str], seeds: Sequence[int], dataset: RandomImageDataset) -> None:
        self._texts, self._seeds, self._dataset = texts, seeds, dataset

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, index: int) -> Messages: ...
    @overload
    def __getitem__(self, index: slice) -> list[Messages]: ...
    def __getitem__(self, index: int | slice) -> Messages | list[Messages]:
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        asked = self._dataset
        generator = np.random.default_rng(self._seeds[index])
        pictures = (
            encode_jpeg(generator.integers(0, 256, (asked.height, asked.width, 3), dtype=np.uint8))
            for _ in range(asked.num_images)
        )
        return Messages.of([image_message(self._texts[index], pictures)])

    @property
    def recipes(self) -> Sequence[bytes]:
        asked = self._dataset
        shape = f"{asked.num_images} JPEG {asked.width}x{asked.height} "
        return [f"{shape}{seed} {text}".encode() for text, seed in zip(self._texts, self._seeds, strict=True)]


def image_message(text: str, pictures: Any) -> dict[str, Any]:
    """A user message of a text and JPEG pictures (bytes)."""
    parts: list[dict[str, Any]] = [{"type": "text", "text": text}]
    for picture in pictures:
        url = "data:image/jpeg;base64," + base64.b64encode(picture).decode("ascii")
        parts.append({"type": "image_url", "image_url": {"url": url}})
    return {"role": "user", "content": parts}


def encode_jpeg(pixels: Any) -> bytes:
    """JPEG bytes of uint8 (height, width, 3), or of a Pillow image. Raises UsageError without Pillow."""
    try:
        from PIL import Image
    except ImportError as error:
        raise UsageError("pictures need the Pillow package: pip install 'tokenclock[images]'") from error
    image = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels.convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG")
    return buffer.getvalue()
