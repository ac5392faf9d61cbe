"""From a dataset's usable rows to a workload: as many as asked for, repeated where allowed, the rest kept as spares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from tokenclock.errors import UsageError
from tokenclock.plan import ServingPlan
from tokenclock.workload.assemble import assemble
from tokenclock.workload.messages import Prompt, prompt_key
from tokenclock.workload.realised import Workload
from tokenclock.workload.streams import content_stream
from tokenclock.workload.tokenizer import Tokenizer
from tokenclock.workload.words import WORDS

__all__ = ["Row", "from_rows", "row_order", "times_each"]

_SPARE_WORDS = 64  # of a test prompt where the file has no prompt left for it


@dataclass(frozen=True)
class Row:
    """One usable request of a dataset."""

    prompt: Prompt
    osl: int  # tokens to ask for
    isl: int = -1  # tokens the server will count; -1: not known
    system: str = ""  # how the prompt begins, where other rows may begin alike


def row_order(plan: ServingPlan, count: int, *, shuffle: bool) -> npt.NDArray[np.int64]:
    """The order in which rows are taken: the file's, or one drawn for this point of the load."""
    return content_stream("rows", plan).permutation(count) if shuffle else np.arange(count)


def times_each(generator: np.random.Generator, n_rows: int, n_wanted: int, *, shuffle: bool) -> npt.NDArray[np.int64]:
    """Indices of `n_wanted` picks from fewer rows: whole passes, so that no row is taken twice more than another.

    The first pass keeps their order; later ones have orders of their own where `shuffle`.
    """
    passes = [np.arange(n_rows)]
    while n_rows * len(passes) < n_wanted:
        passes.append(generator.permutation(n_rows) if shuffle else np.arange(n_rows))
    return np.concatenate(passes)[:n_wanted]


def from_rows(
    plan: ServingPlan,
    rows: Iterator[Row],
    *,
    tokenizer: Tokenizer | None,
    path: str,
    usable: str,
    oversample: bool = True,
    shuffle: bool = True,
    notes: Callable[[], Sequence[str]] = tuple,
    shared_prefix: bool = False,
) -> Workload:
    """The first `num_prompts` rows as a workload.

    Where there are fewer, they are repeated (`oversample`) or sent once each; both are said in a note. Test and warm-up
    requests take rows after the last measured one, or words where none is left.

    Args:
        rows: usable rows in the order they are to be taken; read no further than needed.
        usable: which rows are usable, for the error when there is none.
        notes: asked for notes after the rows were read.
        shared_prefix: prompts begin alike by the dataset's nature.
    """
    n = plan.load.num_prompts
    picked = list(islice(rows, n))
    if not picked:
        raise UsageError(f"{path} holds no usable row; expected {usable}")
    said: list[str] = []
    if len(picked) < n:
        n_rows = len(picked)
        if oversample:
            order = times_each(content_stream("content", plan), n_rows, n, shuffle=shuffle)
            picked = [picked[row] for row in order.tolist()]
        else:
            said.append(f"{path} has {n_rows} usable rows of the {n} asked for: {n_rows} requests are sent")
    n_repeats = len(picked) - len({prompt_key(row.prompt) for row in picked})
    can_be_fewer = oversample and plan.command == "serving"  # which has the flag
    if n_repeats:
        said.append(
            f"{n_repeats} of {len(picked)} prompts repeat another one, which a prefix cache answers faster; lower "
            f"--num-prompts or use a larger file{', or --no-oversample' if can_be_fewer and len(picked) == n else ''}"
        )
    spares: list[tuple[Prompt, int]] = []

    def draw_spares(count: int) -> list[tuple[Prompt, int]]:
        spares.extend((row.prompt, row.osl) for row in islice(rows, max(0, count - len(spares))))
        generator = content_stream("spare_content", plan)
        words = [
            (" ".join(WORDS[index] for index in generator.integers(len(WORDS), size=_SPARE_WORDS)), picked[0].osl)
            for _ in range(count - len(spares))
        ]
        return spares[:count] + words

    isl = np.array([row.isl for row in picked], dtype=np.int32)
    return assemble(
        plan,
        [row.prompt for row in picked],
        isl=isl,
        isl_realised=isl.copy(),
        osl=np.array([row.osl for row in picked], dtype=np.int32),
        draw_spares=draw_spares,
        tokenizer=tokenizer,
        notes=(*notes(), *said),
        recorded=True,
        shared_prefix=shared_prefix or _begin_alike(picked),
    )


def _begin_alike(rows: Sequence[Row]) -> bool:
    """Whether different prompts have a beginning in common."""
    systems = [row.system for row in {prompt_key(row.prompt): row for row in rows}.values() if row.system]
    return len(set(systems)) < len(systems)
