"""The Rust client inside the vLLM wheel, `vllm-rs bench serve`: where it comes from, how it is run, what it says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from tokenclock.records import MISSING_NS
from tokenclock.serving.paced_truth import Truth

__all__ = ["command", "fetch", "figures"]

_ROOM_BYTES = 2 << 30
_N_WORDS = 1000


def fetch(target: Path) -> None:
    """Take the self-contained binary out of the newest vLLM wheel (340 MB); nothing of vLLM is installed."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        if shutil.disk_usage(folder).free < _ROOM_BYTES:
            raise SystemExit(f"{folder} needs 2 GB free for the vLLM wheel; set TMPDIR to where there is room")
        download = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "-d", folder]
        subprocess.run([*download, "vllm"], check=True, stdout=sys.stderr)
        with zipfile.ZipFile(next(Path(folder).glob("vllm-*.whl"))) as wheel:
            inside = next(name for name in wheel.namelist() if name.endswith("/vllm-rs"))
            target.write_bytes(wheel.read(inside))
    target.chmod(0o755)


def command(binary: str, port: int, n_streams: int, n_requests: int, osl: int, out: Path) -> list[str]:
    """Its command line; `out.json` gets its report. It wants a tokenizer for its random prompts: one of words."""
    tokenizer = out.with_name("tokenizer")
    tokenizer.mkdir()
    words = {"type": "WordLevel", "vocab": {f"w{i}": i for i in range(_N_WORDS)}, "unk_token": "w0"}
    whole = {"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"}, "model": words}
    (tokenizer / "tokenizer.json").write_text(json.dumps(whole))
    (tokenizer / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    return [
        *(binary, "bench", "serve", "--base-url", f"http://127.0.0.1:{port}", "--model", "paced"),
        *("--backend", "openai", "--endpoint", "/v1/completions", "--tokenizer", str(tokenizer)),
        *("--dataset-name", "random", "--prompt-token-ids", "--random-input-len", "32"),
        *("--random-output-len", str(osl), "--num-prompts", str(n_requests), "--max-concurrency", str(n_streams)),
        *("--ignore-eos", "--temperature", "0", "--disable-tqdm", "--percentile-metrics", "ttft,itl"),
        *("--save-result", "--result-dir", str(out.parent), "--result-filename", f"{out.name}.json"),
    ]


def figures(out: Path, truth: Truth) -> dict[str, Any]:
    """What it reports itself against the truth; it keeps no stamps of single events."""
    result = json.loads(out.with_name(f"{out.name}.json").read_text())
    true = truth.ttft_ns[truth.ttft_ns != MISSING_NS]
    return {
        "wall_ns": result["duration"] * 1e9,
        "n_failed": result["failed"],
        "mean_ttft_error_us": result["mean_ttft_ms"] * 1e3 - float(true.mean()) / 1e3,
        "p99_ttft_error_us": result["p99_ttft_ms"] * 1e3 - float(np.percentile(true, 99)) / 1e3,
    }
