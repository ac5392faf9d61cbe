"""CTranslate2: the embedded runtime. All three families, on CPU and CUDA, from a directory its converters wrote.

Its CUDA stream is not exposed, so no device events are taken; a call returns when the stream is idle. On CPU every
rank runs a whole replica; on CUDA several ranks share the model (its own tensor parallel mode, which speaks MPI).
Token ids are not taken by its generators, only the tokens' texts: turning them back is part of what is timed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tokenclock.errors import MeasurementError, UsageError
from tokenclock.layers import LayerInfo
from tokenclock.parallel import World
from tokenclock.plan_benchmark import BenchmarkCase
from tokenclock.runtime import worker_thread
from tokenclock.runtime.ctranslate2_file import MODEL_FILE, ModelFile, layers_of, read_model_file
from tokenclock.runtime.ctranslate2_vocabulary import read_vocabulary
from tokenclock.runtime.find import TINY_PREFIX
from tokenclock.runtime.options import RuntimeOptions, refuse_split
from tokenclock.runtime.protocol import Family, IterationOutcome, Limits, ModelFacts, OnStep, Ranks

__all__ = ["CTranslate2Runtime", "OpenModel", "load", "open_model", "recognises", "threads_of_rank"]


def recognises(directory: str) -> bool:
    """Whether the directory holds a converted model."""
    return (Path(directory) / MODEL_FILE).is_file()


def load(directory: str, family: Family, options: RuntimeOptions, world: World) -> CTranslate2Runtime:
    """Load a converted model, or ``tiny:llama``, ``tiny:bert``, ``tiny:t5``.

    Raises: as `open_model`.
    """
    found = open_model(directory, family, options, world)
    calls: dict[str, type[_Generate | _Encode | _Translate]] = {
        "dec": _Generate,
        "enc": _Encode,
        "enc-dec": _Translate,
    }
    ranks: Ranks = "spmd" if found.shares_model else "replica"
    call = calls[family](found.model, found.tokens)
    return CTranslate2Runtime(found.model, found.facts, found.limits, call, ranks, found.layers)


@dataclass(frozen=True)
class OpenModel:
    """A model that is loaded, its facts, and the tokens' texts by id; several ranks share it, or have one each."""

    model: Any
    facts: ModelFacts
    limits: Limits
    tokens: list[str]
    shares_model: bool
    layers: Sequence[LayerInfo]


def open_model(
    directory: str,
    family: Family,
    options: RuntimeOptions,
    world: World,
    *,
    inter_threads: Callable[[str], int] = lambda _device: 1,
) -> OpenModel:
    """Load a converted model, or a tiny one. `inter_threads`: calls that run side by side, for `cpu` or `cuda`.

    Raises:
        UsageError: no such model, one of another family, or a dtype that the device cannot compute in.
        MeasurementError: CTranslate2 is not installed, or it does not load the model.
    """
    try:
        import ctranslate2
    except ImportError as error:
        raise MeasurementError(
            f"the runtime ctranslate2 is not installed ({error}): pip install 'tokenclock[offline]', or name another "
            "--runtime"
        ) from error
    n_positions = None
    name, is_tiny = Path(directory).resolve().name, directory.startswith(TINY_PREFIX)
    if is_tiny:
        from tokenclock.runtime.tiny_models import TINY_POSITIONS, tiny_model

        n_positions = TINY_POSITIONS
        name, directory = directory.replace(":", "-"), tiny_model(directory)
    if not recognises(directory):
        raise UsageError(
            f"--engine_dir {directory} holds no {MODEL_FILE}: convert the model (ct2-transformers-converter --model "
            "DIR --output_dir OUT), or name another --runtime"
        )
    file = read_model_file(directory)
    if file.family != family:
        found = file.family or f"something else ({file.spec})"
        raise UsageError(f"--model must be what --engine_dir holds, got {family} for a model that is {found}")
    device = _device(ctranslate2, options.device)
    compute_type = _compute_type(ctranslate2, device, file, options)
    shares_model = device == "cuda" and world.size > 1
    refuse_split("ctranslate2", options, tp=world.size if shares_model else 1)
    settings: dict[str, Any] = {
        "device": device,
        "compute_type": compute_type,
        "inter_threads": inter_threads(device),
    }
    if device == "cpu":
        share = threads_of_rank(world)
        settings["intra_threads"] = options.threads or (1 if is_tiny else share)  # more would only wait for each other
    elif shares_model:
        settings["tensor_parallel"] = True
    else:
        settings["device_index"] = world.local_rank % max(1, ctranslate2.get_cuda_device_count())
    kind = {"dec": "Generator", "enc": "Encoder", "enc-dec": "Translator"}[family]
    try:
        model = getattr(ctranslate2, kind)(directory, **settings)
    except (RuntimeError, ValueError) as error:
        raise MeasurementError(f"ctranslate2 does not load {directory}: {' '.join(str(error).split())}") from error
    facts = _facts(name, family, file, model.compute_type, {**settings, "version": ctranslate2.__version__})
    tokens = read_vocabulary(directory, "source" if family == "enc-dec" else "")
    return OpenModel(model, facts, _limits(family, file, n_positions), tokens, shares_model, layers_of(file))


