"""The stand-in itself: it has what a release has, and rejects what the real package would reject."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.standins.models import write_checkpoint, write_engine
from tests.standins.tensorrt_llm_package import API, RELEASES, STABLE_LLM_OPTIONS, write_package


def _forget() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] in ("tensorrt_llm", "tensorrt")]:
        del sys.modules[name]


@pytest.fixture(params=RELEASES)
def package(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    _forget()
    monkeypatch.syspath_prepend(str(write_package(tmp_path / "package", request.param)))
    yield importlib.import_module("tensorrt_llm")
    _forget()


@pytest.fixture
def newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    _forget()
    monkeypatch.syspath_prepend(str(write_package(tmp_path / "package", "1.2.1")))
    yield importlib.import_module("tensorrt_llm")
    _forget()


def _has(module: str, name: str) -> bool:
    try:
        return hasattr(importlib.import_module(module), name)
    except ImportError:
        return False


def test_each_release_has_its_classes_and_no_others(package: Any) -> None:
    era = tuple(int(part) for part in package.__version__.split(".")[:2])
    engines, llm = era <= (1, 2), era >= (1, 0)
    for name in ("ModelRunner", "ModelRunnerCpp", "GenerationSession", "EncDecModelRunner", "Session", "TensorInfo"):
        assert _has("tensorrt_llm.runtime", name) == engines
    assert _has("tensorrt_llm.builder", "Engine") == engines
    assert _has("tensorrt_llm.bindings.executor", "Executor") == engines
    assert _has("tensorrt", "DataType") == engines
    assert _has("tensorrt_llm._tensorrt_engine", "LLM") == (engines and llm)
    assert _has("tensorrt_llm._torch", "LLM") == (not llm)
    assert _has("tensorrt_llm.llmapi", "TorchLlmArgs") == llm
    assert _has("tensorrt_llm", "LLM")
    assert package.mpi_rank() == 0
    assert package.mpi_world_size() == 1


def test_every_verified_signature_is_the_real_one(newest: Any) -> None:
    n_compared = 0
    for entry in API["signatures"]:
        if entry["verified"] != "signature" or entry["release"]["present"].startswith("1.3"):
            continue
        owner = importlib.import_module(entry["module"])
        function = getattr(getattr(owner, entry["class"]) if entry["class"] else owner, entry["method"])
        found = [p for p in inspect.signature(function).parameters.values() if p.name != "self"]
        assert [p.name for p in found] == [p["name"] for p in entry["params"]]
        assert [p.kind.name.lower() for p in found] == [p["kind"] for p in entry["params"]]
        assert [p.default is p.empty for p in found] == [
            p["required"] or p["kind"].startswith("var_") for p in entry["params"]
        ]
        n_compared += 1
    assert n_compared > 20


@pytest.mark.parametrize(
    ("keywords", "problem"),
    [
        ({"max_batchsize": 8}, "max_batchsize"),
        ({"kv_cache_config": {"enable_reuse": False}}, "enable_reuse"),
        ({"engine_dir": "x"}, "engine_dir"),
    ],
)
def test_an_option_that_llm_does_not_have_is_refused(
    newest: Any, tmp_path: Path, keywords: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        newest.LLM(str(write_checkpoint(tmp_path / "model")), **keywords)


def test_order_that_is_not_verified_cannot_be_used(newest: Any, tmp_path: Path) -> None:
    model = str(write_checkpoint(tmp_path / "model"))
    with pytest.raises(TypeError):
        newest.LLM(model, "tokenizer")
    with pytest.raises(TypeError):
        newest.LLM()
    with pytest.raises(TypeError):
        newest.SamplingParams(1)
    with pytest.raises(TypeError, match="top_q"):
        newest.SamplingParams(top_q=1)
    from tensorrt_llm.runtime import GenerationSession, ModelRunnerCpp, SamplingConfig

    with pytest.raises(TypeError):
        ModelRunnerCpp.from_dir("folder", None, 0)
    with pytest.raises(TypeError, match="block_reuse"):
        ModelRunnerCpp.from_dir("folder", block_reuse=False)
    with pytest.raises(TypeError):
        SamplingConfig(2)
    with pytest.raises(TypeError):
        GenerationSession.setup(object(), 1, 8, 4, 1)


def test_only_the_stable_options_exist_in_1_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _forget()
    monkeypatch.syspath_prepend(str(write_package(tmp_path / "package", "1.0.0")))
    try:
        from tensorrt_llm.llmapi import TorchLlmArgs

        assert set(TorchLlmArgs.model_fields) == set(STABLE_LLM_OPTIONS)
        assert "stream_interval" in STABLE_LLM_OPTIONS
        assert "cuda_graph_config" not in STABLE_LLM_OPTIONS
    finally:
        _forget()


def test_a_request_ends_by_itself_unless_told_otherwise(newest: Any, tmp_path: Path) -> None:
    with_tokens = newest.LLM(str(write_checkpoint(tmp_path / "model")), skip_tokenizer_init=True)
    try:
        free = newest.SamplingParams(max_tokens=8, end_id=2, detokenize=False)
        exact = newest.SamplingParams(max_tokens=8, end_id=-1, detokenize=False)
        assert len(with_tokens.generate([[5, 6]], sampling_params=free)[0].outputs[0].token_ids) == 4
        assert len(with_tokens.generate([[5, 6]], sampling_params=exact)[0].outputs[0].token_ids) == 8
        with pytest.raises(ValueError, match="end_id"):
            with_tokens.generate([[5]], sampling_params=newest.SamplingParams(detokenize=False))
        with pytest.raises(ValueError, match="detokenize"):
            with_tokens.generate([[5]], sampling_params=newest.SamplingParams(end_id=-1))
    finally:
        with_tokens.shutdown()
    with pytest.raises(RuntimeError, match="shutting down"):
        with_tokens.generate([[5]], sampling_params=exact)


def test_rows_beyond_the_batch_size_run_later(newest: Any, tmp_path: Path) -> None:
    llm = newest.LLM(str(write_checkpoint(tmp_path / "model")), skip_tokenizer_init=True, max_batch_size=2)
    try:
        params = newest.SamplingParams(max_tokens=3, end_id=-1, detokenize=False, return_perf_metrics=True)
        answers = llm.generate([[5], [6], [7]], sampling_params=params)
        first = [answer.outputs[0].request_perf_metrics.first_iter for answer in answers]
        assert first[0] == first[1] < first[2]
        times = answers[2].outputs[0].request_perf_metrics.timing_metrics
        assert times.arrival_time < times.first_scheduled_time < times.first_token_time < times.last_token_time
    finally:
        llm.shutdown()


def test_an_engine_checks_what_the_real_one_checks(newest: Any, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (make real-models)")
    from tensorrt_llm.runtime import ModelRunner, ModelRunnerCpp, SamplingConfig

    folder = str(write_engine(tmp_path / "engine"))
    runner = ModelRunnerCpp.from_dir(folder)
    ids = [torch.arange(4, dtype=torch.int32)] * 17
    with pytest.raises(RuntimeError, match="batch size"):
        runner.generate(ids, max_new_tokens=4)
    with pytest.raises(RuntimeError, match="maximum new tokens"):
        runner.generate(ids[:1], max_new_tokens=700)
    with pytest.raises(TypeError):
        runner.generate(ids, None)
    session = ModelRunner.from_dir(folder).session
    config = SamplingConfig(end_id=2, pad_id=0)
    lengths = torch.tensor([4], dtype=torch.int32)
    with pytest.raises(AssertionError, match="setup"):
        session.decode(ids[0], lengths, config)
    session.setup(1, 4, 4, beam_width=2)
    with pytest.raises(AssertionError, match="beam width"):
        session.decode(ids[0], lengths, config)
    session.setup(1, 4, 4)
    with pytest.raises(TypeError, match="profiler"):
        session.decode(ids[0], lengths, config, profiler=None)
    answer = session.decode(ids[0], lengths, config, return_dict=True, output_sequence_lengths=True)
    assert int(answer["sequence_lengths"][0, 0]) == 4 + 2  # half: nothing kept the model from ending
