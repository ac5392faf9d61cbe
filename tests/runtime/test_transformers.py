"""Models of the transformers library: three families, exact lengths, stamps, dtypes, checkpoints, refusals."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.standins.models import write_checkpoint, write_engine

from tokenclock.errors import MeasurementError, UsageError
from tokenclock.parallel import OneProcess
from tokenclock.plan_benchmark import BenchmarkCase
from tokenclock.runtime import transformers as runtimes
from tokenclock.runtime.options import RuntimeOptions
from tokenclock.runtime.protocol import Runtime
from tokenclock.runtime.torch_device import pick_device

_MISSING = [name for name in ("torch", "transformers") if importlib.util.find_spec(name) is None]
needs_torch = pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)} (make real-models)")

OPTIONS = RuntimeOptions(threads=1)


def case(family: str, batch_size: int = 3, input_len: int = 12, output_len: int = 5, **others: Any) -> BenchmarkCase:
    return BenchmarkCase(0, family, batch_size, input_len, None if family == "enc" else output_len, **others)


def loaded(name: str, family: str, options: RuntimeOptions = OPTIONS) -> Runtime:
    return runtimes.load(name, family, options, OneProcess())


@needs_torch
@pytest.mark.parametrize(("name", "family"), [("tiny:llama", "dec"), ("tiny:t5", "enc-dec")])
@pytest.mark.parametrize("num_beams", [1, 2])
def test_generation_has_the_exact_length_and_a_stamp_per_step(name: str, family: str, num_beams: int) -> None:
    runtime = loaded(name, family)
    assert isinstance(runtime, Runtime)
    assert (runtime.ranks, runtime.cuda_stream, runtime.streams) == ("replica", None, True)
    for batch_size, output_len in ((3, 5), (1, 1), (2, 9)):
        runtime.prepare(case(family, batch_size, output_len=output_len, num_beams=num_beams), seed=1)
        stamps: list[int] = []
        for on_step in (None, lambda stamps=stamps: stamps.append(time.perf_counter_ns())):
            outcome = runtime.run(on_step)
            assert outcome.osl.tolist() == [output_len] * batch_size
        assert len(stamps) == output_len
        assert stamps == sorted(stamps)
        runtime.release()
    runtime.release()
    runtime.close()


@needs_torch
def test_an_encoder_runs_and_has_no_steps() -> None:
    runtime = loaded("tiny:bert", "enc")
    assert runtime.streams is False
    assert runtime.limits.max_input_len == 512
    runtime.prepare(case("enc"), seed=1)
    assert runtime.run(None).osl is None
    runtime.close()


@needs_torch
@pytest.mark.parametrize(("name", "family"), [("tiny:llama", "dec"), ("tiny:t5", "enc-dec"), ("tiny:bert", "enc")])
def test_layers_are_timed_in_an_iteration_of_their_own(name: str, family: str) -> None:
    """Five tokens: each layer of the decoder runs once for the first, four times for the others."""
    runtime: Any = loaded(name, family)
    runtime.prepare(case(family), seed=1)
    times = {(layer.phase, layer.name): layer for layer in runtime.profile_layers()}
    head = {"dec": "lm_head", "enc-dec": "lm_head", "enc": "pooler.dense"}[family]
    assert times["context", head].n_calls == 1
    assert times["context", head].kind == "Linear"
    if family == "enc":
        assert {phase for phase, _ in times} == {"context"}
    else:
        assert times["generation", head].n_calls == 4
    encoder = "encoder.block.0.layer.0.SelfAttention.q"
    assert (("context", encoder) in times) == (family == "enc-dec")
    assert ("generation", encoder) not in times
    assert all(layer.time_ns >= 0 for layer in times.values())
    listed = {layer.name: layer for layer in runtime.list_layers()}
    assert {layer for _, layer in times} <= listed.keys()
    assert listed[head].n_parameters
    assert not any(module._forward_hooks for module in runtime._model.modules())
    runtime.close()


@needs_torch
def test_a_compiled_model_has_no_layers_to_time() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of PyTorch about itself, when it first compiles
        runtime: Any = loaded("tiny:llama", "dec", dataclasses.replace(OPTIONS, torch_compile=True))
    runtime.prepare(case("dec"), seed=1)
    with pytest.raises(UsageError, match="leave --torch_compile out"):
        runtime.profile_layers()
    runtime.close()


@needs_torch
def test_a_tiny_t5_has_a_longest_sequence() -> None:
    limits = loaded("tiny:t5", "enc-dec").limits
    assert (limits.max_input_len, limits.max_output_len) == (4096, 4096)


@needs_torch
def test_what_a_report_says_of_a_tiny_model() -> None:
    facts = loaded("tiny:llama", "dec").model
    assert (facts.name, facts.precision, facts.quantization) == ("tiny-llama", "float32", None)
    assert (facts.num_heads, facts.num_kv_heads, facts.num_layers) == (4, 2, 2)
    assert (facts.hidden_size, facts.vocab_size) == (64, 2048)
    # embedding and projection 2 x 2048 x 64; a layer: q and o 64 x 64, k and v 64 x 32, three of 64 x 128, two norms
    layer = 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128 + 2 * 64
    assert facts.weights_bytes == 4 * (2 * 2048 * 64 + 2 * layer + 64)
    assert facts.details["torch"]
    json.dumps(dict(facts.details))
    t5 = loaded("tiny:t5", "enc-dec").model
    assert (t5.num_heads, t5.num_layers, t5.hidden_size, t5.vocab_size) == (4, 2, 64, 2048)
    assert t5.weights_bytes < 2 << 20


@needs_torch
def test_a_dtype_that_was_named_is_taken_and_another_is_not_guessed() -> None:
    named = dataclasses.replace(OPTIONS, dtype="bfloat16", dtype_named=True)
    runtime = loaded("tiny:llama", "dec", named)
    assert runtime.model.precision == "bfloat16"
    runtime.prepare(case("dec"), seed=1)
    assert runtime.run(None).osl.tolist() == [5, 5, 5]
    assert loaded("tiny:llama", "dec").model.precision == "float32"  # float16 by default, which CPUs are slow in


@needs_torch
def test_the_same_seed_gives_the_same_weights_and_inputs() -> None:
    import torch

    runs = []
    for seed in (3, 3, 4):
        runtime: Any = loaded("tiny:llama", "dec", dataclasses.replace(OPTIONS, seed=seed))
        runtime.prepare(case("dec"), seed=seed)
        runs.append((runtime._inputs["input_ids"], next(runtime._model.parameters()).detach()))
    assert torch.equal(runs[0][0], runs[1][0])
    assert torch.equal(runs[0][1], runs[1][1])
    assert not torch.equal(runs[0][0], runs[2][0])
    assert not torch.equal(runs[0][1], runs[2][1])


@needs_torch
def test_an_end_of_sequence_that_the_model_wants_does_not_end_a_row() -> None:
    import torch

    runtime: Any = loaded("tiny:llama", "dec")
    with torch.no_grad():  # a bias that makes the end token the likeliest of all, at every step
        head = torch.nn.Linear(64, 2048, bias=True)
        head.weight.zero_()
        head.bias.zero_()
        head.bias[2] = 10.0
    runtime._model.lm_head = head
    runtime.prepare(case("dec", output_len=7), seed=1)
    assert runtime.run(None).osl.tolist() == [7, 7, 7]


@needs_torch
@pytest.mark.parametrize(
    ("config_class", "model_class", "family"),
    [
        ("LlamaConfig", "LlamaForCausalLM", "dec"),
        ("GPT2Config", "GPT2LMHeadModel", "dec"),
        ("BertConfig", "BertForMaskedLM", "enc"),
        ("RobertaConfig", "RobertaModel", "enc"),
        ("T5Config", "T5ForConditionalGeneration", "enc-dec"),
        ("BartConfig", "BartForConditionalGeneration", "enc-dec"),
    ],
)
def test_checkpoints_of_each_family_load_from_a_directory(
    tmp_path: Path, config_class: str, model_class: str, family: str
) -> None:
    import transformers

    small = {
        "LlamaConfig": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2},
        "GPT2Config": {"n_embd": 32, "n_layer": 1, "n_head": 2},
        "BertConfig": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2},
        "T5Config": {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 1, "num_heads": 2},
        "BartConfig": {
            "d_model": 32,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
        },
    }
    small["RobertaConfig"] = small["BertConfig"]
    config = getattr(transformers, config_class)(vocab_size=300, **small[config_class])
    for name, value in (("bos_token_id", 1), ("eos_token_id", 2), ("pad_token_id", 0), ("decoder_start_token_id", 1)):
        setattr(config, name, value)
    getattr(transformers, model_class)(config).save_pretrained(tmp_path)
    assert runtimes.recognises(str(tmp_path))
    runtime = loaded(str(tmp_path), family)
    assert (runtime.model.num_heads, runtime.model.num_layers, runtime.model.hidden_size) == (2, 1, 32)
    runtime.prepare(case(family), seed=1)
    osl = runtime.run(None).osl
    assert osl is None if family == "enc" else osl.tolist() == [5, 5, 5]
    wrong = "dec" if family == "enc" else "enc"
    with pytest.raises(UsageError, match=f"-m {wrong} needs"):
        loaded(str(tmp_path), wrong)


@needs_torch
def test_weights_that_do_not_load_are_one_line(tmp_path: Path) -> None:
    folder = str(write_checkpoint(tmp_path / "broken"))
    with pytest.raises(MeasurementError, match="cannot load") as caught:
        loaded(folder, "dec")
    assert "\n" not in str(caught.value)


@needs_torch
def test_compiled_models_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch, "compile", lambda function: _Counted(function))
    for name, family in (("tiny:bert", "enc"), ("tiny:llama", "dec")):
        runtime: Any = loaded(name, family, dataclasses.replace(OPTIONS, torch_compile=True))
        runtime.prepare(case(family), seed=1)
        runtime.run(None)
        assert runtime._model.forward.n_calls == (1 if family == "enc" else 5)
        assert runtime.model.details["torch_compile"] is True


class _Counted:
    """Stands for the compiled function: compiling itself takes minutes here and is PyTorch's."""

    def __init__(self, function: Any) -> None:
        self.function, self.n_calls = function, 0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.n_calls += 1
        return self.function(*arguments, **options)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"tp": 2}, "--tp must be 1, got 2"),
        ({"pp": 2}, "--pp must be 1"),
        ({"ep": 4}, "--ep must be 1"),
        ({"cuda_graph": True}, "leave --enable_cuda_graph out"),
    ],
)
def test_what_it_does_not_offer_is_refused(change: dict[str, Any], expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        loaded("tiny:llama", "dec", dataclasses.replace(OPTIONS, **change))


@needs_torch
def test_shares_of_the_weights_and_unknown_tiny_models_are_refused() -> None:
    with pytest.raises(UsageError, match=r"--gpu_weights_percent must be 1\.0"):
        loaded("tiny:llama", "dec").prepare(case("dec", gpu_weights_percent=0.5), seed=1)
    with pytest.raises(UsageError, match="must be one of tiny:llama, tiny:bert, tiny:t5"):
        loaded("tiny:gpt", "dec")
    with pytest.raises(UsageError, match=r"-m enc needs an encoder, but tiny:llama is a decoder \(-m dec\)"):
        loaded("tiny:llama", "enc")


def test_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        MeasurementError, match=r"--runtime transformers needs PyTorch: pip install 'tokenclock\[torch\]'"
    ):
        loaded("tiny:llama", "dec")


