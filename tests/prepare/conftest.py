"""A tokenizer whose tokens are words, with special tokens at both ends of the vocabulary."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

BEGIN, END, PICTURE = 1, 2, 103  # ids of special tokens; w0 is 3


@pytest.fixture(scope="session")
def word_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A directory with a tokenizer: one token a word, `<s>` in front of prompts, `</s>` the end of text."""
    directory = tmp_path_factory.mktemp("tokenizer")
    words = {"[UNK]": 0, "<s>": BEGIN, "</s>": END} | {f"w{n}": n + 3 for n in range(100)} | {"<image>": PICTURE}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(["[UNK]", "<s>", "</s>", "<image>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", BEGIN)])
    tokenizer.save(str(directory / "tokenizer.json"))
    (Path(directory) / "tokenizer_config.json").write_text(json.dumps({"eos_token": "</s>"}), "utf-8")
    return str(directory)