class CTranslate2Runtime:
    """A loaded model; see `runtime.protocol.Runtime` for what each call promises."""

    name = "ctranslate2"
    cuda_stream: int | None = None

    def __init__(
        self,
        model: Any,
        facts: ModelFacts,
        limits: Limits,
        call: _Generate | _Encode | _Translate,
        ranks: Ranks,
        layers: Sequence[LayerInfo] = (),
    ) -> None:
        self.model, self.limits, self.ranks = facts, limits, ranks
        self.streams = facts.family != "enc"
        self._model: Any = model
        self._layers = layers
        self._call: _Generate | _Encode | _Translate | None = call
        self._run: Callable[[OnStep | None], IterationOutcome] | None = None
        self._on_worker(worker_thread.hold)

    def prepare(self, case: BenchmarkCase, seed: int) -> None:
        if case.gpu_weights_percent != 1.0:
            raise UsageError("ctranslate2 keeps all weights on the device: gpu_weights_percent must be 1.0")
        assert self._call is not None, "it was closed"
        self._run = self._call.prepare(case, np.random.default_rng([seed, case.batch_size, case.input_len]))

    def run(self, on_step: OnStep | None) -> IterationOutcome:
        assert self._run is not None, "prepare comes first"
        return self._run(on_step)

    def list_layers(self) -> Sequence[LayerInfo]:
        """What the model's file holds; see `layers.LayerLister`. There is no way to time them."""
        return self._layers

    def release(self) -> None:
        self._run = None

    def close(self) -> None:
        self.release()
        if self._model is None:
            return
        self._on_worker(worker_thread.let_go)
        self._model.unload_model()
        self._model = self._call = None  # its threads end now, and not at the end of the interpreter, which aborts then

    def _on_worker(self, act: Callable[[], None]) -> None:
        """Call `act` once on the thread that the callbacks come from."""
        if self.streams and self._call is not None:
            self._call.prepare(BenchmarkCase(0, self.model.family, 1, 1, 1), np.random.default_rng(0))(act)


class _Generate:
    """Decoder-only: greedy or beam search, as many tokens as asked; end of text may appear, and ends nothing."""

    def __init__(self, model: Any, tokens: list[str]) -> None:
        self._model, self._tokens = model, tokens

    def prepare(self, case: BenchmarkCase, draws: np.random.Generator) -> Callable[[OnStep | None], IterationOutcome]:
        prompts = _drawn(self._tokens, case, draws)
        options: dict[str, Any] = {
            "max_length": case.output_len,
            "min_length": case.output_len,
            "beam_size": case.num_beams,
            "sampling_topk": 1,
            "include_prompt_in_result": False,
            "end_token": [],
        }
        generate = self._model.generate_batch
        greedy = case.num_beams == 1

        def run(on_step: OnStep | None) -> IterationOutcome:
            callback = _once_per_step(on_step) if on_step is not None and greedy else None
            results = generate(prompts, callback=callback, **options)
            return IterationOutcome(osl=np.array([len(result.sequences_ids[0]) for result in results], np.int32))

        return run


class _Translate:
    """Encoder-decoder: the encoder's input is never cut, and the decoder makes exactly as many tokens as asked."""

    def __init__(self, model: Any, tokens: list[str]) -> None:
        self._model, self._tokens = model, tokens

    def prepare(self, case: BenchmarkCase, draws: np.random.Generator) -> Callable[[OnStep | None], IterationOutcome]:
        sources = _drawn(self._tokens, case, draws)
        options: dict[str, Any] = {
            "max_input_length": 0,  # else what is beyond 1024 tokens is dropped
            "max_decoding_length": case.output_len,
            "min_decoding_length": case.output_len,
            "beam_size": case.num_beams,
            "end_token": [],
        }
        translate = self._model.translate_batch
        greedy = case.num_beams == 1

        def run(on_step: OnStep | None) -> IterationOutcome:
            callback = _once_per_step(on_step) if on_step is not None and greedy else None
            results = translate(sources, callback=callback, **options)
            return IterationOutcome(osl=np.array([len(result.hypotheses[0]) for result in results], np.int32))

        return run


