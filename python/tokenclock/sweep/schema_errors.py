"""What pydantic finds wrong with a sweep's file, in our words: FILE:LINE:COLUMN, what was expected, what came."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from tokenclock.errors import UsageError
from tokenclock.plan_checks import shown
from tokenclock.sweep.yaml_file import YamlFile

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

__all__ = ["ErrorAt", "first_error"]

_BRANCHES = ("str", "constrained-str", "list[str]", "list[constrained-str]", "int", "float", "[key]")
"""What pydantic puts into a path for the branches of a union and for keys; with the names of our models."""

_EXPECTED = {  # beginning of pydantic's type of error -> what was expected
    "string": "must be text",
    "list": "must be a list",
    "dict": "must be a mapping of names to values",
    "model": "must be a mapping of names to values",
    "bool": "must be true or false",
    "int": "must be a whole number",
    "float": "must be a number",
    "finite": "must be a finite number",
}


class ErrorAt(ValueError):
    """A wrong value below the part that was being checked.

    Args:
        path: from that part to the value.
        text: what was expected, what came.
    """

    def __init__(self, path: tuple[Any, ...], text: str) -> None:
        super().__init__(text)
        self.path = path


def first_error(error: ValidationError, file: YamlFile, model: type[BaseModel]) -> UsageError:
    """The most telling of the errors, as one line.

    Args:
        error: of the whole file.
        file: its text's places.
        model: what the file was to be.
    """
    errors = error.errors(include_url=False)
    first = _at(errors[0]["loc"], model)
    below = [found for found in errors if _at(found["loc"], model)[: len(first)] == first]  # of any branch of a union
    deepest = max(below, key=lambda found: len(_at(found["loc"], model)))
    chosen = next((found for found in errors if found["type"] == "extra_forbidden"), deepest)
    path = _at(chosen["loc"], model)
    context: Mapping[str, Any] = chosen.get("ctx", {})
    if chosen["type"] == "extra_forbidden":
        known = _fields_at(path[:-1], model)
        nearest = difflib.get_close_matches(str(path[-1]).replace("-", "_"), known, n=1, cutoff=0.6)
        hint = f" (did you mean {nearest[0]}?)" if nearest else f"; known here: {', '.join(known)}"
        return file.error(path, f"unknown key {_name(path)}{hint}")
    if chosen["type"] == "missing":
        return file.error(path[:-1], f"{_name(path)} is needed")
    if chosen["type"] == "value_error":
        cause = context.get("error")
        path += cause.path if isinstance(cause, ErrorAt) else ()
        text = str(chosen["msg"]).removeprefix("Value error, ")
        return file.error(path, f"{_name(path)}: {text}" if path else text)
    same = [found for found in errors if _at(found["loc"], model) == path]
    wanted = " or ".join(dict.fromkeys(_expected(found, model) for found in same)).replace(" or must be", " or")
    text = f"{wanted}, got {shown(chosen['input'])}{_nearest(chosen)}"
    return file.error(path, f"{_name(path)}: {text}")


def _at(loc: Sequence[Any], model: type[BaseModel]) -> tuple[Any, ...]:
    return tuple(part for part in loc if not _is_branch(part, model))


def _name(path: Iterable[Any]) -> str:
    return ".".join(map(str, path)) or "the file"


def _is_branch(part: Any, model: type[BaseModel]) -> bool:
    return part in _BRANCHES or part in {one.__name__ for one in _models_in(model)}


def _expected(found: Any, model: type[BaseModel]) -> str:
    kind, context = str(found["type"]), found.get("ctx", {})
    if kind == "literal_error":
        return "must be " + str(context["expected"]).replace("'", "")
    for name, words in (("gt", "above {}"), ("ge", "{} or more"), ("lt", "below {}"), ("le", "{} or less")):
        if kind == {"gt": "greater_than", "ge": "greater_than_equal", "lt": "less_than", "le": "less_than_equal"}[name]:
            return "must be " + words.format(f"{context[name]:g}")
    if kind == "string_pattern_mismatch":
        return "must be letters, digits and any of . _ + -, and begin with a letter or a digit"
    if kind == "too_short":
        return "must have at least one entry"
    if kind.startswith("list") and {"list[str]", "list[constrained-str]"} & set(found["loc"]):
        return "must be a list of texts"
    beginning = kind.partition("_")[0]
    return _EXPECTED.get(beginning, f"must be something else ({found['msg']})")


def _nearest(chosen: Any) -> str:
    if chosen["type"] != "literal_error":
        return ""
    known = [word.strip("' ") for word in str(chosen["ctx"]["expected"]).replace(" or ", ",").split(",")]
    nearest = difflib.get_close_matches(str(chosen["input"]), known, n=1)
    return f" (did you mean {nearest[0]}?)" if nearest else ""


def _fields_at(path: tuple[Any, ...], model: type[BaseModel]) -> list[str]:
    for part in path:
        if isinstance(part, int):
            continue
        info = next((f for n, f in model.model_fields.items() if part in (n, f.alias)), None)
        inner = _model_in(info.annotation) if info is not None else None
        if inner is None:
            return []
        model = inner
    return [info.alias or name for name, info in model.model_fields.items()]


def _models_in(model: type[BaseModel]) -> list[type[BaseModel]]:
    """Models of a model's fields, and of theirs."""
    found = []
    for info in model.model_fields.values():
        inner = _model_in(info.annotation)
        if inner is not None:
            found += [inner, *_models_in(inner)]
    return found


def _model_in(annotation: Any) -> type[BaseModel] | None:
    from pydantic import BaseModel

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner)) is not None), None)
