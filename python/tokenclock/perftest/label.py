"""The label of a performance-test case: everything about it in one name, and its canonical form."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BACKENDS", "DTYPES", "MODES", "RUNTIMES", "Label"]

RUNTIMES = ("bench", "cpp", "cppmanager", "python", "disagg_server")
BACKENDS = ("pytorch", "_autodeploy")
MODES = ("plugin", "ootb", "ootb_except_mha", "plugin_ifb")
DTYPES = ("float32", "float16", "bfloat16", "float8", "float4")


@dataclass(frozen=True)
class Label:
    """What one case asks for.

    Args:
        model: name in the file of models.
        runtime: ``bench`` runs `throughput`; ``cpp``, ``cppmanager`` and ``python`` run `benchmark`; ``disagg_server``.
        subtype: device subtype of AutoDeploy cases.
        executor_api: word ``exe``, of ``cppmanager``.
        backend: empty for TensorRT engines, ``pytorch`` or ``_autodeploy``.
        streaming: tokens are asked for one by one.
        static_batching: of ``cppmanager``.
        mode: of runtimes other than ``bench``.
        dtype: of the weights; None where the label names none (disaggregated cases).
        gpu_weights_percent: share of the weights on the GPU, [0, 1]; None: all, and not said.
        multiple_profiles: engine with several optimisation profiles.
        max_batch_size, max_num_tokens: of the scheduler.
        kv_frac: share of the free GPU memory for the KV cache, (0, 1].
        build_only: only the engine is built; then there are no lengths.
        batch_sizes: static ones; empty: none.
        lengths: pairs of input and output tokens; the second is None where a model has no output.
        beams: width of beam search.
        loras: number of adapters.
        quant: of the weights, empty for none.
        kv_cache_dtype: ``auto`` or ``fp8``.
        num_requests: of the data set; 0: all of it.
        concurrency: requests under way at most; None: no limit.
        ep, tp, pp, gpus: expert, tensor and pipeline parallelism, and GPUs in all: tp x pp.
        ctx_parallel, gen_parallel: of disaggregated servers, as ``tp:4``; None elsewhere.
    """

    model: str
    runtime: str
    subtype: str | None = None
    executor_api: bool = False
    backend: str = ""
    streaming: bool = False
    static_batching: bool = False
    mode: str = "plugin"
    dtype: str | None = None
    gpu_weights_percent: float | None = None
    multiple_profiles: bool = False
    max_batch_size: int = 512
    max_num_tokens: int = 2048
    kv_frac: float = 0.9
    build_only: bool = False
    batch_sizes: tuple[int, ...] = ()
    lengths: tuple[tuple[int, int | None], ...] = ()
    beams: int = 1
    loras: int = 0
    quant: str = ""
    kv_cache_dtype: str = "auto"
    num_requests: int = 512
    concurrency: int | None = None
    ep: int | None = None
    tp: int = 1
    pp: int = 1
    gpus: int = 1
    ctx_parallel: str | None = None
    gen_parallel: str | None = None

    @property
    def is_bert_like(self) -> bool:
        """Whether the model's name says that it is an encoder without output."""
        return "bert" in self.model.lower()

    def canonical(self) -> str:
        """The label in the flow's order, with both limits and without other defaults; parsing it gives it again."""
        parts = [self.model]
        if self.subtype is not None:
            parts.append(f"subtype:{self.subtype}")
        parts.append(self.runtime)
        parts += [f"ctx_{self.ctx_parallel}"] if self.ctx_parallel else []
        parts += [f"gen_{self.gen_parallel}"] if self.gen_parallel else []
        parts += ["exe"] if self.executor_api else []
        parts += [self.backend] if self.backend else []
        parts += ["streaming"] if self.streaming else []
        parts += ["static_batching"] if self.static_batching else []
        parts += [self.mode] if self.mode != "plugin" else []
        parts += [self.dtype] if self.dtype else []
        parts += [] if self.gpu_weights_percent is None else [f"gwp:{self.gpu_weights_percent:g}"]
        parts += ["mp"] if self.multiple_profiles else []
        parts += [f"maxbs:{self.max_batch_size}", f"maxnt:{self.max_num_tokens}"]
        parts += [f"kv_frac:{self.kv_frac:g}"] if self.kv_frac != 0.9 else []
        parts += ["build_only"] if self.build_only else []
        parts += ["bs:" + "+".join(map(str, self.batch_sizes))] if self.batch_sizes else []
        parts += [self._lengths()] if self.lengths else []
        parts += [f"beams:{self.beams}"] if self.beams > 1 else []
        parts += [f"loras:{self.loras}"] if self.loras > 0 else []
        parts += [f"quant:{self.quant}"] if self.quant else []
        parts += [f"kv_cache_dtype:{self.kv_cache_dtype}"] if self.kv_cache_dtype != "auto" else []
        parts += [f"reqs:{self.num_requests}"] if self.num_requests != 512 else []
        parts += [] if self.concurrency is None else [f"con:{self.concurrency}"]
        parts += [] if self.ep is None else [f"ep:{self.ep}"]
        parts += [f"tp:{self.tp}"] if self.tp > 1 and self.tp != self.gpus else []
        parts += [f"pp:{self.pp}"] if self.pp > 1 else []
        parts += [f"gpus:{self.gpus}"] if self.gpus > 1 else []
        return "-".join(parts)

    def _lengths(self) -> str:
        if self.lengths[0][1] is None:
            return "input_len:" + "+".join(str(isl) for isl, _ in self.lengths)
        return "input_output_len:" + "+".join(f"{isl},{osl}" for isl, osl in self.lengths)
