"""Layers of TensorRT engines: how a session's profile is read, and each family on the stand-in."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.conftest import InstallTrtllm
from tests.standins.models import write_enc_dec_engine, write_engine

from tokenclock.errors import MeasurementError
from tokenclock.layers import LayerTime
from tokenclock.parallel import OneProcess
from tokenclock.plan_benchmark import BenchmarkCase
from tokenclock.runtime import trtllm_engine
from tokenclock.runtime.layers import LayerLister, LayerProfiler
from tokenclock.runtime.options import RuntimeOptions
from tokenclock.runtime.trtllm_layers import times_of_steps

OPTIONS = RuntimeOptions(max_batch_size=4, max_input_len=16, max_output_len=6)


def test_steps_are_told_apart_by_their_marks() -> None:
    """Two layers, a prompt and two more steps; what was begun and never marked belongs to no step."""
    results: list[tuple[str, float]] = [
        ("a", 2.0), ("b", 1.0), ("step", 0), ("a", 0.5), ("b", 0.25), ("step", 1), ("a", 0.5), ("b", 0.25), ("step", 2),
        ("a", 9.0),
    ]  # fmt: skip
    assert times_of_steps(results) == [
        LayerTime("a", "", "context", 1, 2_000_000),
        LayerTime("b", "", "context", 1, 1_000_000),
        LayerTime("a", "", "generation", 2, 1_000_000),
        LayerTime("b", "", "generation", 2, 500_000),
    ]
    with pytest.raises(MeasurementError, match="no layer"):
        times_of_steps([])


def load(folder: Path, family: str, **changed: Any) -> Any:
    pytest.importorskip("torch", reason="PyTorch is not installed (make real-models)")
    options = dataclasses.replace(OPTIONS, **changed)
    runtime: Any = trtllm_engine.load(str(folder), family, options, OneProcess())
    return runtime


@pytest.mark.parametrize("release", ["0.19.0", "1.2.1"])
@pytest.mark.parametrize("family", ["dec", "enc-dec"])
def test_a_session_profiles_each_phase(
    install_trtllm: InstallTrtllm, tmp_path: Path, release: str, family: str
) -> None:
    install_trtllm(release)
    write = write_engine if family == "dec" else write_enc_dec_engine
    runtime = load(write(tmp_path / "model"), family, cuda_graph=True)  # which is off while layers are timed
    assert isinstance(runtime, LayerProfiler)
    for _ in range(2):  # the profiler stays attached: the second time only what came since counts
        runtime.prepare(BenchmarkCase(0, family, 4, 16, 6), seed=1)
        runtime.before_iteration()
        assert runtime.profile_layers() == [
            LayerTime("layers/0/attention", "", "context", 1, 2_000_000),
            LayerTime("layers/0/mlp", "", "context", 1, 250_000),
            LayerTime("layers/0/attention", "", "generation", 5, 2_500_000),
            LayerTime("layers/0/mlp", "", "generation", 5, 1_250_000),
        ]
        runtime.release()


def test_an_encoder_profiles_its_one_phase(install_trtllm: InstallTrtllm, tmp_path: Path) -> None:
    install_trtllm("1.0.0")
    runtime = load(write_engine(tmp_path / "bert", "enc"), "enc")
    runtime.prepare(BenchmarkCase(0, "enc", 4, 16), seed=1)
    assert runtime.profile_layers() == [
        LayerTime("layers/0/attention", "", "context", 1, 3_000_000),
        LayerTime("layers/0/mlp", "", "context", 1, 1_000_000),
    ]


@pytest.mark.parametrize("family", ["dec", "enc"])
def test_the_engines_inspector_lists_them(install_trtllm: InstallTrtllm, tmp_path: Path, family: str) -> None:
    install_trtllm("1.2.1")
    detailed, named = load(write_engine(tmp_path / "model", family), family).list_layers()
    assert (detailed.name, detailed.kind) == ("layers/0/attention", "PluginV2")
    assert detailed.inputs == ["qkv (-1, 6144) Half"]
    assert detailed.outputs == ["context (-1, 4096) Half"]
    assert detailed.text == '{"TacticName": ""}'
    assert (named.name, named.kind, named.n_parameters) == ("layers/0/mlp", "", None)


def test_the_executor_knows_no_layers(install_trtllm: InstallTrtllm, tmp_path: Path) -> None:
    install_trtllm("1.2.1")
    runtime = load(write_engine(tmp_path / "llama"), "dec", streaming=False)
    assert not isinstance(runtime, LayerProfiler)
    assert not isinstance(runtime, LayerLister)
