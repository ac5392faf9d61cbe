"""Synthetic rows on their way to a file: drawn in pieces, written as they are drawn."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock.plan_checks import require_room
from tokenclock.prepare.adapters import draw_adapters, lora_request
from tokenclock.prepare.compat_draws import compat_texts, draws_alike
from tokenclock.prepare.id_text import IdText
from tokenclock.prepare.lengths import DrawnLengths, draw_lengths
from tokenclock.prepare.plan import PreparePlan
from tokenclock.prepare.schedule import RowTimes, draw_times
from tokenclock.prepare.token_rows import compat_rows, token_texts, zipf_weights
from tokenclock.prepare.vocabulary import Vocabulary, find_vocabulary
from tokenclock.workload.streams import stream

__all__ = ["SyntheticRows"]

_ROWS = 4096  # of the original's rules, handed on at a time


@dataclass(frozen=True)
class SyntheticRows:
    """Everything about the rows but their token ids, which are drawn when they are written."""

    plan: PreparePlan
    vocabulary: Vocabulary
    lengths: DrawnLengths
    adapters: npt.NDArray[np.int32] | None  # id of each row; None: no row has one
    times: RowTimes

    @classmethod
    def draw(cls, plan: PreparePlan) -> SyntheticRows:
        """Raises UsageError for a vocabulary or a trace that cannot be read."""
        vocabulary, lengths = find_vocabulary(plan), draw_lengths(plan)
        n = len(lengths.isl)
        require_room(plan.prefixes.count, plan.prefixes.count * plan.prefixes.length)
        after_tokens = None
        if plan.compat and plan.lora.rand_task_id is not None:  # the original draws adapters after all tokens
            after_tokens = random.Random(plan.seed)
            for _ in compat_rows(plan, vocabulary, lengths.isl, after_tokens):
                pass
        adapters = draw_adapters(plan.lora, n, plan.seed, after_tokens)
        return cls(plan, vocabulary, lengths, adapters, draw_times(plan, n))

    @property
    def isl(self) -> npt.NDArray[np.int32]:
        """Input tokens of each row, shared prefix included; a later turn's history is not."""
        prefixes = np.where(self.times.first_turns(), np.int32(self.plan.prefixes.length), np.int32(0))
        isl: npt.NDArray[np.int32] = self.lengths.isl + prefixes
        return isl

    def json_lines(self) -> Iterator[bytes]:
        """Pieces of JSON lines, each row a line."""
        row, osl = 0, self.lengths.osl.tolist()
        has_lora = self.adapters is not None and self.plan.lora.directory is not None
        known: dict[int, str] = {}
        for texts in self._texts():
            lines = []
            for ids in texts:
                tail = f'],"output_tokens":{osl[row]}'
                if has_lora:
                    tail += self._lora(row, known)
                tail += self.times.json(row)
                lines.append(b'{"task_id":%d,"input_ids":[%b%b}\n' % (row, ids, tail.encode()))
                row += 1
            yield b"".join(lines)

    def samples(self) -> Iterator[bytes]:
        """Pieces of the workload file's samples, with commas between."""
        row, isl, osl = 0, self.isl.tolist(), self.lengths.osl.tolist()
        adapters = None if self.adapters is None else self.adapters.tolist()
        for texts in self._texts():
            lines = []
            for ids in texts:
                adapter = -1 if adapters is None else adapters[row]
                values = (b",\n" if row else b"", isl[row], ids, osl[row], adapter)
                lines.append(b'%b{"input_len":%d,"input_ids":[%b],"output_len":%d,"task_id":%d}' % values)
                row += 1
            yield b"".join(lines)

    def _lora(self, row: int, known: dict[int, str]) -> str:
        assert self.adapters is not None
        adapter = int(self.adapters[row])
        if adapter not in known:
            request = lora_request(self.plan.lora, adapter)
            known[adapter] = "" if request is None else f',"lora_request":{request}'
        return known[adapter]

    def _texts(self) -> Iterator[list[bytes]]:
        """Token ids of many rows at a time, as text, shared prefixes before them."""
        size, isl = self.vocabulary.size, self.lengths.isl
        if self.plan.compat and len(isl) and draws_alike(size, int(isl.max())):
            yield from compat_texts(self.plan.seed, size, self.vocabulary.eos_ids, isl)
            return
        if self.plan.compat:
            rows = compat_rows(self.plan, self.vocabulary, self.lengths.isl, random.Random(self.plan.seed))
            while piece := [",".join(map(str, row)).encode() for row in islice(rows, _ROWS)]:
                yield piece
            return
        texts = token_texts(self.plan, self.vocabulary, self.lengths.isl)
        if not self.plan.prefixes.count:
            yield from texts
            return
        prefixes, chosen, row = self._prefix_texts(), self._prefix_of_rows(), 0
        for piece in texts:
            picked = chosen[row : row + len(piece)]
            yield [text if at < 0 else prefixes[at] + b"," + text for at, text in zip(picked, piece, strict=True)]
            row += len(piece)

    def _prefix_texts(self) -> list[bytes]:
        asked, choices = self.plan.prefixes, self.vocabulary.choices
        flat = choices[stream("prefix", self.plan.seed).integers(len(choices), size=asked.count * asked.length)]
        return IdText(int(choices.max())).rows(flat, np.full(asked.count, asked.length, dtype=np.int32))

    def _prefix_of_rows(self) -> list[int]:
        """Which prefix each row begins with; -1 for a later turn, whose history has it already."""
        asked, first = self.plan.prefixes, self.times.first_turns()
        shares = zipf_weights(asked.count, asked.zipf)
        chosen = np.full(len(first), -1)
        chosen[first] = stream("prefix_choice", self.plan.seed).choice(asked.count, size=int(first.sum()), p=shares)
        rows: list[int] = chosen.tolist()
        return rows

    def facts(self) -> dict[str, Any]:
        """What was drawn, for the manifest."""
        cut = {"input": self.lengths.n_cut_input, "output": self.lengths.n_cut_output}
        sessions = self.times.session
        return {
            "vocabulary": self.vocabulary.said,
            "vocab_size": self.vocabulary.size,
            "eos_ids": list(self.vocabulary.eos_ids),
            "rows_cut_to_a_limit": cut,
            "sessions": None if sessions is None else int(sessions[-1]) + 1,
        }
