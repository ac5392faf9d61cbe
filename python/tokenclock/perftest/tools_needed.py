"""What a case needs on this machine beside its model: a runtime, `trtllm-bench`, `mpirun`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tokenclock.errors import UsageError
from tokenclock.perftest.case import Case, ServerCase
from tokenclock.perftest.commands import commands_of
from tokenclock.perftest.settings import Settings

__all__ = ["hold_runtime", "hold_tools"]


def hold_runtime(name: str | None) -> None:
    """Raise UsageError where `--perf-runtime` names none; lists what there is."""
    from tokenclock.runtime.find import RUNTIMES

    if name is not None and name not in RUNTIMES:
        raise UsageError(f"--perf-runtime must be one of {', '.join(RUNTIMES)}, got {name}")


def hold_tools(case: Case, settings: Settings) -> None:
    """Check that the programs and the runtime of a case are there.

    Raises:
        UsageError: one is not; the case could never run here.
    """
    label = case.label
    if isinstance(label, ServerCase) or label.model not in settings.models:
        return
    model = settings.models[label.model]
    programs = {command.argv[0] for command in commands_of(case, settings, Path())}
    if "trtllm-bench" in programs and shutil.which("trtllm-bench") is None:
        why = "--perf-external runs" if settings.external else "an engine has to be built by"
        raise UsageError(f"{why} trtllm-bench, which is not on the PATH: install TensorRT-LLM")
    beside = Path(sys.executable).with_name("mpirun")
    if "mpirun" in programs and not beside.exists() and shutil.which("mpirun") is None:
        raise UsageError(f"{label.gpus} ranks are started by mpirun, which is not on the PATH: install Open MPI")
    if settings.external or label.runtime != "bench":
        return
    if settings.runtime is not None:
        from tokenclock.runtime.find import choose_runtime

        choose_runtime(model, settings.runtime)
    elif not model.startswith("tiny:"):
        from tokenclock.runtime import trtllm_package

        if not trtllm_package.is_installed():
            raise UsageError(
                "it runs on TensorRT-LLM, which is not installed: pip install 'tokenclock[trtllm]', or name another "
                "--perf-runtime, such as ctranslate2"
            )
