"""Which runtime a directory asks for; no runtime's package is imported for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tokenclock.errors import UsageError
from tokenclock.parallel import OneProcess
from tokenclock.runtime.find import RUNTIMES, choose_runtime, find_runtime
from tokenclock.runtime.null import NullRuntime
from tokenclock.runtime.options import RuntimeOptions
from tokenclock.runtime.protocol import Runtime


def test_a_converted_model_is_ctranslate2s(tmp_path: Path) -> None:
    (tmp_path / "model.bin").touch()
    assert choose_runtime(str(tmp_path), None) == "ctranslate2"


def test_tiny_models_are_ctranslate2s_unless_named() -> None:
    assert choose_runtime("tiny:llama", None) == "ctranslate2"
    assert choose_runtime("tiny:llama", "null") == "null"


def test_what_is_no_model_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UsageError, match=r"holds no model that is known.*--runtime.*tiny:llama") as caught:
        choose_runtime(str(tmp_path), None)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match=r"must be a directory with a model, got .*none \(nothing there\)"):
        choose_runtime(str(tmp_path / "none"), None)
    with pytest.raises(UsageError, match=r"\(a file\)"):
        choose_runtime(str(tmp_path / "notes.txt"), "ctranslate2")


def test_an_unknown_runtime_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UsageError, match=r"--runtime must be one of .*ctranslate2.*null, got vllm"):
        choose_runtime("tiny:llama", "vllm")


def test_null_needs_no_directory() -> None:
    found = find_runtime("anything", "enc", runtime="null", options=RuntimeOptions(), world=OneProcess())
    assert isinstance(found, NullRuntime)
    assert isinstance(found, Runtime)
    assert not found.streams


def test_choosing_imports_no_package_of_a_runtime(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom tokenclock.errors import UsageError\nfrom tokenclock.runtime.find import choose_runtime\n"
        f"try:\n    choose_runtime({str(tmp_path)!r}, None)\nexcept UsageError:\n    pass\n"
        "print([m for m in ('ctranslate2', 'torch', 'transformers', 'tensorrt_llm') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_name_stands_for_a_module_of_this_package() -> None:
    assert all(module.startswith("tokenclock.runtime.") for module in RUNTIMES.values())


@pytest.mark.parametrize("name", ["trtllm-llm", "trtllm-engine"])
def test_a_tiny_model_is_for_those_that_make_one(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} needs the directory of a model, got tiny:llama, .*ctranslate2"):
        choose_runtime("tiny:llama", name)
    assert choose_runtime("tiny:llama", "transformers") == "transformers"
