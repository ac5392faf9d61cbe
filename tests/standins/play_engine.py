"""The stand-in's engines: decoders and encoders that wait for a set time and return tokens; checks as the real ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from tensorrt_llm._played import play_common
from tensorrt_llm._played.play_common import DataType, IProfiler, LayerInformationFormat, pass_time, plays

_ACCEPTED_SAMPLING = {
    "num_beams",
    "top_k",
    "top_p",
    "top_p_min",
    "top_p_reset_ids",
    "top_p_decay",
    "temperature",
    "min_tokens",
    "beam_search_diversity_rate",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "length_penalty",
    "early_stopping",
    "no_repeat_ngram_size",
    "random_seed",
    "num_return_sequences",
    "min_p",
    "beam_width_array",
}
_DECODE_EXTRAS = {"benchmark_profiler", "skip_cross_attn_blocks", "position_ids"}


def read_engine(folder: Path, rank: int) -> tuple[SimpleNamespace, SimpleNamespace, bytes]:
    """Build and pretrained configuration and bytes, after the checks of world size and file that every loader makes."""
    config = json.loads((folder / "config.json").read_text())
    pretrained = SimpleNamespace(**config["pretrained_config"])
    world = pretrained.mapping["tp_size"] * pretrained.mapping["pp_size"]
    if world != play_common.mpi_world_size():
        raise AssertionError(f"Engine world size ({world}) != Runtime world size ({play_common.mpi_world_size()})")
    if rank != play_common.mpi_rank():
        raise AssertionError(f"rank {rank} is not the MPI rank {play_common.mpi_rank()}")
    return SimpleNamespace(**config["build_config"]), pretrained, (folder / f"rank{rank}.engine").read_bytes()


def n_generated(asked: int, end_id: Any, least: int) -> int:
    """Half of what is asked where the model is free to end: whoever wants exact lengths must say so."""
    return asked if end_id == -1 or least >= asked else max(1, asked // 2)


class _Inspector:
    """The real one's two calls take these positional arguments, and nothing else."""

    def __init__(self, layers: list[dict[str, Any] | str]) -> None:
        self._layers = layers

    def get_layer_information(self, layer_index: int, format: LayerInformationFormat) -> str:
        if not isinstance(format, LayerInformationFormat):
            raise TypeError("get_layer_information(): incompatible function arguments")
        return json.dumps(self._layers[layer_index])


LAYERS: list[dict[str, Any] | str] = [
    {
        "Name": "layers/0/attention",
        "LayerType": "PluginV2",
        "Inputs": [{"Name": "qkv", "Dimensions": [-1, 6144], "Format/Datatype": "Half"}],
        "Outputs": [{"Name": "context", "Dimensions": [-1, 4096], "Format/Datatype": "Half"}],
        "TacticName": "",
    },
    "layers/0/mlp",  # as an engine of names only says it
]


class _Runtime:
    """A session's part that holds the engine; the profiler, once set, stays."""

    def __init__(self, streamable: bool) -> None:
        self.weights_percent = 1.0
        self._streamable = streamable
        self.profiler: Any = None
        self.engine = SimpleNamespace(num_layers=len(LAYERS))
        self.engine_inspector = _Inspector(LAYERS)

    def _set_profiler(self) -> None:
        if self.profiler is None:
            self.profiler = SimpleNamespace(results=[])

    def report(self, step: int) -> None:
        if self.profiler is not None:
            pass_time("PROFILE", 1)
            self.profiler.results += [("layers/0/attention", 2.0 if step == 0 else 0.5), ("layers/0/mlp", 0.25)]
            self.profiler.results.append(("step", step))

    def _set_weight_streaming(self, fraction: float) -> None:
        if not self._streamable:
            raise RuntimeError("the engine has no streamable weights")
        self.weights_percent = fraction


