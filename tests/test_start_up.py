"""Every command's --help answers in under 0.2 s, because command modules import nothing heavy."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

import pytest

from tokenclock.__main__ import COMMANDS

LIMIT_S = 0.2
HEAVY = ("numpy", "rich", "tokenizers", "asyncio", "tokenclock._core")


def command_lines() -> list[list[str]]:
    return [[], ["--version"], ["--help"], *([name, "--help"] for name in COMMANDS)]


@pytest.mark.timing
@pytest.mark.parametrize("arguments", command_lines(), ids=lambda arguments: " ".join(arguments) or "alone")
def test_help_answers_at_once(arguments: list[str]) -> None:
    taken_s = []
    for _ in range(5):
        begun_s = time.perf_counter()
        subprocess.run([sys.executable, "-m", "tokenclock", *arguments], check=True, capture_output=True)
        taken_s.append(time.perf_counter() - begun_s)
    assert statistics.median(taken_s) < LIMIT_S


@pytest.mark.parametrize("name", COMMANDS)
def test_help_loads_nothing_heavy(name: str) -> None:
    code = (
        "import sys\nfrom tokenclock.__main__ import main\n"
        f"try:\n    main([{name!r}, '--help'])\nexcept SystemExit as end:\n    assert not end.code\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
