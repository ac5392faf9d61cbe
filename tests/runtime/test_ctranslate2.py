"""The embedded runtime on tiny models: lengths, steps, facts, limits, and what is refused."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.offline.rows import in_ranks

from tokenclock.errors import MeasurementError, UsageError
from tokenclock.parallel import OneProcess
from tokenclock.plan_benchmark import BenchmarkCase
from tokenclock.runtime import ctranslate2 as room
from tokenclock.runtime.ctranslate2 import CTranslate2Runtime, load, threads_of_rank
from tokenclock.runtime.options import RuntimeOptions
from tokenclock.runtime.protocol import Limits, Runtime

CPU = RuntimeOptions(device="cpu", threads=1)
MODELS = {"dec": "tiny:llama", "enc": "tiny:bert", "enc-dec": "tiny:t5"}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("cache")
        patch.setenv("TOKENCLOCK_CACHE", str(place))
        yield place


@pytest.fixture(scope="module")
def loaded(cache: Path) -> dict[str, CTranslate2Runtime]:
    return {family: load(name, family, CPU, OneProcess()) for family, name in MODELS.items()}  # type: ignore[arg-type]


@pytest.mark.parametrize("family", ["dec", "enc-dec"])
@pytest.mark.parametrize(("batch_size", "input_len", "output_len"), [(1, 1, 1), (3, 60, 20), (2, 1500, 2)])
def test_exact_lengths_and_one_stamp_a_step(
    loaded: dict[str, CTranslate2Runtime], family: str, batch_size: int, input_len: int, output_len: int
) -> None:
    runtime, steps = loaded[family], []
    assert isinstance(runtime, Runtime)
    runtime.prepare(BenchmarkCase(0, family, batch_size, input_len, output_len), 0)
    osl = runtime.run(lambda: steps.append(1)).osl
    assert osl is not None
    assert osl.tolist() == [output_len] * batch_size
    assert len(steps) == output_len
    runtime.release()


def test_an_encoder_encodes(loaded: dict[str, CTranslate2Runtime]) -> None:
    runtime = loaded["enc"]
    runtime.prepare(BenchmarkCase(0, "enc", 3, 20), 0)
    assert runtime.run(None).osl is None
    assert not runtime.streams
    assert runtime.limits.max_input_len == 512


def test_tiny_models_have_a_longest_sequence(loaded: dict[str, CTranslate2Runtime]) -> None:
    """Nothing in their files says one, so that 100 000 tokens would be tried until memory is out."""
    assert loaded["dec"].limits == Limits(max_seq_len=4096)
    assert loaded["enc-dec"].limits == Limits(max_input_len=4096, max_output_len=4096)


def test_layers_are_those_of_the_file(loaded: dict[str, CTranslate2Runtime]) -> None:
    layers = {layer.name: layer for layer in loaded["dec"].list_layers()}
    embeddings = layers["decoder/embeddings"]
    assert (embeddings.n_parameters, embeddings.weights) == (2048 * 64, ["weight (2048, 64) float32"])
    assert layers["decoder/layer_1/ffn/linear_1"].weights == ["weight (64, 128) float32"]
    assert not hasattr(loaded["dec"], "profile_layers")


@pytest.mark.parametrize("family", ["dec", "enc-dec"])
def test_beams_run_without_stamps(loaded: dict[str, CTranslate2Runtime], family: str) -> None:
    runtime, steps = loaded[family], []
    runtime.prepare(BenchmarkCase(0, family, 2, 5, 4, num_beams=3), 0)
    osl = runtime.run(lambda: steps.append(1)).osl
    assert osl is not None
    assert osl.tolist() == [4, 4]
    assert steps == []


def test_facts_of_the_models(loaded: dict[str, CTranslate2Runtime]) -> None:
    for family, n_kv_heads in (("dec", 2), ("enc", 4), ("enc-dec", 4)):
        facts = loaded[family].model
        assert facts.family == family
        assert (facts.num_heads, facts.num_kv_heads, facts.num_layers) == (4, n_kv_heads, 2)
        assert (facts.hidden_size, facts.vocab_size, facts.precision, facts.quantization) == (64, 2048, "float32", None)
        assert facts.weights_bytes is not None
        assert 500_000 < facts.weights_bytes < 2_000_000
        assert facts.details["device"] == "cpu"
        assert loaded[family].cuda_stream is None


def test_the_seed_decides_the_inputs() -> None:
    tokens = [f"t{k}" for k in range(50)]
    case = BenchmarkCase(0, "dec", 2, 8, 1)
    first, again, other = (room._drawn(tokens, case, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again != other
    assert [len(row) for row in first] == [8, 8]


def test_control_tokens_are_no_inputs() -> None:
    tokens = ["<s>", "[PAD]", "<", "[", "word", "<unk>", "▁x"]
    assert room._usable(tokens).tolist() == [False, False, True, True, True, False, True]


def test_weights_stay_on_the_device(loaded: dict[str, CTranslate2Runtime]) -> None:
    with pytest.raises(UsageError, match=r"gpu_weights_percent must be 1\.0"):
        loaded["dec"].prepare(BenchmarkCase(0, "dec", 1, 4, 4, gpu_weights_percent=0.5), 0)


def test_another_family_is_refused(cache: Path) -> None:
    with pytest.raises(UsageError, match="got enc for a model that is dec"):
        load("tiny:llama", "enc", CPU, OneProcess())


def test_a_dtype_that_was_named_is_not_replaced(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ctranslate2

    monkeypatch.setattr(ctranslate2, "get_supported_compute_types", lambda device: {"float32", "int8", "int8_float32"})
    assert load("tiny:llama", "dec", CPU, OneProcess()).model.precision == "float32"
    with pytest.raises(UsageError, match=r"--dtype must be what CTranslate2 computes in .*\(float32\), got bfloat16"):
        load("tiny:llama", "dec", RuntimeOptions(dtype="bfloat16", dtype_named=True, device="cpu"), OneProcess())


def test_quantised_weights_stay_quantised(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ctranslate2

    offered = {"float32", "float16", "int8_float32", "int8_float16"}
    monkeypatch.setattr(ctranslate2, "get_supported_compute_types", lambda device: offered)

    class File:
        weight_dtype = "int8"

    for dtype, found in (("float16", "int8_float16"), ("bfloat16", "int8_float32")):
        assert room._compute_type(ctranslate2, "cpu", File(), RuntimeOptions(dtype=dtype)) == found  # type: ignore[arg-type]


def test_no_gpu_is_said(cache: Path) -> None:
    import ctranslate2

    if ctranslate2.get_cuda_device_count():
        pytest.skip("there is a GPU here")
    with pytest.raises(UsageError, match="--device cuda needs a GPU"):
        load("tiny:llama", "dec", RuntimeOptions(device="cuda"), OneProcess())


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "ctranslate2":
            raise ImportError("No module named 'ctranslate2'")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MeasurementError, match=r"pip install 'tokenclock\[offline\]', or name another --runtime"):
        load("tiny:llama", "dec", CPU, OneProcess())


def test_a_directory_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no model\.bin: convert the model"):
        load(str(tmp_path), "dec", CPU, OneProcess())


def test_ranks_share_the_cores_of_their_host() -> None:
    alone = threads_of_rank(OneProcess())
    assert alone >= 1
    assert in_ranks(2, threads_of_rank) == [max(1, alone // 2)] * 2
