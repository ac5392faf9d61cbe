"""The requests as they will be sent: contents, lengths and due times, with a fingerprint of it all."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock.workload.messages import Messages, Prompt, Ranking, Texts, prompt_key
from tokenclock.workload.prompts import TokenPrompts

__all__ = ["Prompt", "RecipePrompts", "Workload", "workload_sha256"]


class RecipePrompts(Sequence[Prompt]):
    """Prompts too large to keep, each made anew from its recipe whenever it is asked for."""

    @property
    @abstractmethod
    def recipes(self) -> Sequence[bytes]:
        """What each prompt follows from; equal recipes make equal prompts."""


@dataclass(frozen=True)
class Workload:
    """Realised requests of a run, one row each, in the order they are due."""

    dataset: str
    prompts: Sequence[Prompt]
    isl_requested: npt.NDArray[np.int32]  # tokens asked for, prefix included
    isl_realised: npt.NDArray[np.int32]  # tokens the prompt has by our own count; -1 where only the server can know
    osl_requested: npt.NDArray[np.int32]
    t_due_ns: npt.NDArray[np.int64]
    sha256: str
    tokenizer: str | None = None  # directory of the tokenizer that counted, if any
    count_tokens: Callable[[str], int] | None = field(default=None, repr=False, compare=False)  # of generated text
    lora_modules: tuple[str, ...] = ()
    lora_index: npt.NDArray[np.int16] | None = None  # which of `lora_modules` each row asks for; None without any
    session: npt.NDArray[np.int64] | None = None  # number of each row's conversation, -1: none; None without any
    think_ns: npt.NDArray[np.int64] | None = None  # from the answer before to a later turn
    answer_ids: Callable[[str, int], list[int]] | None = field(default=None, repr=False, compare=False)  # see History
    shared_prefix: bool = False  # prompts begin alike by the dataset's nature, so cached prompt tokens are no surprise
    mean_rate: float | None = None  # requests per second where the dataset itself says when they are due
    notes: tuple[str, ...] = ()  # what a user should know about these prompts, one line each
    draw_spares: Callable[[int], list[tuple[Prompt, int]]] | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.t_due_ns)

    def lora_counts(self) -> dict[str, int]:
        """Requests for each LoRA module, all modules named; empty without any."""
        if self.lora_index is None:
            return {}
        of_adapters = self.lora_index[self.lora_index >= 0]
        counts = np.bincount(of_adapters, minlength=len(self.lora_modules)).tolist()
        return dict(zip(self.lora_modules, counts, strict=True))

    def spare_prompts(self, count: int) -> list[tuple[Prompt, int]]:
        """`count` (prompt, output length) pairs for test and warm-up requests: same kind, never a measured prompt.

        Drawn from a stream of their own; the first k are the same for every count.
        """
        if self.draw_spares is None:
            raise ValueError("this workload was built without a source of spare prompts")
        return self.draw_spares(count)

    def asked_and_got(self) -> dict[str, Any]:
        """Asked against realised prompt lengths: `n_known`, `exact_share`, `largest_difference`; None where unknown."""
        known = self.isl_realised >= 0
        difference = np.abs(self.isl_realised[known].astype(np.int64) - self.isl_requested[known])
        n_known = int(known.sum())
        return {
            "n_known": n_known,
            "exact_share": float((difference == 0).mean()) if n_known else None,
            "largest_difference": int(difference.max()) if n_known else None,
        }


def workload_sha256(
    prompts: Sequence[Prompt],
    isl_requested: npt.NDArray[np.int32],
    osl_requested: npt.NDArray[np.int32],
    t_due_ns: npt.NDArray[np.int64],
    models: Sequence[str] | None = None,
) -> str:
    """SHA-256 (hex) over kinds, contents, lengths and due times; equal only for the same requests at the same times.

    models: name of the model of each row where rows differ in it; None leaves the digest as it is without.
    """
    digest = hashlib.sha256(b"tokenclock workload 1\n")
    for column, kind in ((isl_requested, "<i4"), (osl_requested, "<i4"), (t_due_ns, "<i8")):
        digest.update(len(column).to_bytes(8, "little"))
        digest.update(column.astype(kind).tobytes())
    if models is not None:
        _add_texts(digest, b"models", [name.encode(errors="surrogatepass") for name in models])
    if isinstance(prompts, TokenPrompts):  # rows of ids hash alike whether they come flat or as lists
        lengths, flat = np.diff(prompts.offsets), prompts.flat
        digest.update(b"ids" + lengths.astype("<i8").tobytes())
        digest.update(flat.astype("<i4").tobytes())
    elif isinstance(prompts, RecipePrompts):
        _add_texts(digest, b"recipes", prompts.recipes)
    else:
        kinds = {type(prompt) for prompt in prompts}
        if len(kinds) == 1 and kinds <= {Texts, Ranking}:
            _add_texts(digest, kinds.pop().__name__.lower().encode(), [prompt_key(prompt) for prompt in prompts])
            return digest.hexdigest()
        if not kinds <= {str, Messages}:
            raise TypeError("prompts must be all text or messages, all texts, all rankings, or TokenPrompts")
        if Messages in kinds:  # which rows are messages is part of it
            _add_texts(digest, b"chats", [b"%d" % isinstance(prompt, Messages) for prompt in prompts])
        _add_texts(digest, b"text", [prompt_key(prompt) for prompt in prompts])
    return digest.hexdigest()


def _add_texts(digest: hashlib._Hash, kind: bytes, texts: Sequence[bytes]) -> None:
    digest.update(kind + np.array([len(text) for text in texts], dtype="<i8").tobytes())
    for text in texts:
        digest.update(text)
