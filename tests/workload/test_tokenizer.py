"""Tokenizers from a directory: what is read, what is refused, and prompts that keep the asked length exactly."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from tokenclock.errors import UsageError
from tokenclock.plan import EndpointPlan, LoadPlan, RandomDataset, ServingPlan
from tokenclock.workload import build_workload
from tokenclock.workload.tokenizer import find_tokenizer, pool_for_text
from tokenclock.workload.words import WORDS

TEXT = [" ".join(np.random.default_rng(seed).choice(WORDS, 200)) for seed in range(60)]


def byte_level(size: int, *, begin: bool = True, prefix_space: bool = False) -> Tokenizer:
    """GPT-2's kind; `begin`: the server adds a begin-of-text token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    if begin:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return tokenizer


def word_piece() -> Tokenizer:
    """BERT's kind."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=800, special_tokens=["[UNK]"], show_progress=False)
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer


def unigram() -> Tokenizer:
    """T5's kind."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=700, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer


MAKERS: dict[str, Callable[[], Tokenizer]] = {
    "byte level": lambda: byte_level(1200),
    "byte level with a space put first": lambda: byte_level(1200, prefix_space=True),
    "hardly any merges": lambda: byte_level(300),
    "single bytes": lambda: byte_level(258, begin=False),
    "word piece": word_piece,
    "unigram": unigram,
}


@pytest.fixture(scope="module", params=list(MAKERS), ids=list(MAKERS))
def directory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer")
    tokenizer = MAKERS[request.param]()
    tokenizer.enable_truncation(50)  # some files come with it: it must not cut our counts
    tokenizer.enable_padding(length=60)
    tokenizer.save(str(path / "tokenizer.json"))
    return path


def plain_reader(directory: Path) -> Tokenizer:
    reader: Tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    reader.no_truncation()
    reader.no_padding()
    return reader


def plan_for(directory: Path | str, *, backend: str = "openai", n: int = 40, **dataset: Any) -> ServingPlan:
    return ServingPlan(
        EndpointPlan("m", backend=backend, tokenizer=str(directory)),
        LoadPlan(num_prompts=n),
        dataset=RandomDataset(**dataset),
    )


@pytest.mark.parametrize(
    "dataset",
    [
        {"input_len": 256},
        {"input_len": 64, "range_ratio": 0.5},
        {"input_len": 30, "prefix_len": 20},
        {"input_len": 4},
    ],
    ids=str,
)
def test_completion_prompts_have_exactly_the_asked_length_as_the_server_counts_it(
    directory: Path, dataset: dict[str, Any]
) -> None:
    workload = build_workload(plan_for(directory, **dataset))
    encoded = plain_reader(directory).encode_batch(list(workload.prompts))  # special tokens added, as servers do
    assert [len(item.ids) for item in encoded] == workload.isl_requested.tolist()
    assert workload.asked_and_got() == {"n_known": 40, "exact_share": 1.0, "largest_difference": 0}
    assert len(set(workload.prompts)) == 40
    assert not any("could not be given" in note for note in workload.notes)


def test_chat_prompts_are_exact_without_the_template(directory: Path) -> None:
    workload = build_workload(plan_for(directory, backend="openai-chat", input_len=50))
    encoded = plain_reader(directory).encode_batch(list(workload.prompts), add_special_tokens=False)
    assert {len(item.ids) for item in encoded} == {50}
    assert "chat template" in workload.notes[0]


def test_ids_are_sent_on_request_and_are_no_special_tokens(directory: Path) -> None:
    workload = build_workload(plan_for(directory, input_len=200, tokenize_on_client=True))
    special = set(plain_reader(directory).get_added_tokens_decoder())
    ids = {number for prompt in workload.prompts for number in prompt}
    assert special
    assert not ids & special
    assert [len(prompt) for prompt in workload.prompts] == [200] * 40


def test_text_and_spares_are_those_of_the_seed_and_never_the_same_twice(directory: Path) -> None:
    plan = plan_for(directory, input_len=20)
    first, second = build_workload(plan), build_workload(plan)
    assert first.sha256 == second.sha256
    spares = first.spare_prompts(10)
    assert spares == second.spare_prompts(10)
    assert len({text for text, _ in spares} | set(first.prompts)) == 50


def test_generated_text_can_be_counted(directory: Path) -> None:
    workload = build_workload(plan_for(directory, input_len=20))
    assert workload.count_tokens is not None
    text = " ".join(WORDS[:30])
    assert workload.count_tokens(text) == len(plain_reader(directory).encode(text, add_special_tokens=False).ids)