def new_session(cls: type, build: Any, pretrained: Any, *, encoder: bool = False) -> Any:
    for name in ("profiler", "engine_inspector"):  # properties of the real one, which its runtime answers
        setattr(cls, name, property(lambda session, name=name: getattr(session.runtime, name)))
    session = cls.__new__(cls)
    session._build, session._pretrained = build, pretrained
    session.runtime = _Runtime(bool(build.weight_streaming))
    session.context_mem_size = 3 << 20
    session.cuda_graph_mode = False
    session.remove_input_padding = build.plugin_config["remove_input_padding"]
    session._setup = None
    return session


@plays("ModelRunner.from_dir")
def runner_from_dir(cls: type, engine_dir: str, rank: int, gpu_weights_percent: float, **others: Any) -> Any:
    from tensorrt_llm.runtime import GenerationSession

    build, pretrained, _ = read_engine(Path(engine_dir), rank)
    runner = cls.__new__(cls)
    runner.session = new_session(GenerationSession, build, pretrained)
    if gpu_weights_percent != 1 or build.weight_streaming:
        runner.session.runtime._set_weight_streaming(gpu_weights_percent)
    for name in ("max_batch_size", "max_input_len", "max_seq_len", "max_beam_width"):
        setattr(runner, name, getattr(build, name))
    return runner


@plays("GenerationSession.setup")
def setup(session: Any, batch_size: int, max_context_length: int, max_new_tokens: int, **named: Any) -> None:
    pass_time("SETUP", 2)
    beams = named["beam_width"]
    if batch_size > session._build.max_batch_size or beams > session._build.max_beam_width:
        raise AssertionError("batch or beam width above the engine's limit")
    session._setup = SimpleNamespace(
        batch=batch_size, context=max_context_length, new=max_new_tokens, beams=beams, named=named
    )


@plays("SamplingConfig.__init__")
def sampling_config(config: Any, **fields: Any) -> None:
    for name, value in fields.items():
        setattr(config, name, value)


@plays("GenerationSession.decode_batch")
def decode_batch(session: Any, input_ids: Any, sampling_config: Any, streaming: bool, extra: Any = None) -> Any:
    rows = list(input_ids)
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.int32)
    return session.decode(torch.cat(rows), lengths, sampling_config, streaming=streaming, **(extra or {}))


@plays("GenerationSession.decode")
def decode(session: Any, input_ids: Any, context_lengths: Any, sampling_config: Any, **named: Any) -> Any:
    state = session._setup
    if state is None:
        raise AssertionError("setup() comes before decode()")
    extra = named.pop("extra", {})
    if unknown := extra.keys() - _DECODE_EXTRAS:
        raise TypeError(f"decode() got unexpected keywords {sorted(unknown)}")
    batch = context_lengths.size(0)
    if batch != state.batch or sampling_config.num_beams != state.beams:
        raise AssertionError(
            f"given batch {batch} and beam width {sampling_config.num_beams} differ from setup's "
            f"{state.batch} and {state.beams}"
        )
    if int(context_lengths.max()) > state.context:
        raise AssertionError("context length exceeds setup's")
    if session.remove_input_padding != (input_ids.dim() == 1):
        raise AssertionError(f"input of {input_ids.dim()} dimensions; packed: {session.remove_input_padding}")
    if input_ids.dtype != torch.int32 or context_lengths.dtype != torch.int32:
        raise AssertionError("ids and lengths must be int32")
    least = sampling_config.min_length
    n = n_generated(state.new, sampling_config.end_id, least)
    profiler = extra.get("benchmark_profiler")
    answers = _steps(session, state, context_lengths, n, named, None if named["streaming"] else profiler)
    if named["streaming"]:
        return answers
    *_, last = answers
    return last


