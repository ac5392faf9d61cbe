"""From pytest's options to the settings of a session; every path is checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenclock.errors import UsageError
from tokenclock.perftest.models import TINY_MODELS, AnyModel, read_models
from tokenclock.perftest.options import DESTINATIONS
from tokenclock.perftest.settings import Settings

__all__ = ["settings_of"]

_FORMATS = ("csv", "yaml", "json")


def settings_of(given: Mapping[str, Any]) -> Settings:
    """Settings from the options by their destinations, such as ``tokenclock_output_dir``.

    Raises:
        UsageError: a value is none of those that the option takes, or a file is not there.
    """
    formats = tuple(
        dict.fromkeys(one for text in given["tokenclock_perf_log_formats"] or [] for one in text.split(","))
    )
    for name in formats:
        if name not in _FORMATS:
            raise UsageError(f"--perf-log-formats must be {', '.join(_FORMATS)}, got {name}")
    repeats = _count(given, "tokenclock_perf_repeats") or 1
    max_repeats = _count(given, "tokenclock_max_repeats") or repeats
    if given["tokenclock_max_repeats"] is not None and given["tokenclock_perf_history"] is None:
        raise UsageError("--max-repeats bounds what the gate asks for, and there is none: give --perf-history DB")
    if max_repeats < repeats:
        raise UsageError(f"--max-repeats must be --perf-repeats ({repeats}) or more, got {max_repeats}")
    output = _path(given, "tokenclock_output_dir")
    if formats and output is None:
        raise UsageError("--perf-log-formats needs a place for the files: give --output-dir")
    replay = _folder(given, "tokenclock_replay")
    if replay is not None and output is not None:
        _hold_apart(output, replay)
    path = given["tokenclock_perf_models"]
    models = {**TINY_MODELS, **({} if path is None else read_models(Path(path)))}
    return Settings(
        output_dir=None if output is None else output.absolute(),
        log_formats=formats,
        test_prefix=(given["tokenclock_test_prefix"] or "").strip("/"),
        models=AnyModel(models) if given["tokenclock_dry_run"] else models,
        dry_run=bool(given["tokenclock_dry_run"]),
        replay_dir=replay,
        history=given["tokenclock_perf_history"],
        repeats=repeats,
        max_repeats=max_repeats,
        runtime=given["tokenclock_perf_runtime"],
        external=bool(given["tokenclock_perf_external"]),
        lora_dir=_folder(given, "tokenclock_perf_lora_dir"),
        config_folder=_folder(given, "tokenclock_perf_config_folder"),
        options={DESTINATIONS[name].lstrip("-"): value for name, value in given.items() if value not in (None, False)},
    )


def _hold_apart(output: Path, replay: Path) -> None:
    """Stored runs stay as they are: nothing may be written among them, or around them."""
    here, stored = output.resolve(), replay.resolve()
    if here == stored or stored in here.parents or here in stored.parents:
        raise UsageError(
            f"--output-dir {output} and --replay {replay} must be apart from each other, so that stored runs stay as "
            "they are: give another --output-dir"
        )


def _count(given: Mapping[str, Any], name: str) -> int | None:
    text = given[name]
    if text is None:
        return None
    if not (str(text).isascii() and str(text).isdigit() and 1 <= int(text) <= 10_000):
        raise UsageError(f"{DESTINATIONS[name]} must be a whole number from 1 to 10000, got {text}")
    return int(text)


def _path(given: Mapping[str, Any], name: str) -> Path | None:
    return Path(given[name]) if given[name] else None


def _folder(given: Mapping[str, Any], name: str) -> Path | None:
    path = _path(given, name)
    if path is not None and not path.is_dir():
        raise UsageError(f"{DESTINATIONS[name]} must be a directory, got {path}, which is none")
    return None if path is None else path.absolute()
