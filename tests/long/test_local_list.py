"""The local test list six times into one history, the last gated on the others; then the paced server made slower.

`make long` runs it. Sessions are real ones of pytest, from empty folders.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LISTS = ROOT / "perf_lists"
N_RUNS = 6
PACED = "perf_sanity-paced-paced"

pytestmark = pytest.mark.skipif("TOKENCLOCK_LONG" not in os.environ, reason="runs the local list six times: make long")


class Sessions:
    """Sessions over the local list with one history."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.history, self.n = folder, folder / "history.db", 0

    def run(self, *more: str, servers: Path = LISTS / "servers") -> str:
        """What a session printed."""
        self.n += 1
        work = self.folder / f"session-{self.n}"
        work.mkdir()
        command = [
            sys.executable, "-m", "pytest", "-v", "-s", "-p", "no:cacheprovider", "--perf",
            f"--test-list={LISTS / 'local.txt'}", f"--perf-models={LISTS / 'models.yml'}",
            f"--perf-config-folder={servers}", f"--output-dir={work / 'output'}", "--perf-log-formats=csv",
            f"--perf-history={self.history}", "--max-repeats=5", *more,
        ]  # fmt: skip
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=900)
        assert done.returncode in (0, 1), done.stdout[-4000:] + done.stderr[-2000:]
        return done.stdout

    def slower(self, name: str, share: float) -> Path:
        """The servers' files with a paced server whose gaps are longer by that share."""
        place = self.folder / name
        shutil.copytree(LISTS / "servers", place)
        text = (place / "paced.yaml").read_text()
        changed = re.sub(r"--itl-ms ([0-9.]+)", lambda found: f"--itl-ms {float(found[1]) * (1 + share):g}", text)
        assert changed != text
        (place / "paced.yaml").write_text(changed)
        return place


def verdicts(printed: str) -> list[str]:
    """Lines of the gate: metric, verdict, reason."""
    kinds = "regression|improvement|no difference shown|too noisy|no baseline"
    return re.findall(rf"^  \S+: (?:{kinds})(?::.*)?$", printed, re.MULTILINE)


def regressions(printed: str) -> list[str]:
    """The metrics that are called slower."""
    return [line.split(":")[0].strip() for line in verdicts(printed) if ": regression" in line]


def test_the_local_list(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path)
    for _ in range(N_RUNS - 1):
        sessions.run()
    last = sessions.run()
    print("\n" + "\n".join(verdicts(last)))
    assert len(verdicts(last)) > 20
    assert "no baseline" not in last
    assert regressions(last) == []

    one = sessions.run("-R", PACED, servers=sessions.slower("slower-1", 0.01))
    print("1 % slower\n" + "\n".join(verdicts(one)))
    assert regressions(one) == []

    ten = sessions.run("-R", PACED, servers=sessions.slower("slower-10", 0.10))
    print("10 % slower\n" + "\n".join(verdicts(ten)))
    assert any("OUTPUT_TOKEN_TIME" in name or "INTER_TOKEN_TIME" in name for name in regressions(ten))
    assert not any("FIRST_TOKEN_TIME" in name for name in regressions(ten))  # each stream for itself, not on a grid

    shown = tmp_path / "shown.json"
    command = [sys.executable, "-m", "tokenclock", "baseline", "show", "--history", str(sessions.history)]
    subprocess.run([*command, "--json", str(shown)], check=True, capture_output=True)
    pinned = [one for one in json.loads(shown.read_text())["baselines"] if one["pin"] is not None]
    assert any(PACED in one["key"]["label"] for one in pinned)