def _steps(session: Any, state: Any, lengths: Any, n: int, named: Any, profiler: Any) -> Iterator[Any]:
    """One answer a step and a last, final one, as the real generator yields them."""
    if profiler is not None and profiler.is_recording_perf_profile:
        if session.cuda_graph_mode:
            raise AssertionError("a graph that is replayed reports no layers")
        session.runtime._set_profiler()
    pp = session._pretrained.mapping["pp_size"]
    first_stage = play_common.mpi_rank() < session._pretrained.mapping["tp_size"] or pp == 1
    answer = None
    for step in range(n):
        pass_time("PREFILL", 4) if step == 0 else pass_time("STEP", 1)
        session.runtime.report(step)
        if profiler is not None and step == 0:
            profiler.record_cuda_event("first_token")
        ids = torch.zeros((state.batch, state.beams, state.context + state.new), dtype=torch.int32)
        answer = ids
        if named["return_dict"]:
            answer = {"output_ids": ids}
            if named["output_sequence_lengths"]:
                reached = (lengths + step + 1).reshape(-1, 1).repeat(1, state.beams)
                answer["sequence_lengths"] = reached.to(torch.int32)
        if first_stage:
            yield answer
    if profiler is not None:
        profiler.record_cuda_event("last_token")
        profiler.record_elapsed_time("first_token", "last_token", "generation_time")
        profiler.add_aux_info("generation_step_count", n - 1)
    yield answer if first_stage else None


@plays("ModelRunnerCpp.from_dir")
def cpp_from_dir(cls: type, engine_dir: str, rank: int, **named: Any) -> Any:
    folder = Path(engine_dir)
    main = folder / "decoder" if named["is_enc_dec"] else folder
    build, pretrained, _ = read_engine(main, rank)
    if not build.plugin_config["remove_input_padding"] or str(build.kv_cache_type).lower() != "paged":
        raise RuntimeError("the executor needs packed input and a paged KV cache")
    if named["gpu_weights_percent"] != 1 and not build.weight_streaming:
        raise RuntimeError("the engine has no streamable weights")
    runner = cls.__new__(cls)
    runner._named, runner._pretrained = named, pretrained
    runner.max_batch_size = named["max_batch_size"] or build.max_batch_size
    runner.max_input_len = named["max_input_len"] or build.max_input_len
    if named["is_enc_dec"]:
        encoder, _, _ = read_engine(folder / "encoder", rank)
        runner.max_input_len = encoder.max_input_len
    runner.max_seq_len = build.max_seq_len
    runner.max_beam_width = named["max_beam_width"] or build.max_beam_width
    return runner


@plays("ModelRunnerCpp.generate")
def cpp_generate(runner: Any, batch_input_ids: Any, extra: Any = None, **named: Any) -> Any:
    if named["stopping_criteria"] is not None:
        raise RuntimeError("Stopping criteria is not supported in C++ session.")
    if play_common.mpi_rank() != 0:
        return []
    sampling = {name: value for name, value in (extra or {}).items() if name in _ACCEPTED_SAMPLING}
    beams = sampling.get("num_beams", 1)
    encoder_ids = named["encoder_input_ids"]
    if runner._named["is_enc_dec"] != (encoder_ids is not None):
        raise RuntimeError("encoder ids and the kind of model do not fit")
    inputs = encoder_ids or batch_input_ids
    longest, new = max(len(row) for row in inputs), named["max_new_tokens"]
    prefix = max(len(row) for row in batch_input_ids)
    for what, value, limit in (
        ("Input batch size", len(inputs), runner.max_batch_size),
        ("Maximum input length", longest, runner.max_input_len),
        ("Maximum input length + maximum new tokens", prefix + new, runner.max_seq_len),
        ("Num beams", beams, runner.max_beam_width),
    ):
        if value > limit:
            raise RuntimeError(f"{what} ({value}) exceeds the engine or specified limit ({limit})")
    n = n_generated(new, named["end_id"], sampling.get("min_tokens", 1))
    pass_time("PREFILL", 4)
    for _ in range(n - 1):
        pass_time("STEP", 1)
    ids = torch.full((len(batch_input_ids), beams, runner.max_seq_len), named["end_id"] or 0, dtype=torch.int32)
    if not named["return_dict"]:
        return ids
    answer = {"output_ids": ids}
    if named["output_sequence_lengths"]:
        answer["sequence_lengths"] = torch.tensor(
            [[len(row) + n] * beams for row in batch_input_ids], dtype=torch.int32
        )
    return answer


