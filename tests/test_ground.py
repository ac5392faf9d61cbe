"""The ground: versions agree, `import tokenclock` is light, and the typed face of the native module is the real one."""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

import tokenclock
from tokenclock import _core

ROOT = Path(__file__).resolve().parent.parent
STUB = ast.parse((ROOT / "python/tokenclock/_core.pyi").read_text())


def test_the_version_is_the_same_everywhere() -> None:
    in_pyproject = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert in_pyproject is not None
    assert importlib.metadata.version("tokenclock") == in_pyproject[1]
    assert _core.__version__ == in_pyproject[1]
    assert _core.build_info()["version"] == in_pyproject[1]
    assert f"## {in_pyproject[1]}" in (ROOT / "CHANGELOG.md").read_text()


def test_importing_the_package_loads_neither_numpy_nor_the_core() -> None:
    code = "import sys, tokenclock; print([m for m in ('numpy', 'rich', 'tokenclock._core') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", tokenclock.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(tokenclock, name)
    assert name in dir(tokenclock)
    assert inspect.getdoc(value), f"tokenclock.{name} has no docstring"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        tokenclock.no_such_name  # noqa: B018


def declared(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    """Names a stub body declares. An overloaded function counts once."""
    names: dict[str, ast.stmt] = {}
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names[node.name] = node
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names[node.target.id] = node
    return names


def public(namespace: list[str]) -> set[str]:
    return {name for name in namespace if not name.startswith("_")}


def is_enum(value: object) -> bool:
    return isinstance(value, type) and hasattr(value, "__members__")


def test_the_stub_declares_exactly_the_public_names_of_the_module() -> None:
    assert public(list(declared(STUB.body))) == public(dir(_core))


STUB_CLASSES = [node for node in STUB.body if isinstance(node, ast.ClassDef)]


@pytest.mark.parametrize("node", STUB_CLASSES, ids=[node.name for node in STUB_CLASSES])
def test_a_class_of_the_stub_has_exactly_the_public_members_of_the_real_one(node: ast.ClassDef) -> None:
    real = getattr(_core, node.name)
    if isinstance(real, type) and issubclass(real, tuple):  # a named record: its fields are what counts
        pytest.skip(f"{node.name} is a tuple")
    members = public(dir(real)) - ({"name", "value"} if is_enum(real) else set())
    if isinstance(real, type) and issubclass(real, Exception):
        members -= public(dir(Exception))
    assert public(list(declared(node.body))) - {"name", "value"} == members
    missing = {name for name in declared(node.body) if not hasattr(real, name)}
    assert not missing, f"declared in the stub but absent: {sorted(missing)}"


def real_parameters(doc: str, name: str) -> list[list[str]]:
    """Parameter names of each signature in a docstring pybind11 wrote, without self."""
    found = []
    for line in re.findall(rf"^(?:\d+\. )?{re.escape(name)}\((.*)\) -> ", doc, re.MULTILINE):
        depth, at_top = 0, ""
        for char in line:
            depth += (char in "[({") - (char in "])}")
            at_top += char if depth == 0 else ""
        names = [part.split(":")[0].split("=")[0].strip() for part in at_top.split(",") if part.strip()]
        found.append([n for n in names if n not in {"self", "*", "/"}])
    return found


def stub_parameters(node: ast.FunctionDef) -> list[str]:
    arguments = node.args
    names = [a.arg for a in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]]
    return [n for n in names if n not in {"self", "cls"}]


STUB_FUNCTIONS = [
    pytest.param(owner, node, id=f"{owner}.{node.name}" if owner else node.name)
    for owner, body in [("", STUB.body), *((c.name, c.body) for c in STUB_CLASSES)]
    for node in body
    if isinstance(node, ast.FunctionDef) and (node.name == "__init__" or not node.name.startswith("_"))
]


@pytest.mark.parametrize(("owner", "node"), STUB_FUNCTIONS)
def test_a_function_of_the_stub_takes_the_parameters_of_the_real_one(owner: str, node: ast.FunctionDef) -> None:
    scope = getattr(_core, owner) if owner else _core
    value = inspect.getattr_static(scope, node.name)
    if isinstance(value, property) or any(isinstance(d, ast.Name) and d.id == "property" for d in node.decorator_list):
        assert not callable(getattr(scope, node.name, None)) or isinstance(value, property)
        return
    signatures = real_parameters(getattr(scope, node.name).__doc__ or "", node.name)
    if not signatures:  # a hand-written type documents itself in words
        native = types.BuiltinFunctionType | types.MethodDescriptorType | types.WrapperDescriptorType
        assert isinstance(getattr(scope, node.name), native)
        return
    assert stub_parameters(node) in [[n for n in s if not re.fullmatch(r"arg\d+", n)] for s in signatures]
