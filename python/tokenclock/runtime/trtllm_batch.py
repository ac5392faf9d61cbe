"""A batch on `tensorrt_llm.LLM`: handed in at once, its first row's tokens stamped, the engine's own times read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np

from tokenclock.errors import MeasurementError, UsageError
from tokenclock.plan_benchmark import BenchmarkCase
from tokenclock.runtime import server_timing
from tokenclock.runtime.protocol import IterationOutcome, Limits, ModelFacts, OnStep, Ranks
from tokenclock.runtime.token_ids import draw_token_ids
from tokenclock.runtime.trtllm_llm_options import Room

__all__ = ["LlmRuntime"]


class LlmRuntime:
    """An `LLM`; see `protocol.Runtime`. Made by `trtllm_llm.load`, then started.

    Args:
        directory: of the checkpoint.
        facts, limits: of the model.
        options_for: keyword arguments of `LLM` for a `Room`.
    """

    name = "trtllm-llm"
    ranks: Ranks = "leader"
    cuda_stream: int | None = None
    streams = True

    def __init__(
        self, directory: str, facts: ModelFacts, limits: Limits, options_for: Callable[[Room], dict[str, Any]]
    ) -> None:
        self.model = facts
        self.limits = limits
        self._directory = directory
        self._options_for = options_for
        self._room: Room | None = None
        self._llm: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._prompts: list[list[int]] = []
        self._sampling: Any = None
        self._greedy = True

    def start(self, room: Room) -> None:
        """Make the engine. Where memory does not suffice for all cases, each makes one of its own size (`prepare`).

        Raises:
            MeasurementError: the checkpoint does not load.
        """
        try:
            self._make(room)
        except Exception as error:
            if "out of memory" in str(error).lower():
                return
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise MeasurementError(f"--runtime {self.name} cannot load {self._directory}: {reason}") from error

    def prepare(self, case: BenchmarkCase, seed: int) -> None:
        from tensorrt_llm import SamplingParams

        if case.gpu_weights_percent != 1.0:
            raise UsageError(
                f"{self.name} has no weight streaming: --gpu_weights_percent must be 1.0, got "
                f"{case.gpu_weights_percent:g}; engines have it (--runtime trtllm-engine)"
            )
        assert case.output_len is not None
        needed = Room.of_case(case)
        if self._room is None or not self._room.holds(needed):
            self._make(needed if self._room is None else self._room.joined(needed))
        ids = draw_token_ids(case.batch_size, case.input_len, self.model.vocab_size, seed)
        self._prompts = ids.tolist()
        self._greedy = case.num_beams == 1  # beams are not streamed
        beams = {} if self._greedy else {"use_beam_search": True, "n": case.num_beams}
        # No end token, and none looked for: as many tokens as asked, whatever the model would say.
        self._sampling = SamplingParams(
            max_tokens=case.output_len,
            end_id=-1,
            pad_id=-1,
            ignore_eos=True,
            detokenize=False,
            return_perf_metrics=True,
            **beams,
        )

    def run(self, on_step: OnStep | None) -> IterationOutcome:
        assert self._sampling is not None, "prepare() comes before run()"
        if on_step is None or not self._greedy:
            answers = self._llm.generate(self._prompts, sampling_params=self._sampling, use_tqdm=False)
            tokens_per_stamp = None
        else:
            if self._loop is None:  # one for all iterations: requests belong to the loop that made them
                self._loop = asyncio.new_event_loop()
            answers, tokens_per_stamp = self._loop.run_until_complete(self._stream(on_step))
        best = [answer.outputs[0] for answer in answers]  # of several beams the first: the others are no tokens more
        metrics = [getattr(output, "request_perf_metrics", None) for output in best]
        details: dict[str, Any] = {}
        if (told := server_timing.iterations(metrics)) is not None:
            details = {"first_iter": [min(told[0]), max(told[0])], "last_iter": [min(told[1]), max(told[1])]}
        if tokens_per_stamp is not None and tokens_per_stamp > 1:
            details["tokens_per_stamp"] = tokens_per_stamp
        return IterationOutcome(
            osl=np.array([len(output.token_ids) for output in best], dtype=np.int32),
            phases_ns=server_timing.batch_phases_ns(metrics),
            ran_together=server_timing.ran_together(metrics),
            details=details,
        )

    async def _stream(self, on_step: OnStep) -> tuple[list[Any], int]:
        """The whole batch at once; the first row's tokens are stamped as they come, the others are waited for.

        All rows take the same steps, so one row's stream tells of all, and costs the same at any batch size.
        """
        submit, params = self._llm.generate_async, self._sampling
        first = submit(self._prompts[0], sampling_params=params, streaming=True)
        others = [submit(prompt, sampling_params=params, streaming=False) for prompt in self._prompts[1:]]
        most = 0
        async for answer in first:  # the same object each time: only what is new in it counts
            new = len(answer.outputs[0].token_ids_diff)
            if new:
                on_step()
                most = max(most, new)
        return [first, *[await other for other in others]], most

    def release(self) -> None:
        self._prompts, self._sampling = [], None

    def close(self) -> None:
        self.release()
        self._shut_down()
        if self._loop is not None:
            self._loop.close()
            self._loop = None

    def _make(self, room: Room) -> None:
        from tensorrt_llm import LLM

        self._shut_down()  # two engines would not fit
        self._llm = LLM(self._directory, **self._options_for(room))
        self._room = room

    def _shut_down(self) -> None:
        llm, self._llm, self._room = self._llm, None, None
        if llm is not None:
            llm.shutdown()
