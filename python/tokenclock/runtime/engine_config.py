"""What an engine directory says of itself: config.json beside rank files, read without TensorRT-LLM."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenclock.errors import UsageError
from tokenclock.parallel import World
from tokenclock.runtime.protocol import Limits, ModelFacts

__all__ = ["EngineConfig", "EngineDirectory", "holds_engine", "read_engine_directory"]

# What quantisation algorithms are called in the report line: flags of the original's quantisation mode.
_FLAGS = {"FP8": "FP8_QDQ"}
_CACHE_FLAGS = {"FP8": "FP8_KV_CACHE", "INT8": "INT8_KV_CACHE"}


@dataclass(frozen=True)
class EngineConfig:
    """One config.json: of a decoder, of an encoder, or of one half of an encoder-decoder.

    Args:
        folder: where it lies, with a ``rank{r}.engine`` for each rank.
        pretrained: the model: whole sizes, never those of one rank.
        build: the limits and plugins it was built with.
        version: of the TensorRT-LLM that built it; None where it is not said.
    """

    folder: Path
    pretrained: Mapping[str, Any]
    build: Mapping[str, Any]
    version: str | None = None

    @property
    def is_packed(self) -> bool:
        """Whether rows lie one after the other without padding."""
        return bool((self.build.get("plugin_config") or {}).get("remove_input_padding"))

    @property
    def is_paged(self) -> bool:
        """Whether the KV cache is made of blocks."""
        kind = self.build.get("kv_cache_type")
        if kind is not None:
            return str(kind).lower().endswith("paged")
        return bool((self.build.get("plugin_config") or {}).get("paged_kv_cache"))

    @property
    def streams_weights(self) -> bool:
        return bool(self.build.get("weight_streaming"))

    @property
    def ranks(self) -> tuple[int, int]:
        """(tensor parallel, pipeline parallel) it was built for."""
        mapping = self.pretrained.get("mapping") or {}
        return int(mapping.get("tp_size") or 1), int(mapping.get("pp_size") or 1)

    def token(self, name: str, default: int) -> int:
        """A special token's id (``eos_token_id``), where the config names it."""
        value = self.pretrained.get(name)
        value = value[0] if isinstance(value, list) and value else value
        return value if isinstance(value, int) and not isinstance(value, bool) else default

    def limit(self, name: str) -> int | None:
        value = self.build.get(name)
        return value if isinstance(value, int) and value > 0 else None


@dataclass(frozen=True)
class EngineDirectory:
    """An engine directory of one of the three families; `encoder` is there for enc-dec alone."""

    path: Path
    family: str
    main: EngineConfig
    encoder: EngineConfig | None = None

    @property
    def configs(self) -> list[EngineConfig]:
        return [self.main] if self.encoder is None else [self.encoder, self.main]

    def facts(self, details: Mapping[str, Any]) -> ModelFacts:
        """What a report says; of an encoder-decoder it is the encoder that is told, as the original did."""
        told = self.encoder or self.main
        pretrained = told.pretrained
        heads = pretrained.get("num_attention_heads")
        kv_heads = pretrained.get("num_key_value_heads") or pretrained.get("num_kv_heads") or heads
        files = [path for config in self.configs for path in config.folder.glob("rank*.engine")]
        return ModelFacts(
            name=self.path.resolve().name,
            family=self.family,  # type: ignore[arg-type]
            num_heads=heads,
            num_kv_heads=kv_heads,
            num_layers=pretrained.get("num_hidden_layers"),
            hidden_size=pretrained.get("hidden_size"),
            vocab_size=pretrained.get("vocab_size") or self.main.pretrained.get("vocab_size"),
            precision=pretrained.get("dtype"),
            quantization=_quantization(self.main.pretrained.get("quantization") or {}),
            details={
                "device": "cuda",
                "architecture": pretrained.get("architecture"),
                "engine_bytes": sum(path.stat().st_size for path in files),
                "engine_version": self.main.version,
                **details,
            },
        )

    def limits(self) -> Limits:
        """What it was built for. One place of a decoder's sequence is taken by its start token in enc-dec."""
        main = self.main
        batch = [size for config in self.configs if (size := config.limit("max_batch_size"))]
        longest = main.limit("max_seq_len")
        if self.family == "enc-dec":
            source = self.encoder or main
            return Limits(
                max_batch_size=min(batch, default=None),
                max_input_len=source.limit("max_input_len"),
                max_output_len=longest - 1 if longest else None,
                max_beam_width=main.limit("max_beam_width"),
            )
        is_decoder = self.family == "dec"
        return Limits(
            max_batch_size=min(batch, default=None),
            max_input_len=main.limit("max_input_len"),
            max_seq_len=longest if is_decoder else None,
            max_beam_width=main.limit("max_beam_width") if is_decoder else None,
        )