@needs_torch
def test_it_says_what_to_install_beside_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "transformers"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MeasurementError, match=r"needs the transformers package: pip install 'tokenclock\[torch\]'"):
        loaded("tiny:llama", "dec")


@needs_torch
def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="--device cuda needs a GPU"):
        pick_device("cuda", 0, runtime="transformers")
    assert pick_device("auto", 0, runtime="transformers").device.type == "cpu"


@needs_torch
def test_a_rank_takes_the_gpu_of_its_place_on_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    chosen: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    assert pick_device("auto", 1, runtime="x").device == torch.device("cuda", 1)
    assert chosen == [1]
    assert pick_device("cpu", 1, runtime="x").device.type == "cpu"
    with pytest.raises(UsageError, match="local rank 2 found 2"):
        pick_device("auto", 2, runtime="x")


def test_what_it_recognises(tmp_path: Path) -> None:
    assert runtimes.recognises(str(write_checkpoint(tmp_path / "hf")))
    assert not runtimes.recognises(str(write_engine(tmp_path / "engine")))
    (tmp_path / "hf" / "model.safetensors").unlink()
    assert not runtimes.recognises(str(tmp_path / "hf"))


def test_ids_are_drawn_from_the_whole_vocabulary() -> None:
    from tokenclock.runtime.token_ids import draw_token_ids

    ids = draw_token_ids(64, 100, 50, seed=1, without={7})
    assert ids.shape == (64, 100)
    assert ids.dtype == np.int32
    assert set(np.unique(ids)) == set(range(3, 50)) - {7}
    assert draw_token_ids(1, 5, 4, seed=1, without={3}).tolist() != []
