"""A tokenizer whose tokens are words, so that lengths can be computed by hand, and small files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from tokenclock.plan import Dataset, EndpointPlan, LoadPlan, ServingPlan

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}[ {{ message.role }} ] {{ message.content }} {% endfor %}"
    "{% if add_generation_prompt %}[ assistant ]{% endif %}"
)


@pytest.fixture
def word_tokenizer(tmp_path: Path) -> str:
    """A directory with a tokenizer: one token a word, `<s>` in front of completion prompts, and a chat template."""
    directory = tmp_path / "tokenizer"
    directory.mkdir()
    words = {"[UNK]": 0, "<s>": 1} | {f"w{number}": number + 2 for number in range(100)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(["[UNK]", "<s>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.save(str(directory / "tokenizer.json"))
    config = {"chat_template": TEMPLATE, "bos_token": "<s>"}
    (directory / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return str(directory)


@pytest.fixture
def lines_file(tmp_path: Path) -> Callable[..., str]:
    """Writes values as JSON lines (text as it is) and gives the path."""

    def write(*rows: Any, name: str = "data.jsonl") -> str:
        path = tmp_path / name
        path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), "utf-8")
        return str(path)

    return write


MakePlan = Callable[..., ServingPlan]


@pytest.fixture
def make_plan() -> MakePlan:
    """A plan of a dataset: `make_plan(dataset, n, backend=..., tokenizer=..., **load)`."""

    def make(
        dataset: Dataset, n: int = 4, backend: str = "openai", tokenizer: str | None = None, **load: Any
    ) -> ServingPlan:
        endpoint = EndpointPlan("m", backend=backend, tokenizer=tokenizer)
        return ServingPlan(endpoint, LoadPlan(num_prompts=n, **load), dataset=dataset)

    return make
