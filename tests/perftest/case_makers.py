"""Labels, cases and outcomes by hand, and a stand-in `trtllm-bench`."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tokenclock.perftest.case import Case, ServerCase
from tokenclock.perftest.label import Label
from tokenclock.perftest.metrics import METRICS
from tokenclock.perftest.outcome import MetricRow, Outcome
from tokenclock.perftest.settings import Settings

GOLDEN = Path(__file__).parents[1] / "golden" / "trtllm_bench.log"
NOON = datetime(2026, 11, 28, 12, 0, 0, tzinfo=timezone.utc)

_DEFAULTS: dict[str, Any] = {
    "runtime": "bench",
    "subtype": None,
    "executor_api": False,
    "backend": "pytorch",
    "streaming": False,
    "static_batching": False,
    "mode": "plugin",
    "dtype": "float16",
    "gpu_weights_percent": None,
    "multiple_profiles": False,
    "max_batch_size": 512,
    "max_num_tokens": 2048,
    "kv_frac": 0.9,
    "build_only": False,
    "batch_sizes": (),
    "lengths": ((32, 16),),
    "beams": 1,
    "loras": 0,
    "quant": "",
    "kv_cache_dtype": "auto",
    "num_requests": 24,
    "concurrency": 4,
    "ep": None,
    "tp": 1,
    "pp": 1,
    "gpus": 1,
    "ctx_parallel": None,
    "gen_parallel": None,
}

# counts its calls, keeps their words, and prints a log as the original lays it out; --fail-at N fails the N-th
STAND_IN = """\
#!{python}
import json, sys
words = sys.argv[1:]
with open({calls!r}, "a") as file:
    file.write(json.dumps(words) + "\\n")
number = len(open({calls!r}).readlines())
if number == {fail_at}:
    print("ValueError: no room for the engine", file=sys.stderr)
    sys.exit(9)
if "build" in words:
    print("[11/24/2026-10:00:00] [TRT-LLM] [I] Engine generation completed in 12.5 seconds")
else:
    print("[TRT-LLM] [I] Allocated 12.50 GiB for max tokens in paged KV cache (800).")
    for line in open({golden!r}):
        if not ({without!r} and line.startswith({without!r})):
            sys.stdout.write(line)
"""


def make_label(model: str = "llama", **more: Any) -> Label:
    return Label(**{"model": model, **_DEFAULTS, **more})


def make_case(label: Label | ServerCase, timeout_s: float | None = None) -> Case:
    canonical = "perf_sanity" if isinstance(label, ServerCase) else label.canonical()
    return Case(f"perf/test_perf.py::test_perf[{canonical}]", canonical, label, timeout_s, canonical)


def make_settings(**more: Any) -> Settings:
    defaults: dict[str, Any] = {
        "output_dir": None,
        "log_formats": (),
        "test_prefix": "",
        "models": {"llama": "tiny:llama"},
        "dry_run": False,
        "replay_dir": None,
        "history": None,
        "repeats": 1,
        "max_repeats": 1,
        "runtime": None,
        "external": False,
        "lora_dir": None,
        "config_folder": None,
        "options": {},
    }
    return Settings(**{**defaults, **more})


def make_row(metric_type: str, value: float | None, state: str = "valid", reason: str = "") -> MetricRow:
    unit = METRICS[metric_type].unit
    return MetricRow(metric_type, value, unit, "tokenclock x", NOON, NOON.replace(second=2), state, reason)


def make_outcome(folder: Path, state: str = "valid", rows: tuple[MetricRow, ...] = (), reason: str = "") -> Outcome:
    return Outcome(make_case(make_label()), state, reason, rows, (), (), folder)


def write_stand_in(folder: Path, *, without: str = "", fail_at: int = 0) -> Path:
    """Write `trtllm-bench` into `folder`; returns the file with the words of its calls, one list a line."""
    folder.mkdir(exist_ok=True)
    calls, program = folder / "calls.jsonl", folder / "trtllm-bench"
    text = STAND_IN.format(
        python=sys.executable, calls=str(calls), golden=str(GOLDEN), without=without, fail_at=fail_at
    )
    program.write_text(text)
    program.chmod(0o755)
    return calls