@plays("Engine.from_dir")
def engine_from_dir(cls: type, engine_dir: str, rank: int) -> Any:
    engine = cls.__new__(cls)
    build, pretrained, engine.engine = read_engine(Path(engine_dir), rank)
    engine.config = SimpleNamespace(build_config=build, pretrained_config=pretrained)
    return engine


@plays("TensorInfo.__init__")
def tensor_info(info: Any, name: str, dtype: Any, shape: Any) -> None:
    info.name, info.dtype, info.shape = name, dtype, tuple(shape)


@dataclass
class _IoEngine:
    """The part of a TensorRT engine that says what goes in and comes out."""

    inputs: dict[str, str]
    outputs: dict[str, str]

    @property
    def num_io_tensors(self) -> int:
        return len(self.inputs) + len(self.outputs)

    def get_tensor_name(self, index: int) -> str:
        return [*self.inputs, *self.outputs][index]

    @property
    def num_layers(self) -> int:
        return len(LAYERS)

    def create_engine_inspector(self) -> _Inspector:
        return _Inspector(LAYERS)

    def get_tensor_mode(self, name: str) -> Any:
        return SimpleNamespace(name="INPUT" if name in self.inputs else "OUTPUT")


class _Context:
    """The part of an execution context that a profiler is attached to: it takes TensorRT's own kind alone."""

    def __init__(self) -> None:
        self._profiler: Any = None

    @property
    def profiler(self) -> Any:
        return self._profiler

    @profiler.setter
    def profiler(self, profiler: Any) -> None:
        if not isinstance(profiler, IProfiler):
            raise TypeError("the profiler must be an IProfiler")
        self._profiler = profiler


@plays("Session.from_serialized_engine")
def session_from_bytes(cls: type, engine: bytes) -> Any:
    session = cls.__new__(cls)
    content = json.loads(engine)
    session.engine = _IoEngine(content["inputs"], content["outputs"])
    session._hidden = content["hidden"]
    session.context = _Context()
    session.context_mem_size = 2 << 20
    session.runtime = _Runtime(content["weight_streaming"])
    session._set_weight_streaming = session.runtime._set_weight_streaming
    session._shapes = None
    return session


@plays("Session.infer_shapes")
def infer_shapes(session: Any, inputs: Any, context: Any) -> Any:
    from tensorrt_llm.runtime import TensorInfo

    for info in inputs:
        if info.name not in session.engine.inputs:
            raise ValueError(f"Tensor:{info.name} is not an input of the engine")
        if info.dtype is not DataType[session.engine.inputs[info.name]]:
            raise ValueError(f"Tensor:{info.name} has another data type than the engine's")
    session._shapes = {info.name: info.shape for info in inputs}
    shape = (*session._shapes["input_ids"], session._hidden)
    return [TensorInfo(name, DataType[kind], shape) for name, kind in session.engine.outputs.items()]


@plays("Session.run")
def run_session(session: Any, inputs: Any, outputs: Any, stream: Any, context: Any) -> bool:
    if not isinstance(stream, int):
        raise TypeError("the stream must be an integer handle")
    if session._shapes is None or inputs.keys() != session.engine.inputs.keys():
        raise RuntimeError(f"inputs must be {sorted(session.engine.inputs)}, got {sorted(inputs)}")
    for name, tensor in inputs.items():
        if tuple(tensor.shape) != session._shapes[name]:
            raise RuntimeError(f"{name} has another shape than infer_shapes was given")
    if outputs.keys() != session.engine.outputs.keys():
        raise RuntimeError(f"outputs must be {sorted(session.engine.outputs)}, got {sorted(outputs)}")
    pass_time("ENCODER", 4)
    if session.context.profiler is not None:
        for layer, ms in (("layers/0/attention", 3.0), ("layers/0/mlp", 1.0)):
            session.context.profiler.report_layer_time(layer, ms)
    return True
