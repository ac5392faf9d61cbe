from __future__ import annotations

from pathlib import Path

import pytest

from tokenclock.errors import UsageError
from tokenclock.runtime.ctranslate2_vocabulary import read_vocabulary


def test_json_and_lines_of_text(tmp_path: Path) -> None:
    (tmp_path / "vocabulary.txt").write_text("<s>\na\n")
    assert read_vocabulary(tmp_path) == ["<s>", "a"]
    (tmp_path / "vocabulary.json").write_text('["<s>", "b"]')
    assert read_vocabulary(tmp_path) == ["<s>", "b"]


def test_the_side_of_an_encoder_decoder(tmp_path: Path) -> None:
    (tmp_path / "shared_vocabulary.json").write_text('["shared"]')
    assert read_vocabulary(tmp_path, "source") == ["shared"]
    (tmp_path / "source_vocabulary.json").write_text('["own"]')
    assert read_vocabulary(tmp_path, "source") == ["own"]


@pytest.mark.parametrize("content", ["", "{", "[]", "[1]", '{"a": 1}'])
def test_what_is_no_vocabulary_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "vocabulary.json").write_text(content)
    with pytest.raises(UsageError, match="must be a"):
        read_vocabulary(tmp_path)


def test_none_is_refused_with_the_names_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"source_vocabulary\.json, shared_vocabulary\.json"):
        read_vocabulary(tmp_path, "source")
