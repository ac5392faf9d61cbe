"""What an engine directory says of itself, and which ones are refused before anything loads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.standins.models import write_checkpoint, write_enc_dec_engine, write_engine

from tokenclock.errors import UsageError
from tokenclock.parallel import OneProcess
from tokenclock.runtime.engine_config import holds_engine, read_engine_directory
from tokenclock.runtime.protocol import Limits


@dataclass(frozen=True)
class Rank(OneProcess):
    """One rank of a world that is not there."""


def test_a_decoder_engine(tmp_path: Path) -> None:
    folder = write_engine(tmp_path / "llama", quantization={"quant_algo": "FP8", "kv_cache_quant_algo": "FP8"})
    engine = read_engine_directory(str(folder), "dec", OneProcess())
    facts = engine.facts({"through": "x"})
    assert (facts.name, facts.family, facts.precision) == ("llama", "dec", "float16")
    assert (facts.num_heads, facts.num_kv_heads, facts.num_layers) == (32, 8, 30)
    assert (facts.hidden_size, facts.vocab_size) == (4096, 32000)
    assert facts.quantization == "QuantMode.FP8_QDQ|FP8_KV_CACHE"
    assert facts.details["engine_version"] == "0.19.0"
    assert facts.details["engine_bytes"] == (folder / "rank0.engine").stat().st_size
    assert engine.limits() == Limits(max_batch_size=16, max_input_len=512, max_seq_len=600, max_beam_width=4)
    assert engine.main.is_packed
    assert engine.main.is_paged


def test_sizes_are_of_the_whole_model_whatever_the_ranks(tmp_path: Path) -> None:
    folder = write_engine(tmp_path / "llama", tp=2, pp=2)
    engine = read_engine_directory(str(folder), "dec", Rank(rank=3, size=4))
    assert (engine.facts({}).num_heads, engine.facts({}).hidden_size) == (32, 4096)


def test_an_encoder_engine(tmp_path: Path) -> None:
    folder = write_engine(tmp_path / "bert", "enc", packed=False)
    engine = read_engine_directory(str(folder), "enc", OneProcess())
    assert engine.limits() == Limits(max_batch_size=16, max_input_len=512)
    assert engine.facts({}).quantization is None
    assert not engine.main.is_packed


def test_an_encoder_decoder_engine(tmp_path: Path) -> None:
    folder = write_enc_dec_engine(tmp_path / "t5")
    encoder = json.loads((folder / "encoder" / "config.json").read_text())
    encoder["build_config"] |= {"max_input_len": 1024, "max_batch_size": 8}
    (folder / "encoder" / "config.json").write_text(json.dumps(encoder))
    engine = read_engine_directory(str(folder), "enc-dec", OneProcess())
    assert engine.facts({}).num_layers == 30  # the encoder's, as the original told
    assert engine.limits() == Limits(max_batch_size=8, max_input_len=1024, max_output_len=599, max_beam_width=4)
    assert engine.main.token("decoder_start_token_id", 5) == 0
    assert engine.main.token("bos_token_id", 5) == 5


def test_a_cache_that_is_not_paged(tmp_path: Path) -> None:
    folder = write_engine(tmp_path / "a", paged=False)
    assert not read_engine_directory(str(folder), "dec", OneProcess()).main.is_paged
    old = write_engine(tmp_path / "b", build={"kv_cache_type": None, "plugin_config": {"paged_kv_cache": True}})
    assert read_engine_directory(str(old), "dec", OneProcess()).main.is_paged


def test_what_it_recognises(tmp_path: Path) -> None:
    assert holds_engine(str(write_engine(tmp_path / "dec")))
    assert holds_engine(str(write_enc_dec_engine(tmp_path / "t5")))
    assert not holds_engine(str(write_checkpoint(tmp_path / "hf")))
    assert not holds_engine(str(tmp_path))


@pytest.mark.parametrize(
    ("size", "expected"), [(1, r"for 2 ranks \(tp 2, pp 1\).*this run has 1: start it under mpirun -n 2"), (4, "has 4")]
)
def test_another_number_of_ranks_is_one_line(tmp_path: Path, size: int, expected: str) -> None:
    folder = write_engine(tmp_path / "llama", tp=2)
    with pytest.raises(UsageError, match=expected) as caught:
        read_engine_directory(str(folder), "dec", Rank(rank=0, size=size))
    assert "\n" not in str(caught.value)


def test_a_missing_rank_file_is_named(tmp_path: Path) -> None:
    folder = write_engine(tmp_path / "llama", tp=2)
    (folder / "rank1.engine").unlink()
    with pytest.raises(UsageError, match=r"must hold rank1\.engine"):
        read_engine_directory(str(folder), "dec", Rank(rank=1, size=2))


def test_another_family_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"-m enc needs another engine than .*, which is of -m dec"):
        read_engine_directory(str(write_engine(tmp_path / "llama")), "enc", OneProcess())
    with pytest.raises(UsageError, match="which is of -m enc-dec"):
        read_engine_directory(str(write_enc_dec_engine(tmp_path / "t5")), "dec", OneProcess())


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{", "must be JSON"),
        ("[]", "must have pretrained_config and build_config"),
        ('{"architectures": []}', "must have pretrained_config"),
        ('{"builder_config": {}, "plugin_config": {}}', r"built before TensorRT-LLM 0\.8"),
    ],
)
def test_a_config_that_is_no_engines_is_refused(tmp_path: Path, content: str, expected: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UsageError, match=expected):
        read_engine_directory(str(tmp_path), "dec", OneProcess())


def test_half_an_encoder_decoder_is_refused(tmp_path: Path) -> None:
    folder = write_enc_dec_engine(tmp_path / "t5")
    (folder / "encoder" / "config.json").unlink()
    with pytest.raises(UsageError, match=r"encoder/config\.json"):
        read_engine_directory(str(folder), "enc-dec", OneProcess())
    with pytest.raises(UsageError, match="must hold an engine"):
        read_engine_directory(str(tmp_path), "dec", OneProcess())