def test_a_length_that_cannot_be_is_reported_not_hidden(tmp_path: Path) -> None:
    byte_level(300).save(str(tmp_path / "tokenizer.json"))
    workload = build_workload(plan_for(tmp_path, n=5, input_len=1))  # begin-of-text alone is one token
    assert workload.isl_realised.tolist() == [2] * 5
    assert workload.asked_and_got() == {"n_known": 5, "exact_share": 0.0, "largest_difference": 1}
    assert workload.notes[0].startswith(
        "5 of 5 prompts could not be given the asked number of tokens (off by 1 at most)"
    )


def test_prefixes_are_the_same_text(tmp_path: Path) -> None:
    byte_level(1200).save(str(tmp_path / "tokenizer.json"))
    prompts = [str(prompt) for prompt in build_workload(plan_for(tmp_path, input_len=10, prefix_len=30)).prompts]
    shared = len([1 for letters in zip(*prompts, strict=False) if len(set(letters)) == 1])
    assert shared > 60
    assert len(set(prompts)) == 40


def test_a_vocabulary_limit_holds_with_a_tokenizer_too(tmp_path: Path) -> None:
    byte_level(1200).save(str(tmp_path / "tokenizer.json"))
    workload = build_workload(plan_for(tmp_path, input_len=50, tokenize_on_client=True, vocab_size=100))
    assert max(number for prompt in workload.prompts for number in prompt) < 100


def test_the_pool_prefers_whole_words(tmp_path: Path) -> None:
    byte_level(1200).save(str(tmp_path / "tokenizer.json"))
    tokenizer = find_tokenizer(plan_for(tmp_path))
    assert tokenizer is not None
    texts = tokenizer.texts([[number] for number in pool_for_text(tokenizer).tolist()])
    assert all(text[0] == " " and text[1:].isalpha() for text in texts)


def test_a_model_directory_gives_the_tokenizer_and_a_model_name_does_not(tmp_path: Path) -> None:
    assert find_tokenizer(ServingPlan(EndpointPlan("meta-llama/Meta-Llama-3-8B-Instruct"))) is None
    assert find_tokenizer(ServingPlan(EndpointPlan(str(tmp_path)))) is None
    byte_level(300).save(str(tmp_path / "tokenizer.json"))
    tokenizer = find_tokenizer(ServingPlan(EndpointPlan(str(tmp_path))))
    assert tokenizer is not None
    assert tokenizer.source == str(tmp_path)


def test_a_tokenizer_that_is_no_directory_is_refused_without_a_download() -> None:
    with pytest.raises(
        UsageError, match=r"must be a directory that holds tokenizer\.json, got org/name; tokenclock never"
    ):
        find_tokenizer(plan_for("org/name"))


def test_a_directory_without_a_tokenizer_is_told_what_one_holds(tmp_path: Path) -> None:
    expected = (
        f"--tokenizer must be a directory that holds tokenizer.json, got {tmp_path}, which holds neither that nor "
        "tokenizer.model, vocab.json, vocab.txt or the like; give the directory of the model's files"
    )
    for mode in ("auto", "slow"):
        with pytest.raises(UsageError) as caught:
            find_tokenizer(ServingPlan(EndpointPlan("m", tokenizer=str(tmp_path), tokenizer_mode=mode)))
        assert str(caught.value) == expected


def test_a_broken_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"model": \n 3}')
    with pytest.raises(UsageError, match="is no readable tokenizer") as caught:
        find_tokenizer(plan_for(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_missing_package_is_named_with_its_install_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(UsageError, match=r"pip install 'tokenclock\[serving\]'"):
        find_tokenizer(plan_for(tmp_path))


def test_other_files_and_the_slow_mode_need_transformers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    (tmp_path / "vocab.txt").write_text("a")
    with pytest.raises(
        UsageError, match=r"holds no tokenizer\.json, so it needs the transformers package: pip install"
    ):
        find_tokenizer(plan_for(tmp_path))
    (tmp_path / "tokenizer.json").write_text("{}")
    slow = ServingPlan(EndpointPlan("m", tokenizer=str(tmp_path), tokenizer_mode="slow"))
    with pytest.raises(UsageError, match="--tokenizer-mode slow needs the transformers package: pip install"):
        find_tokenizer(slow)


def test_transformers_reads_what_it_can_and_says_so_when_it_cannot(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    (tmp_path / "vocab.json").write_text("no vocabulary")
    with pytest.raises(UsageError, match="no tokenizer could be read from"):
        find_tokenizer(plan_for(tmp_path))
    (tmp_path / "vocab.json").unlink()
    byte_level(1200, begin=False).save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>"}'
    )
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    slow = ServingPlan(
        EndpointPlan("m", tokenizer=str(tmp_path), tokenizer_mode="slow"),
        LoadPlan(num_prompts=10),
        dataset=RandomDataset(input_len=40),
    )
    workload = build_workload(slow)
    assert workload.asked_and_got()["exact_share"] == 1.0
