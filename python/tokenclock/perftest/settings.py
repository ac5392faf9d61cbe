"""What a session of performance tests was asked to do."""

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
        output_dir: where rows, reports and the cases' folders go; None: nothing is kept.
        log_formats: of the rows: ``csv``, ``yaml``, ``json``.
        test_prefix: in front of every node id, such as a GPU's name; may be empty.
        models: a label's model name -> checkpoint, engine directory or ``tiny:llama``.
        dry_run: print the commands and run nothing.
        replay_dir: output directory of an earlier session, whose runs are evaluated again.
        history: path or URL of the database where results are added and baselines come from; None: no gate.
        repeats: of each case, 1 or more.
        max_repeats: that the gate may reach by asking for more, 1 or more.
        runtime: for `throughput --runtime`; None: its default.
        external: run the ``trtllm-bench`` of the PATH.
        lora_dir: holds one directory an adapter.
        config_folder: of the servers' YAML files; None: ``AGG_CONFIG_FOLDER``.
        options: whatever was given, for the session's files.
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
