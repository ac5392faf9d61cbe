"""What a user may ask of whichever runtime is loaded; a runtime takes what it knows and names what it cannot do."""

from __future__ import annotations

from dataclasses import dataclass

from tokenclock.errors import UsageError

__all__ = ["RuntimeOptions", "refuse_split"]


@dataclass(frozen=True)
class RuntimeOptions:
    """The same for every runtime. Values were checked by the plan; whether they fit the model is the runtime's to say.

    Args:
        dtype: float16, bfloat16 or float32, to load and compute in.
        dtype_named: the user named it. Where he did not and the device cannot compute in it, a runtime takes the
            nearest it can and says so in `ModelFacts.precision`; where he did, it refuses (UsageError).
        max_batch_size: the largest batch of the sweep, for runtimes that allocate ahead.
        max_input_len, max_output_len: the longest of the sweep, in tokens; no output for encoders.
        num_beams: beam width of every case.
        tp, pp, ep: tensor, pipeline and expert parallel; None: the runtime's own choice (tp: the number of ranks).
        cuda_graph: replay the generation step as a CUDA graph.
        quantization: quantisation mode asked for, by the original's names; None: as the weights are.
        extra_llm_api_options: YAML file with options of TensorRT-LLM's LLM.
        strict_options: an option that the installed release does not know is an error, not a warning.
        torch_compile: compile the model (PyTorch).
        streaming: `run` will be given an `on_step` to call for each generation step.
        seed: of inputs and of whatever else is drawn.
        gpu_weights_percents: every share of the weights that a case of the sweep keeps on the GPU, 0 to 1.
        device: ``auto`` (a GPU where there is one), ``cpu`` or ``cuda``.
        threads: CPU threads of one rank; None: the cores this rank may use, shared with the other ranks of its host.
    """

    dtype: str = "float16"
    dtype_named: bool = False
    max_batch_size: int = 1
    max_input_len: int = 1
    max_output_len: int | None = None
    num_beams: int = 1
    tp: int | None = None
    pp: int | None = None
    ep: int | None = None
    cuda_graph: bool = False
    quantization: str | None = None
    extra_llm_api_options: str | None = None
    strict_options: bool = False
    torch_compile: bool = False
    streaming: bool = True
    seed: int = 0
    gpu_weights_percents: tuple[float, ...] = (1.0,)
    device: str = "auto"
    threads: int | None = None


def refuse_split(runtime: str, options: RuntimeOptions, *, tp: int = 1) -> None:
    """For a runtime that splits a model over `tp` ranks and no other way: refuse every other wish.

    Raises:
        UsageError: --tp, --pp or --ep asks for something else.
    """
    for flag, value, has in (("--tp", options.tp, tp), ("--pp", options.pp, 1), ("--ep", options.ep, 1)):
        if value is not None and value != has:
            each = "a whole model on each rank" if tp == 1 else "one model over all ranks, by tensors"
            raise UsageError(
                f"{flag} must be {has}, got {value}: --runtime {runtime} runs {each} here; "
                "leave it out, or split the model by TensorRT-LLM"
            )
