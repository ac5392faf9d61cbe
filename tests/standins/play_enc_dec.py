"""The stand-in's EncDecModelRunner: an encoder and a decoder session, driven one after the other."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from tensorrt_llm._played import play_common
from tensorrt_llm._played.play_common import pass_time, plays
from tensorrt_llm._played.play_engine import new_session, read_engine


@plays("EncDecModelRunner.from_engine")
def from_engine(cls: type, engine_name: str, engine_dir: str, **named: Any) -> Any:
    return cls(engine_name, engine_dir, **named)


@plays("EncDecModelRunner.__init__")
def init(runner: Any, engine_name: str, engine_dir: str, **named: Any) -> None:
    from tensorrt_llm.runtime import GenerationSession

    rank = play_common.mpi_rank()
    for part in ("encoder", "decoder"):
        build, pretrained, _ = read_engine(Path(engine_dir) / part, rank)
        config = SimpleNamespace(remove_input_padding=build.plugin_config["remove_input_padding"])
        setattr(runner, f"{part}_model_config", config)
        session = new_session(GenerationSession, build, pretrained)
        setattr(runner, f"{part}_session", session)
    runner.device = torch.device("cpu")


@plays("EncDecModelRunner.process_input")
def process_input(
    runner: Any, input_ids: Any, remove_input_padding: bool, pad_token_id: int, prompt_tasks: Any, **named: Any
) -> Any:
    """What equals the pad id is no input, but for the first of each row."""
    lengths = 1 + (input_ids[:, 1:] != pad_token_id).sum(dim=1).to(torch.int32)
    if remove_input_padding:
        rows = [torch.cat([row[:1], row[1:][row[1:] != pad_token_id]]) for row in input_ids]
        input_ids = torch.cat(rows)
    return input_ids, lengths, int(lengths.max()), prompt_tasks, None


@plays("EncDecModelRunner.encoder_run")
def encoder_run(runner: Any, input_ids: Any, input_lengths: Any, max_input_length: int, **named: Any) -> Any:
    pass_time("ENCODER", 4)
    if max_input_length > runner.encoder_session._build.max_input_len:
        raise RuntimeError("the input is longer than the encoder takes")
    return torch.zeros((*input_ids.shape, 4))
