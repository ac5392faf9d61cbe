"""A million rows of 128 ids: in 30 s at most, with half a gigabyte of memory at most. `make long` runs it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif("TOKENCLOCK_LONG" not in os.environ, reason="writes 0.8 GB: make long")

NORM = "--input-mean 128 --input-stdev 0 --output-mean 128 --output-stdev 16"


def test_a_million_rows(tmp_path: Path) -> None:
    flags = "--vocab-size 128256 --stdout --manifest none"
    command = f"prepare-dataset {flags} token-norm-dist --num-requests 1000000 {NORM}"
    path = tmp_path / "rows"
    begun_s = time.monotonic()
    with path.open("wb") as file:
        subprocess.run([sys.executable, "-m", "tokenclock", *command.split()], stdout=file, check=True)
    took_s = time.monotonic() - begun_s
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
    print(f"\n{took_s:.1f} s, {peak_mb:.0f} MB")
    with path.open("rb") as file:
        assert sum(1 for _ in file) == 1_000_000
    assert took_s < 30
    assert peak_mb < 500
