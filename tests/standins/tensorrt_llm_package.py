"""Writes a stand-in `tensorrt_llm` (and `tensorrt`) package with the signatures of golden/trtllm_runtime_api.json.

A call that the real package would reject is rejected by Python itself, because each generated function has the real
one's parameters, as far as they are verified:

* ``signature``: order, names and defaults as they are;
* ``names_and_defaults`` and ``names_only``: what is required by position or name, the rest by name alone, as its order
  is not known; where not even the names are known, by position alone;
* ``unverified``: the same, and other names only where the real one takes any.

Classes are there or not by release, as upstream had them. What the calls do is played by the files beside this one.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

__all__ = ["API", "RELEASES", "STABLE_LLM_OPTIONS", "write_package"]

API: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden" / "trtllm_runtime_api.json").read_text())
RELEASES = ("0.19.0", "1.0.0", "1.2.1", "1.3.0rc26")

# Of the options of LLM, those that were committed by 1.0; which of the others 1.0 and 1.1 had is not known.
STABLE_LLM_OPTIONS = tuple(
    parameter["name"]
    for entry in API["signatures"]
    if entry["class"] == "LLM" and entry["method"] == "__init__"
    for parameter in entry["params"][: [p["name"] for p in entry["params"]].index("gpus_per_node")]
)

_PLAYED = (
    "play_common.py", "play_llm.py", "play_requests.py", "play_engine.py", "play_enc_dec.py", "play_executor.py",
)  # fmt: skip
_OF_ENGINES = ("play_engine.py", "play_enc_dec.py", "play_executor.py")
_EXECUTOR = "tensorrt_llm.bindings.executor"
_CLASS_METHODS = {"from_dir", "from_engine", "from_serialized_engine"}
_HEAD = "from tensorrt_llm._played.play_common import LoadFormat, play\n\n\n"
_NO_SIGNATURE = """
class {name}:
    \"\"\"Here because the release has it; nobody wrote down its signature.\"\"\"

    def __init__(self, *arguments, **options):
        raise TypeError("the stand-in knows no signature of {name} in this release")
