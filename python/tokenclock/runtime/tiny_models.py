"""Models that run anywhere at once: made of random numbers from a fixed seed, kept in the cache, under 2 MB each.

They say nothing worth reading. Vocabulary 2048, width 64, 2 layers, 4 heads.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

from tokenclock.cache import cache_dir
from tokenclock.errors import MeasurementError, UsageError
from tokenclock.plan_checks import shown
from tokenclock.runtime.find import TINY_PREFIX

__all__ = ["TINY_MODELS", "TINY_POSITIONS", "tiny_model"]

TINY_MODELS = {"llama": "dec", "bert": "enc", "t5": "enc-dec"}
"""name -> family"""

TINY_POSITIONS = 4096
"""Longest sequence of ``tiny:llama`` and ``tiny:t5``. Nothing in them ends there, but a machine's memory soon does."""

_REVISION = 1  # raised when what is built changes, so that an older cache is left alone
_SEED = 20240229
_VOCABULARY, _WIDTH, _LAYERS, _HEADS, _INNER, _POSITIONS = 2048, 64, 2, 4, 128, 512
_BUCKETS, _LONGEST_DISTANCE = 32, 128  # of T5's relative positions


def tiny_model(name: str) -> str:
    """The directory of ``tiny:llama``, ``tiny:bert`` or ``tiny:t5``, built where it is not in the cache yet.

    Several processes may ask at once: each builds beside the place, and the first to finish is taken.

    Raises:
        UsageError: no such tiny model.
        MeasurementError: the cache cannot be written.
    """
    kind = name.removeprefix(TINY_PREFIX)
    if kind not in TINY_MODELS:
        raise UsageError(f"--engine_dir must be one of tiny:{', tiny:'.join(TINY_MODELS)}, got {shown(name)}")
    place = cache_dir() / "tiny" / f"{kind}-ctranslate2-{_REVISION}"
    if place.is_dir():
        return str(place)
    building = ""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        building = tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent)
        os.chmod(building, 0o755)
        _BUILDERS[kind](_Weights()).save(building)
        with contextlib.suppress(OSError):  # another process was first: its model is the same
            os.rename(building, place)
    except OSError as error:
        raise MeasurementError(
            f"{name} cannot be kept in {place.parent} ({error.strerror or error}); set TOKENCLOCK_CACHE to a directory "
            "that can be written to"
        ) from error
    finally:
        if building:
            shutil.rmtree(building, ignore_errors=True)
    if not place.is_dir():
        raise MeasurementError(f"{name} cannot be kept in {place.parent}; set TOKENCLOCK_CACHE to another directory")
    return str(place)


class _Weights:
    """Fills the specification of a CTranslate2 model with random numbers, always the same ones."""

    def __init__(self) -> None:
        self._draws = np.random.default_rng(_SEED)

    def array(self, *shape: int) -> Any:
        return self._draws.standard_normal(shape, dtype=np.float32) * np.float32(0.02)

    def linear(self, layer: Any, n_out: int, n_in: int, *, bias: bool = False) -> None:
        layer.weight = self.array(n_out, n_in)
        if bias:
            layer.bias = np.zeros(n_out, np.float32)

    def norm(self, layer: Any, *, beta: bool = False) -> None:
        layer.gamma = np.ones(_WIDTH, np.float32)
        if beta:
            layer.beta = np.zeros(_WIDTH, np.float32)


def _vocabulary() -> list[str]:
    return ["<unk>", "<s>", "</s>", *(f"t{number}" for number in range(3, _VOCABULARY))]


def _finish(spec: Any, epsilon: float) -> Any:
    spec.config.unk_token = "<unk>"
    spec.config.layer_norm_epsilon = epsilon
    spec.validate()
    spec.optimize()  # what is shared is written once
    return spec


