"""Loads a model of `transformers`: from a checkpoint directory, or a tiny one with weights from a seed."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenclock.errors import MeasurementError, UsageError
from tokenclock.parallel import World
from tokenclock.plan_checks import shown
from tokenclock.runtime.checkpoint_config import checkpoint_facts, family_of, positions_of, read_config
from tokenclock.runtime.options import RuntimeOptions
from tokenclock.runtime.protocol import Family, Limits, ModelFacts
from tokenclock.runtime.tiny_models import TINY_POSITIONS
from tokenclock.runtime.torch_device import TorchDevice, pick_device

if TYPE_CHECKING:
    import torch

__all__ = ["TINY_FAMILIES", "load_model"]

TINY_FAMILIES: dict[str, Family] = {"tiny:llama": "dec", "tiny:bert": "enc", "tiny:t5": "enc-dec"}
_CLASSES = {"dec": "AutoModelForCausalLM", "enc": "AutoModel", "enc-dec": "AutoModelForSeq2SeqLM"}
_SPOKEN = {"dec": "a decoder", "enc": "an encoder", "enc-dec": "an encoder-decoder"}


def load_model(
    directory: str, family: str, options: RuntimeOptions, world: World
) -> tuple[torch.nn.Module, TorchDevice, ModelFacts, Limits]:
    """The model on its device, in evaluation mode, with what a report says of it.

    Raises: as `transformers.load`.
    """
    if directory.startswith("tiny:") and directory not in TINY_FAMILIES:
        raise UsageError(f"--engine_dir must be one of {', '.join(TINY_FAMILIES)}, got {shown(directory)}")
    own_family = TINY_FAMILIES.get(directory) or family_of(read_config(directory))
    if own_family != family:
        raise UsageError(
            f"-m {family} needs {_SPOKEN[family]}, but {directory} is {_SPOKEN[own_family]} (-m {own_family})"
        )
    device = pick_device(options.device, world.local_rank, runtime="transformers")
    _share_cores(options, world, device)
    with _quiet():
        model: Any
        model = (
            _tiny(directory, options) if directory in TINY_FAMILIES else _checkpoint(directory, family, options, device)
        )
        model = model.to(device.device).eval()
    config = model.config.to_dict()
    positions = positions_of(config)
    facts = ModelFacts(
        name=directory.replace(":", "-") if directory in TINY_FAMILIES else Path(directory).resolve().name,
        family=own_family,
        precision=str(model.dtype).removeprefix("torch."),
        quantization=(config.get("quantization_config") or {}).get("quant_method"),
        weights_bytes=sum(p.numel() * p.element_size() for p in model.parameters()),
        details=_details(model, device, options),
        **checkpoint_facts(config),
    )
    if family == "dec":
        limits = Limits(max_seq_len=positions)
    elif directory == "tiny:t5":
        limits = Limits(max_input_len=TINY_POSITIONS, max_output_len=TINY_POSITIONS)
    else:
        limits = Limits(max_input_len=positions)
    return model, device, facts, limits


def _checkpoint(directory: str, family: str, options: RuntimeOptions, device: TorchDevice) -> Any:
    import transformers

    loader = getattr(transformers, _CLASSES[family])
    try:
        return loader.from_pretrained(directory, dtype=_dtype(options, device), local_files_only=True)
    except Exception as error:  # whatever the library and its readers raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise MeasurementError(f"--runtime transformers cannot load {directory}: {reason}") from error


def _tiny(name: str, options: RuntimeOptions) -> Any:
    """Vocabulary 2048, width 64, 2 layers: what `tiny:` means for every runtime."""
    import torch
    import transformers

    special = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    torch.manual_seed(options.seed)
    if name == "tiny:llama":
        config: Any = transformers.LlamaConfig(
            vocab_size=2048,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=TINY_POSITIONS,
            **special,
        )
        model: Any = transformers.LlamaForCausalLM(config)
    elif name == "tiny:bert":
        config = transformers.BertConfig(
            vocab_size=2048,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            **special,
        )
        model = transformers.BertModel(config)
    else:
        config = transformers.T5Config(
            vocab_size=2048,
            d_model=64,
            d_kv=16,
            d_ff=128,
            num_layers=2,
            num_heads=4,
            decoder_start_token_id=1,
            **special,
        )
        model = transformers.T5ForConditionalGeneration(config)
    return model.to(_dtype(options, TorchDevice(torch.device("cpu"))))


def _dtype(options: RuntimeOptions, device: TorchDevice) -> torch.dtype:
    """What was named; else float32 on a CPU, whose half precision is slower than its single."""
    import torch

    name = options.dtype if device.is_cuda or options.dtype_named else "float32"
    dtype = getattr(torch, name)
    assert isinstance(dtype, torch.dtype)
    return dtype


def _share_cores(options: RuntimeOptions, world: World, device: TorchDevice) -> None:
    """Threads of this rank: what is asked for, else its part of the cores that it may use."""
    if device.is_cuda:
        return
    import torch

    cores = tuple(sorted(os.sched_getaffinity(0)))
    sharing = world.gather_all((world.host, cores)).count((world.host, cores))
    torch.set_num_threads(options.threads or max(1, len(cores) // sharing))


def _details(model: Any, device: TorchDevice, options: RuntimeOptions) -> dict[str, Any]:
    import torch
    import transformers

    return {
        "architecture": type(model).__name__,
        "attention": getattr(model.config, "_attn_implementation", None),
        "device": str(device.device),
        "threads": None if device.is_cuda else torch.get_num_threads(),
        "torch": torch.__version__,
        "torch_compile": options.torch_compile,
        "transformers": transformers.__version__,
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's progress bars and notes: stdout and stderr belong to the report."""
    try:
        from transformers.utils import logging as library_logging
    except ImportError:
        raise MeasurementError(
            "--runtime transformers needs the transformers package: pip install 'tokenclock[torch]', "
            "or name another --runtime"
        ) from None
    library_logging.disable_progress_bar()
    library_logging.set_verbosity(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
