"""Reads `--sampler_options`: a YAML file of sampling options by the names of TensorRT-LLM's SamplingParams."""

from __future__ import annotations

from typing import Any

from tokenclock.errors import UsageError

__all__ = ["read_sampler_options"]

_OURS = {
    "max_tokens": "output_tokens of each row says it",
    "end_id": "use --eos_id",
    "pad_id": "use --eos_id",
    "n": "use --beam_width",
    "best_of": "use --beam_width",
    "use_beam_search": "use --beam_width",
}


def read_sampler_options(path: str) -> dict[str, Any]:
    """The options of a file.

    Raises:
        UsageError: it cannot be read, is no mapping, or sets what a flag or the data set sets.
    """
    try:
        import yaml
    except ImportError as error:
        raise UsageError("--sampler_options needs PyYAML: pip install 'tokenclock[perftest]'") from error
    try:
        with open(path, encoding="utf-8") as file:
            values = yaml.safe_load(file)
    except OSError as error:
        raise UsageError(f"--sampler_options {path} cannot be read: {error.strerror or error}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"--sampler_options {path} is no YAML: {' '.join(str(error).split())}") from error
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise UsageError(f"--sampler_options {path} must be a mapping such as 'temperature: 0.8', got something else")
    for name, why in _OURS.items():
        if name in values:
            raise UsageError(f"--sampler_options {path} must not set {name}: {why}")
    return values
