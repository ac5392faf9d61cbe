"""What a session of performance tests was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Settings"]


@dataclass(frozen=True)
class Settings:
    """Options of a session.

    Args:
        output_dir: where everything is written; None: a folder that is deleted at the end.
        log_formats: of the rows: ``csv``, ``yaml``, ``json``.
        test_prefix: before each node id, such as the GPU's name.
        models: name in labels -> directory of a checkpoint or an engine, or ``tiny:llama``.
        dry_run: say the commands, and run none.
        replay_dir: output directory of an earlier session, whose runs are evaluated again.
        history: database that baselines come from and runs are added to; None: nothing is gated.
        repeats: of each case.
        max_repeats: up to which a gate may ask for more.
        runtime: for `throughput` and `benchmark`, in place of the label's backend.
        external: run trtllm-bench itself.
        lora_dir: folder of adapters.
        config_folder: of the YAML files of server cases.
        options: what was given, for the session's files.
    """

    output_dir: Path | None = None
    log_formats: tuple[str, ...] = ()
    test_prefix: str = ""
    models: Mapping[str, str] = field(default_factory=dict)
    dry_run: bool = False
    replay_dir: Path | None = None
    history: str | None = None
    repeats: int = 1
    max_repeats: int = 1
    runtime: str | None = None
    external: bool = False
    lora_dir: Path | None = None
    config_folder: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