"""


def write_package(folder: Path, release: str) -> Path:
    """Write the packages of `release` into `folder`, which then goes on sys.path or PYTHONPATH; returns it."""
    era = tuple(int(part) for part in release.split(".")[:2])
    has_engines, has_llm = era <= (1, 2), era >= (1, 0)
    files: dict[str, str] = {
        "tensorrt_llm/_played/__init__.py": "",
        "tensorrt_llm/llmapi/mpi_session.py": _HEAD + _module("tensorrt_llm.llmapi.mpi_session", release),
    }
    top = [f'__version__ = "{release}"', _module("tensorrt_llm", release, without=() if has_llm else ("LLM",))]
    llmapi = [_module("tensorrt_llm.llmapi", release)]
    if has_llm:
        options = STABLE_LLM_OPTIONS if era < (1, 2) else _all_llm_options()
        llmapi += [_argument_model(options), "from tensorrt_llm._played.play_llm import KvCacheConfig"]
        llmapi.append("from tensorrt_llm import LLM, SamplingParams")
        files["tensorrt_llm/llmapi/mgmn_worker_node.py"] = (
            "from tensorrt_llm._played.play_common import serve\n\nserve()\n"
        )
    else:
        top.append(_NO_SIGNATURE.format(name="LLM"))
    files["tensorrt_llm/_torch/__init__.py"] = _NO_SIGNATURE.format(name="LLM") if not has_llm else ""
    if has_llm:
        files["tensorrt_llm/_torch/auto_deploy/__init__.py"] = _NO_SIGNATURE.format(name="LLM")
    if has_engines:
        files["tensorrt_llm/runtime/__init__.py"] = _HEAD + _module("tensorrt_llm.runtime", release)
        files["tensorrt_llm/bindings/__init__.py"] = ""
        files["tensorrt_llm/bindings/executor.py"] = (
            _HEAD + "from tensorrt_llm._played.play_executor import *\n\n\n" + _module(_EXECUTOR, release)
        )
        files["tensorrt_llm/builder.py"] = _HEAD + _module("tensorrt_llm.builder", release)
        files["tensorrt/__init__.py"] = (
            "from tensorrt_llm._played.play_common import DataType, IProfiler, LayerInformationFormat\n\n"
            "int32 = DataType.INT32\n"
        )
        if has_llm:
            files["tensorrt_llm/_tensorrt_engine/__init__.py"] = _NO_SIGNATURE.format(name="LLM")
    files["tensorrt_llm/__init__.py"] = _HEAD + "\n".join(top)
    files["tensorrt_llm/llmapi/__init__.py"] = _HEAD + "\n".join(llmapi)
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    for name in _PLAYED:
        if has_engines or name not in _OF_ENGINES:
            shutil.copy(Path(__file__).with_name(name), folder / "tensorrt_llm" / "_played" / name)
    return folder


def _module(module: str, release: str, without: tuple[str, ...] = ()) -> str:
    """Source of everything that a module has in this release."""
    classes: dict[str | None, list[str]] = {}
    for entry in API["signatures"]:
        if entry["module"] == module and entry["class"] not in without and _in_release(entry, release):
            classes.setdefault(entry["class"], []).append(_function(entry))
    source = classes.pop(None, [])
    for name, methods in classes.items():
        body = "".join("    " + line + "\n" if line else "\n" for text in methods for line in text.splitlines())
        source.append(f"class {name}:\n{_properties(name)}{body}")
    return "\n\n".join(source)


def _in_release(entry: dict[str, Any], release: str) -> bool:
    """Of two signatures of one function, the one of this release."""
    newer = release.startswith("1.3")
    present = entry["release"]["present"]
    if entry["release"]["removed"] == "extended later":
        return not newer
    return newer if present.startswith("1.3") else True


def _function(entry: dict[str, Any]) -> str:
    name, owner = entry["method"], entry["class"]
    named = [p["name"] for p in entry["params"] if not p["kind"].startswith("var_")]
    if owner == "LLM" and name == "__init__":
        named = [p["name"] for p in entry["params"] if p["kind"] == "positional_or_keyword"]
    given = ", ".join(f'"{n}": {n}' for n in named)
    rest = "".join(f", **{p['name']}" for p in entry["params"] if p["kind"] == "var_keyword")
    rest = rest.replace("**", '"**": ') if rest else ""
    args = "".join(f', "*": {p["name"]}' for p in entry["params"] if p["kind"] == "var_positional")
    body = f'play({"self" if owner else "None"}, "{owner or ""}.{name}", {{{given}{args}{rest}}})'
    if owner and name in _CLASS_METHODS:
        return f"@classmethod\ndef {name}(self, {_parameters(entry)}):\n    return {body}\n"
    is_async = "async " if name == "aresult" else ""
    own = "self, " if owner else ""
    keep = "" if name == "__init__" else "return "
    wait = "await " if is_async else ""
    return f"{is_async}def {name}({own}{_parameters(entry)}):\n    {keep}{wait}{body}\n"


def _parameters(entry: dict[str, Any]) -> str:
    """The parameter list, no more permissive than what is verified of it."""
    if entry["class"] == "LLM" and entry["method"] == "__init__":
        return _llm_parameters(entry)
    exact = entry["verified"] == "signature"
    names_unknown = "parameter names unverified" in entry["notes"]
    by_position, by_name, variadic = [], [], []
    for parameter in entry["params"]:
        text = parameter["name"] if parameter["required"] else f"{parameter['name']}={parameter.get('default', 'None')}"
        if parameter["kind"] == "var_keyword":
            variadic.append("**" + parameter["name"])
        elif parameter["kind"] == "var_positional":
            by_position.append("*" + parameter["name"])
        elif parameter["kind"] == "keyword_only" or not (exact or parameter["required"]):
            by_name.append(text)
        else:
            by_position.append(text)
    if names_unknown:
        return ", ".join([*by_position, "/"])
    star = ["*"] if by_name and not any(text.startswith("*") for text in by_position) else []
    return ", ".join([*by_position, *star, *by_name, *variadic])


def _llm_parameters(entry: dict[str, Any]) -> str:
    """As the real one: a few names, and **kwargs that its argument model then accepts or refuses."""
    named = [p for p in entry["params"] if p["kind"] == "positional_or_keyword" and not p["required"]]
    return ", ".join(["model", "*", *(f"{p['name']}={p['default']}" for p in named), "**kwargs"])


def _all_llm_options() -> tuple[str, ...]:
    entry = next(e for e in API["signatures"] if e["class"] == "LLM" and e["method"] == "__init__")
    return tuple(p["name"] for p in entry["params"] if p["kind"] != "var_keyword")


def _argument_model(options: tuple[str, ...]) -> str:
    fields = "".join(f'        "{name}": None,\n' for name in options)
    return f"class TorchLlmArgs:\n    model_fields = {{\n{fields}    }}\n"


def _properties(name: str) -> str:
    """Members that are no functions of the data file: they delegate to what the play keeps on the object."""
    if name == "CompletionOutput":
        members = API["objects"]["CompletionOutput_properties"]
        return "".join(
            f"    @property\n    def {member}(self):\n        return play(self, '{name}.{member}', {{}})\n\n"
            for member in members
        )
    if name == "RequestOutput":
        return (
            "    def __await__(self):\n        return self.aresult().__await__()\n\n"
            "    def __aiter__(self):\n        return self\n\n"
            "    async def __anext__(self):\n        return await play(self, 'RequestOutput.__anext__', {})\n\n"
        )
    return ""
