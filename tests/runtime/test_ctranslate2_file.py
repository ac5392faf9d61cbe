from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from tokenclock.errors import UsageError
from tokenclock.runtime.ctranslate2_file import read_model_file

FLOAT32, INT8, INT16 = 0, 1, 2


def text(value: str) -> bytes:
    return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"


def model(
    *variables: tuple[str, tuple[int, ...], int, bytes], spec: str = "S", aliases: Mapping[str, str] | None = None
) -> bytes:
    aliases = aliases or {}
    parts = [struct.pack("<I", 6), text(spec), struct.pack("<II", 3, len(variables))]
    for name, shape, type_id, data in variables:
        parts += [text(name), struct.pack(f"<B{len(shape)}I", len(shape), *shape)]
        parts += [struct.pack("<BI", type_id, len(data)), data]
    parts.append(struct.pack("<I", len(aliases)))
    return b"".join([*parts, *(text(alias) + text(name) for alias, name in aliases.items())])


DECODER = model(
    ("decoder/embeddings/weight", (10, 4), FLOAT32, bytes(160)),
    ("decoder/layer_0/ffn/weight", (4, 4), INT8, bytes(16)),
    ("decoder/layer_1/ffn/weight", (4, 4), INT8, bytes(16)),
    ("decoder/num_heads", (), INT16, struct.pack("<h", 2)),
    ("decoder/position_encodings/encodings", (33, 4), FLOAT32, bytes(528)),
    ("decoder/scale", (), FLOAT32, bytes(4)),
)


def test_names_shapes_and_whole_numbers(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(DECODER)
    file = read_model_file(tmp_path)
    assert (file.spec, file.family) == ("S", "dec")
    assert file.scalar("decoder/num_heads") == 2
    assert file.scalar("decoder/scale") is None
    assert file.scalar("nothing") is None
    assert file.n_layers("decoder") == 2
    assert file.n_layers("encoder") is None
    assert file.embeddings("decoder") == (10, 4)
    assert file.n_positions("decoder") == 33
    assert file.n_positions("encoder") is None
    assert file.weights_bytes == 160 + 16 + 16 + 2 + 528 + 4
    assert file.weight_dtype == "float32"


@pytest.mark.parametrize(
    ("names", "family"),
    [
        (["encoder/x"], "enc"), (["decoder/x"], "dec"), (["encoder/x", "decoder/x"], "enc-dec"), (["vocoder/x"], None)
    ],
)  # fmt: skip
def test_families_by_their_stacks(tmp_path: Path, names: list[str], family: str | None) -> None:
    (tmp_path / "model.bin").write_bytes(model(*((name, (1,), FLOAT32, bytes(4)) for name in names)))
    assert read_model_file(tmp_path).family == family


def test_shared_weights_count_once_and_go_by_both_names(tmp_path: Path) -> None:
    shared = ("encoder/embeddings_0/weight", (10, 4), FLOAT32, bytes(160))
    aliases = {"decoder/embeddings/weight": "encoder/embeddings_0/weight"}
    (tmp_path / "model.bin").write_bytes(model(shared, aliases=aliases))
    file = read_model_file(tmp_path)
    assert file.family == "enc-dec"
    assert file.embeddings("decoder") == file.embeddings("encoder") == (10, 4)
    assert file.weights_bytes == 160
    (tmp_path / "model.bin").write_bytes(model(shared, aliases={"a": "b"}))
    with pytest.raises(UsageError, match="a stands for b, which is not there"):
        read_model_file(tmp_path)


def test_every_cut_is_refused_in_one_line(tmp_path: Path) -> None:
    end = DECODER.index(b"decoder/scale") + len("decoder/scale") + 1
    for length in [*range(60), *range(60, end, 37)]:
        (tmp_path / "model.bin").write_bytes(DECODER[:length])
        with pytest.raises(UsageError, match="must be a CTranslate2 model") as caught:
            read_model_file(tmp_path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\3\4" * 50, bytes(200), b"\xff" * 500])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises(UsageError, match="must be a CTranslate2 model"):
        read_model_file(tmp_path)


def test_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_model_file(tmp_path)