class _Encode:
    """Encoder-only: ids in, hidden states out; the output is left where the model put it."""

    def __init__(self, model: Any, tokens: list[str]) -> None:
        self._model, self._tokens = model, tokens

    def prepare(self, case: BenchmarkCase, draws: np.random.Generator) -> Callable[[OnStep | None], IterationOutcome]:
        import ctranslate2

        usable = np.flatnonzero(_usable(self._tokens))
        shape = (case.batch_size, case.input_len)
        ids = ctranslate2.StorageView.from_array(draws.choice(usable, shape).astype(np.int32))
        lengths = ctranslate2.StorageView.from_array(np.full(case.batch_size, case.input_len, np.int32))
        forward = self._model.forward_batch

        def run(_: OnStep | None) -> IterationOutcome:
            forward(ids, lengths)
            return IterationOutcome()

        return run


def _once_per_step(on_step: OnStep) -> Callable[[Any], bool]:
    """The callback is called for every row of every step; the first row to be told of a step stamps it."""
    last = -1

    def callback(result: Any) -> bool:
        nonlocal last
        step = result.step
        if step != last:
            on_step()
            last = step
        return False  # go on

    return callback


def _usable(tokens: list[str]) -> Any:
    """bool (n,): tokens to draw inputs from; control tokens such as ``<s>`` and ``[PAD]`` are left out."""
    return np.array([not (len(text) > 2 and text[0] + text[-1] in ("<>", "[]")) for text in tokens])


def _drawn(tokens: list[str], case: BenchmarkCase, draws: np.random.Generator) -> list[list[str]]:
    ids = draws.choice(np.flatnonzero(_usable(tokens)), (case.batch_size, case.input_len))
    return [[tokens[number] for number in row] for row in ids.tolist()]


def _device(ctranslate2: Any, asked: str) -> str:
    n_gpus = ctranslate2.get_cuda_device_count()
    if asked == "cuda" and not n_gpus:
        raise UsageError("--device cuda needs a GPU that CTranslate2 can use, got none; use --device cpu")
    return "cuda" if n_gpus and asked != "cpu" else "cpu"


def _compute_type(ctranslate2: Any, device: str, file: ModelFile, options: RuntimeOptions) -> str:
    """The dtype asked for, around quantised weights where the file has them; float32 where the device lacks it."""
    prefix = f"{file.weight_dtype}_" if file.weight_dtype == "int8" else ""
    if file.weight_dtype == "int16":  # knows no dtype around it
        return "int16"
    wanted, offered = prefix + options.dtype, ctranslate2.get_supported_compute_types(device)
    if wanted in offered:
        return wanted
    if options.dtype_named:
        able = sorted(
            kind.removeprefix(prefix) for kind in offered if kind.startswith(prefix) and "int" not in kind[4:]
        )
        known = [kind for kind in ("float16", "bfloat16", "float32") if kind in able]
        raise UsageError(
            f"--dtype must be what CTranslate2 computes in on this {device} ({', '.join(known)}), got {options.dtype}"
        )
    return prefix + "float32"


def threads_of_rank(world: World) -> int:
    """Cores of this rank: those it may use, shared with the ranks of its host that may use the same. All ranks call."""
    cores = tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()
    sharing = world.gather_all((world.host, cores)).count((world.host, cores))
    return max(1, (len(cores) or os.cpu_count() or 1) // sharing)


def _facts(name: str, family: Family, file: ModelFile, compute_type: str, details: dict[str, Any]) -> ModelFacts:
    stack = "decoder" if family == "dec" else "encoder"  # of enc-dec the original reports the encoder
    n_heads = file.scalar(f"{stack}/num_heads")
    sizes = file.embeddings(stack)
    precision = compute_type.rpartition("_")[2] if compute_type.startswith("int8") else compute_type
    return ModelFacts(
        name=name,
        family=family,
        num_heads=n_heads,
        num_kv_heads=file.scalar(f"{stack}/layer_0/self_attention/num_heads_kv")
        or file.scalar(f"{stack}/num_heads_kv")
        or n_heads,
        num_layers=file.n_layers(stack),
        hidden_size=None if sizes is None else sizes[1],
        vocab_size=None if sizes is None else sizes[0],
        precision=precision,
        quantization=file.weight_dtype if file.weight_dtype.startswith("int") else None,
        weights_bytes=file.weights_bytes,
        details={**details, "spec": file.spec, "compute_type": compute_type},
    )


def _limits(family: Family, file: ModelFile, n_positions: int | None) -> Limits:
    """A table of positions is the only limit such a model has; `n_positions` stands in where there is none."""
    of_encoder, of_decoder = (file.n_positions(stack) or n_positions for stack in ("encoder", "decoder"))
    if family == "enc":
        return Limits(max_input_len=of_encoder)
    if family == "dec":
        return Limits(max_seq_len=of_decoder)
    return Limits(max_input_len=of_encoder, max_output_len=of_decoder)