def holds_engine(directory: str) -> bool:
    """Whether a directory is an engine: `build_config` in its config, or in those of its encoder and decoder."""
    folder = Path(directory)
    places = [folder / "config.json"] if (folder / "config.json").is_file() else [folder / "decoder" / "config.json"]
    return all('"build_config"' in _text(place) or '"builder_config"' in _text(place) for place in places)


def read_engine_directory(directory: str, family: str, world: World | None) -> EngineDirectory:
    """Read and check an engine directory.

    Args:
        directory: of the engine.
        family: ``dec``, ``enc`` or ``enc-dec``.
        world: the ranks of this run, each of which loads its part; None: the runtime starts ranks of its own.

    Raises:
        UsageError: no engine, one of another family, one for another number of ranks, or a rank's file is missing.
    """
    folder = Path(directory)
    if (folder / "config.json").is_file():
        found = EngineDirectory(folder, "", main=_read(folder))
        own = "enc" if _is_encoder(found.main.pretrained) else "dec"
        found = EngineDirectory(folder, own, found.main)
    elif (folder / "decoder" / "config.json").is_file():
        found = EngineDirectory(folder, "enc-dec", main=_read(folder / "decoder"), encoder=_read(folder / "encoder"))
    else:
        raise UsageError(
            f"--engine_dir must hold an engine (config.json, or encoder/ and decoder/ with one each), got {directory}"
        )
    if found.family != family:
        raise UsageError(f"-m {family} needs another engine than {directory}, which is of -m {found.family}")
    _require_ranks(found, world)
    return found


def _read(folder: Path) -> EngineConfig:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--engine_dir must hold {path} ({error.strerror})") from None
    except ValueError as error:
        raise UsageError(f"{path} must be JSON, got {error}") from None
    if isinstance(config, dict) and "builder_config" in config:
        raise UsageError(f"{path} is of an engine built before TensorRT-LLM 0.8: build it again with trtllm-build")
    if not isinstance(config, dict) or not {"pretrained_config", "build_config"} <= config.keys():
        raise UsageError(f"{path} must have pretrained_config and build_config: it is no engine's")
    return EngineConfig(folder, config["pretrained_config"], config["build_config"], config.get("version"))


def _require_ranks(found: EngineDirectory, world: World | None) -> None:
    for config in found.configs:
        tp, pp = config.ranks
        if world is not None and tp * pp != world.size:
            raise UsageError(
                f"{config.folder} was built for {tp * pp} rank{'s' * (tp * pp > 1)} (tp {tp}, pp {pp}), but this run "
                f"has {world.size}: start it under mpirun -n {tp * pp}"
            )
        for rank in range(tp * pp) if world is None else (world.rank,):
            if not (config.folder / f"rank{rank}.engine").is_file():
                raise UsageError(f"{config.folder} must hold rank{rank}.engine, found no such file; build it again")


def _is_encoder(pretrained: Mapping[str, Any]) -> bool:
    name = str(pretrained.get("architecture"))
    return ("Bert" in name or "Roberta" in name or name.startswith("Encoder")) and not name.endswith("ForCausalLM")


def _quantization(quantization: Mapping[str, Any]) -> str | None:
    """``QuantMode.FP8_QDQ|FP8_KV_CACHE``: the algorithm's flag and the cache's, in the original's spelling."""
    algorithm, cache = quantization.get("quant_algo"), quantization.get("kv_cache_quant_algo")
    flags = [_FLAGS.get(algorithm, algorithm)] if algorithm else []
    flags += [_CACHE_FLAGS.get(cache, f"{cache}_KV_CACHE")] if cache else []
    return "QuantMode." + "|".join(flags) if flags else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
