"""What a CTranslate2 model file says of itself: names, shapes and types of its variables. Their data is passed over.

The form is the package's own (`ctranslate2.specs.model_spec`): version, name and revision of the model, then each
variable with name, shape, type and data, then names that stand for a variable of another name (shared embeddings).
Numbers are little-endian.
"""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tokenclock.errors import UsageError
from tokenclock.layers import LayerInfo

__all__ = ["MODEL_FILE", "ModelFile", "Variable", "read_model_file"]

MODEL_FILE = "model.bin"
_TYPES = ("float32", "int8", "int16", "int32", "float16", "bfloat16")
_MOST_VARIABLES = 1_000_000
_SCALAR_BYTES = 8


@dataclass(frozen=True)
class Variable:
    """One array of the model; `value` is that of a whole number without dimensions, None for all else."""

    shape: tuple[int, ...]
    dtype: str
    n_bytes: int
    value: int | None


@dataclass(frozen=True)
class ModelFile:
    """The variables of a model, by name; one that goes by two names is there twice, and counted once.

    Args:
        spec: name of the model's kind.
        variables: by every name.
        weights_bytes: of all variables.
    """

    spec: str
    variables: dict[str, Variable]
    weights_bytes: int

    @property
    def family(self) -> str | None:
        """``dec``, ``enc`` or ``enc-dec``, by the stacks there are; None for anything else."""
        stacks = {name.partition("/")[0] for name in self.variables}
        if "decoder" in stacks:
            return "enc-dec" if "encoder" in stacks else "dec"
        return "enc" if "encoder" in stacks else None

    def scalar(self, name: str) -> int | None:
        """The value of a whole number without dimensions, None where there is none."""
        variable = self.variables.get(name)
        return None if variable is None else variable.value

    def n_layers(self, stack: str) -> int | None:
        """Layers of ``encoder`` or ``decoder``."""
        numbers = {name.split("/")[1] for name in self.variables if name.startswith(f"{stack}/layer_")}
        return len([number for number in numbers if number[len("layer_") :].isdecimal()]) or None

    def embeddings(self, stack: str) -> tuple[int, int] | None:
        """Vocabulary size and hidden size, from the shape of the first embeddings."""
        for name in (f"{stack}/embeddings/weight", f"{stack}/embeddings_0/weight"):
            variable = self.variables.get(name)
            if variable is not None and len(variable.shape) == 2:
                return variable.shape[0], variable.shape[1]
        return None

    def n_positions(self, stack: str) -> int | None:
        """Rows of the table of position embeddings, where the model has one."""
        variable = self.variables.get(f"{stack}/position_encodings/encodings")
        return variable.shape[0] if variable is not None and len(variable.shape) == 2 else None

    @property
    def weight_dtype(self) -> str:
        """The type that most of the weights' bytes have."""
        sizes: dict[str, int] = {}
        for variable in self.variables.values():
            sizes[variable.dtype] = sizes.get(variable.dtype, 0) + variable.n_bytes
        return max(sizes, key=lambda dtype: sizes[dtype])


def layers_of(file: ModelFile) -> list[LayerInfo]:
    """Every part that has variables of its own, in the file's order; ``decoder/layer_0/ffn/linear_0`` is one."""
    parts: dict[str, dict[str, Variable]] = {}
    for name, variable in file.variables.items():
        part, _, own = name.rpartition("/")
        if variable.shape:
            parts.setdefault(part or name, {})[own] = variable
    return [
        LayerInfo(
            part,
            n_parameters=sum(math.prod(variable.shape) for name, variable in own.items() if "scale" not in name),
            weights=[f"{name} {variable.shape} {variable.dtype}" for name, variable in own.items()],
        )
        for part, own in parts.items()
    ]


def read_model_file(directory: str | os.PathLike[str]) -> ModelFile:
    """Read the names, shapes and types in ``model.bin``.

    Raises:
        UsageError: the file is not there, or no CTranslate2 model.
    """
    path = Path(directory) / MODEL_FILE
    try:
        with open(path, "rb") as file:
            return _read(file, path.stat().st_size)
    except (OSError, ValueError, IndexError, struct.error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(
            f"{path} must be a CTranslate2 model as its converters write it, got one that cannot be read ({reason}); "
            "convert the model again"
        ) from error


def _read(file: BinaryIO, size: int) -> ModelFile:
    (version,) = _numbers(file, "<I")
    if not 1 <= version <= 100:
        raise ValueError(f"version {version}")
    spec = _text(file)
    _, n_variables = _numbers(file, "<II")
    if n_variables > _MOST_VARIABLES:
        raise ValueError(f"{n_variables} variables")
    variables = {}
    for _ in range(n_variables):
        name = _text(file)
        (rank,) = _numbers(file, "<B")
        shape = _numbers(file, f"<{rank}I")
        type_id, n_bytes = _numbers(file, "<BI")
        dtype = _TYPES[type_id]
        value = None
        if n_bytes > size - file.tell():
            raise ValueError(f"cut off in {name}")
        if not shape and n_bytes <= _SCALAR_BYTES and dtype.startswith("int"):
            value = int.from_bytes(file.read(n_bytes), "little", signed=True)
        else:
            file.seek(n_bytes, os.SEEK_CUR)
        variables[name] = Variable(shape, dtype, n_bytes if math.prod(shape) else 0, value)
    if not variables:
        raise ValueError("no variables")
    weights_bytes = sum(variable.n_bytes for variable in variables.values())
    return ModelFile(spec, {**variables, **_aliases(file, variables)}, weights_bytes)


def _aliases(file: BinaryIO, variables: dict[str, Variable]) -> dict[str, Variable]:
    """Other names of variables; early versions of the form end before them."""
    counted = file.read(struct.calcsize("<I"))
    if not counted:
        return {}
    (n_aliases,) = struct.unpack("<I", counted)
    found = {}
    for _ in range(min(n_aliases, _MOST_VARIABLES)):
        alias, name = _text(file), _text(file)
        if name not in variables:
            raise ValueError(f"{alias} stands for {name}, which is not there")
        found[alias] = variables[name]
    return found


def _numbers(file: BinaryIO, form: str) -> tuple[int, ...]:
    return struct.unpack(form, file.read(struct.calcsize(form)))


def _text(file: BinaryIO) -> str:
    (length,) = _numbers(file, "<H")
    return file.read(length)[:-1].decode("utf-8")
