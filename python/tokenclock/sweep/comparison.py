"""`compare:` at the end of a sweep: `tokenclock compare` over the folders of its servers."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from tokenclock.standard_error import say_on_stderr
from tokenclock.sweep.index import Index, folders
from tokenclock.sweep.plan import SweepPlan

__all__ = ["compare_words", "run_compare"]

_GATE_MISSED = 3


def compare_words(plan: SweepPlan, index: Index) -> list[str]:
    """The words after `tokenclock`; outputs lie beside the folders unless they name a place."""
    compare = plan.sweep.compare
    assert compare is not None
    words = ["compare", *(str(plan.result_dir / folder) for folder in folders(list(index.entries.values())))]
    for flag, name in (("summary", compare.summary), ("png", compare.png), ("html", compare.html),
                       ("markdown", compare.markdown), ("json", compare.json_)):  # fmt: skip
        if name is not None:
            words += [f"--{flag}", str(Path(name) if Path(name).parent != Path(".") else plan.result_dir / name)]
    if compare.min_effect is not None:
        words += ["--min-effect", f"{compare.min_effect:g}"]
    for condition in compare.fail_if:
        words += ["--fail-if", condition]
    return [*words, "--force"] if compare.force else words


def run_compare(plan: SweepPlan, index: Index) -> int:
    """Run it, its table on stdout; 0, or 3 when it failed or one of its conditions was met."""
    words = compare_words(plan, index)
    code = subprocess.run(
        [sys.executable, "-m", "tokenclock", *words], stdin=subprocess.DEVNULL, check=False
    ).returncode
    index.note("compare", {"command": shlex.join(["tokenclock", *words]), "exit_code": code})
    index.save(finished=True)
    if code not in (0, _GATE_MISSED):
        say_on_stderr(
            f"tokenclock sweep: compare ended with exit code {code}; typed again: tokenclock {shlex.join(words)}"
        )
    return _GATE_MISSED if code else 0