def _llama(weights: _Weights) -> Any:
    from ctranslate2.specs import common_spec, transformer_spec

    n_kv_heads = _HEADS // 2
    spec = transformer_spec.TransformerDecoderModelSpec.from_config(
        _LAYERS,
        _HEADS,
        activation=common_spec.Activation.SWISH,
        pre_norm=True,
        ffn_glu=True,
        rms_norm=True,
        rotary_dim=0,
        rotary_interleave=False,
        rotary_base=10000,
        num_heads_kv=n_kv_heads,
    )
    decoder = spec.decoder
    decoder.scale_embeddings = False
    decoder.embeddings.weight = weights.array(_VOCABULARY, _WIDTH)
    weights.norm(decoder.layer_norm)
    weights.linear(decoder.projection, _VOCABULARY, _WIDTH)
    for layer in decoder.layer:
        weights.norm(layer.self_attention.layer_norm)
        weights.linear(layer.self_attention.linear[0], _WIDTH + 2 * n_kv_heads * _WIDTH // _HEADS, _WIDTH)
        weights.linear(layer.self_attention.linear[1], _WIDTH, _WIDTH)
        weights.norm(layer.ffn.layer_norm)
        weights.linear(layer.ffn.linear_0, _INNER, _WIDTH)
        weights.linear(layer.ffn.linear_0_noact, _INNER, _WIDTH)
        weights.linear(layer.ffn.linear_1, _WIDTH, _INNER)
    spec.register_vocabulary(_vocabulary())
    spec.config.bos_token, spec.config.eos_token = "<s>", "</s>"
    return _finish(spec, 1e-6)


def _bert(weights: _Weights) -> Any:
    from ctranslate2.specs import common_spec, transformer_spec

    encoder = transformer_spec.TransformerEncoderSpec(
        _LAYERS,
        _HEADS,
        pre_norm=False,
        activation=common_spec.Activation.GELU,
        layernorm_embedding=True,
        num_source_embeddings=2,
        embeddings_merge=common_spec.EmbeddingsMerge.ADD,
    )
    spec = transformer_spec.TransformerEncoderModelSpec(
        encoder, pooling_layer=True, pooling_activation=common_spec.Activation.Tanh
    )
    encoder.scale_embeddings = False
    encoder.embeddings[0].weight = weights.array(_VOCABULARY, _WIDTH)
    encoder.embeddings[1].weight = weights.array(2, _WIDTH)
    encoder.position_encodings.encodings = weights.array(_POSITIONS, _WIDTH)
    weights.norm(encoder.layernorm_embedding, beta=True)
    weights.linear(spec.pooler_dense, _WIDTH, _WIDTH, bias=True)
    for layer in encoder.layer:
        weights.linear(layer.self_attention.linear[0], 3 * _WIDTH, _WIDTH, bias=True)
        weights.linear(layer.self_attention.linear[1], _WIDTH, _WIDTH, bias=True)
        weights.norm(layer.self_attention.layer_norm, beta=True)
        weights.linear(layer.ffn.linear_0, _INNER, _WIDTH, bias=True)
        weights.linear(layer.ffn.linear_1, _WIDTH, _INNER, bias=True)
        weights.norm(layer.ffn.layer_norm, beta=True)
    spec.register_vocabulary(_vocabulary())
    return _finish(spec, 1e-12)


def _t5(weights: _Weights) -> Any:
    from ctranslate2.specs import common_spec, transformer_spec

    spec = transformer_spec.TransformerSpec.from_config(
        (_LAYERS, _LAYERS),
        _HEADS,
        pre_norm=True,
        activation=common_spec.Activation.RELU,
        relative_attention_bias=True,
        rms_norm=True,
    )
    shared = weights.array(_VOCABULARY, _WIDTH)
    for stack in (spec.encoder, spec.decoder):
        is_decoder = stack is spec.decoder
        weights.norm(stack.layer_norm)
        (stack.embeddings if is_decoder else stack.embeddings[0]).weight = shared
        stack.scale_embeddings = False
        bias = weights.array(_BUCKETS, _HEADS)
        for layer in stack.layer:
            _t5_attention(weights, layer.self_attention, 3 * _WIDTH)
            layer.self_attention.relative_attention_bias = bias
            layer.self_attention.relative_attention_max_distance = np.dtype("int32").type(_LONGEST_DISTANCE)
            if is_decoder:
                _t5_attention(weights, layer.attention, _WIDTH, 2 * _WIDTH)
            weights.norm(layer.ffn.layer_norm)
            weights.linear(layer.ffn.linear_0, _INNER, _WIDTH)
            weights.linear(layer.ffn.linear_1, _WIDTH, _INNER)
    spec.decoder.projection.weight = shared
    spec.decoder.scale_outputs = np.dtype("float32").type(_WIDTH**-0.5)
    spec.register_source_vocabulary(_vocabulary())
    spec.register_target_vocabulary(_vocabulary())
    spec.config.bos_token, spec.config.eos_token, spec.config.decoder_start_token = "<s>", "</s>", "<s>"
    return _finish(spec, 1e-6)


def _t5_attention(weights: _Weights, attention: Any, *n_in: int) -> None:
    attention.queries_scale = 1.0
    weights.norm(attention.layer_norm)
    for linear, n_out in zip(attention.linear, (*n_in, _WIDTH), strict=True):
        weights.linear(linear, n_out, _WIDTH)


_BUILDERS: dict[str, Callable[[_Weights], Any]] = {"llama": _llama, "bert": _bert, "t5": _t5}
