"""Models of the `transformers` library, on CPU and CUDA: decoders, encoders and encoder-decoders in PyTorch.

Tensor parallel is not offered: under mpirun each rank runs a whole copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenclock.errors import UsageError
from tokenclock.layers import LayerInfo, LayerTime
from tokenclock.parallel import World
from tokenclock.plan_benchmark import BenchmarkCase
from tokenclock.runtime.checkpoint_config import holds_checkpoint
from tokenclock.runtime.options import RuntimeOptions, refuse_split
from tokenclock.runtime.protocol import IterationOutcome, Limits, ModelFacts, OnStep, Ranks
from tokenclock.runtime.token_ids import draw_token_ids
from tokenclock.runtime.torch_device import TorchDevice

if TYPE_CHECKING:
    import torch

__all__ = ["TransformersRuntime", "load", "recognises"]

NAME = "transformers"


def recognises(directory: str) -> bool:
    """Whether a directory holds config.json and safetensors."""
    return holds_checkpoint(directory)


def load(directory: str, family: str, options: RuntimeOptions, world: World) -> TransformersRuntime:
    """Load a checkpoint, or ``tiny:llama``, ``tiny:bert``, ``tiny:t5`` (random weights from `options.seed`).

    Raises:
        UsageError: the model is of another family, or the runtime does not have what is asked for.
        MeasurementError: PyTorch or transformers is not installed, or the checkpoint does not load.
    """
    _refuse_what_is_not_offered(options)
    from tokenclock.runtime.transformers_model import load_model

    model, device, facts, limits = load_model(directory, family, options, world)
    return TransformersRuntime(model, device, facts, limits, compiled=options.torch_compile)


def _refuse_what_is_not_offered(options: RuntimeOptions) -> None:
    refuse_split(NAME, options)
    if options.cuda_graph:
        raise UsageError(f"--runtime {NAME} has no CUDA graph of its own: leave --enable_cuda_graph out")


class TransformersRuntime:
    """A model of `transformers`. Made by `load`; or by hand around a model that is there already.

    Args:
        model: in evaluation mode, on its device.
        device: that device.
        facts, limits: of the model; `facts.family` says what `run` does.
        compiled: the model is to run under ``torch.compile``; warm-up pays for it, once for every new shape.
    """

    name = NAME
    ranks: Ranks = "replica"

    def __init__(
        self, model: torch.nn.Module, device: TorchDevice, facts: ModelFacts, limits: Limits, *, compiled: bool = False
    ) -> None:
        import torch

        self.model = facts
        self.limits = limits
        self.streams = facts.family != "enc"
        self.cuda_stream = device.stream
        self._model: Any = model
        self._device = device
        self._compiled = compiled
        if compiled:
            self._model.forward = torch.compile(self._model.forward)
        self._inputs: dict[str, Any] | None = None
        self._prompt_len = 0

    def prepare(self, case: BenchmarkCase, seed: int) -> None:
        import torch

        if case.gpu_weights_percent != 1.0:
            raise UsageError(
                f"{NAME} keeps all weights on its device: --gpu_weights_percent must be 1.0, got "
                f"{case.gpu_weights_percent:g}"
            )
        config = self._model.config
        special = {value for value in (config.pad_token_id, config.eos_token_id) if isinstance(value, int)}
        ids = draw_token_ids(case.batch_size, case.input_len, self.model.vocab_size, seed, without=special)
        input_ids = torch.from_numpy(ids.astype(np.int64)).to(self._device.device)
        self._inputs = {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids)}
        # what generate() returns begins with the prompt of a decoder, or with the one start token of an enc-dec model
        self._prompt_len = case.input_len if self.model.family == "dec" else 1
        if case.output_len is not None:
            self._inputs["generation_config"] = self._generation(case.output_len, case.num_beams)

    def run(self, on_step: OnStep | None) -> IterationOutcome:
        import torch

        assert self._inputs is not None, "prepare() comes before run()"
        with torch.inference_mode():
            if self.model.family == "enc":
                self._model(**self._inputs)
                self._device.wait()
                return IterationOutcome()
            criteria = [] if on_step is None else [_StepMark(on_step, self._device)]
            ids = self._model.generate(**self._inputs, stopping_criteria=criteria)
        self._device.wait()
        n_rows, length = ids.shape
        # end-of-sequence is masked until the last token, so no row ends before the others
        return IterationOutcome(osl=np.full(n_rows, length - self._prompt_len, dtype=np.int32))

    def profile_layers(self) -> Sequence[LayerTime]:
        """See `layers.LayerProfiler`."""
        from tokenclock.runtime.torch_layers import LayerWatch

        if self._compiled:
            raise UsageError("a compiled model has no layers left to time: leave --torch_compile out")
        watch = LayerWatch(self._device)

        def after_a_step() -> None:
            watch.phase = "generation"

        with watch.watching(self._model):
            self.run(after_a_step)
        return watch.times()

    def list_layers(self) -> Sequence[LayerInfo]:
        """See `layers.LayerLister`."""
        from tokenclock.runtime.torch_layers import list_layers

        return list_layers(self._model)

    def release(self) -> None:
        self._inputs = None
        self._device.free_unused()

    def close(self) -> None:
        self._inputs = self._model = None
        self._device.free_unused()

    def _generation(self, output_len: int, num_beams: int) -> Any:
        from transformers import GenerationConfig

        own = self._model.generation_config
        pad = own.pad_token_id if own.pad_token_id is not None else own.eos_token_id
        return GenerationConfig(
            min_new_tokens=output_len,
            max_new_tokens=output_len,
            do_sample=False,
            num_beams=num_beams,
            use_cache=True,
            cache_implementation="static" if self._compiled else None,
            bos_token_id=own.bos_token_id,
            eos_token_id=own.eos_token_id,
            pad_token_id=pad[0] if isinstance(pad, list) else (0 if pad is None else pad),
            decoder_start_token_id=own.decoder_start_token_id,
        )


class _StepMark:
    """A stopping criterion that never stops: `generate` asks it after each step, for all rows at once."""

    def __init__(self, on_step: OnStep, device: TorchDevice) -> None:
        self._on_step, self._device = on_step, device
        self._go_on: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: Any, **others: Any) -> torch.Tensor:
        self._device.wait()  # on a GPU the step's tokens are only enqueued yet
        self._on_step()
        if self._go_on is None or self._go_on.shape[0] != input_ids.shape[0]:
            import torch

            self._go_on = torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)
        return self._go_on
