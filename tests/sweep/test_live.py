"""The live page: its words by hand, and drawn on a terminal; nothing of it where nobody looks."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from tests.sweep.files import command, paced

from tokenclock.cli import sweep as cli
from tokenclock.sweep.index import DONE, Index
from tokenclock.sweep.live import Page
from tokenclock.sweep.plan import build_plan
from tokenclock.sweep.so_far import SoFar

Write = Callable[..., Path]


def part(path: Path, rows: list[int], stamps: list[int], **ended: list[int]) -> None:
    columns = {f"column_{name}": np.array(values) for name, values in ended.items()}
    n_ended = len(next(iter(ended.values()), []))
    np.savez(path, rows=np.arange(n_ended), event_row=np.array(rows), t_token_ns=np.array(stamps),
             n_tokens=np.ones(len(rows), int), **columns)  # fmt: skip


def test_figures_so_far_by_hand(tmp_path: Path) -> None:
    """Two streams: tokens at 10, 12, 14 ms and 11, 15, 19 ms: 6 in 9 ms; gaps 2, 2, 4, 4; TTFT 10 and 8 ms."""
    so_far, folder = SoFar(tmp_path, "run"), tmp_path / ".run.events"
    assert so_far.words() == "n/a yet"
    ms = 1_000_000
    folder.mkdir()
    part(folder / "part-000002.npz", [0, 1, 0, 1, 0, 1], [10 * ms, 11 * ms, 12 * ms, 15 * ms, 14 * ms, 19 * ms],
         t_sent_ns=[0, 3 * ms], t_first_token_ns=[10 * ms, 11 * ms])  # fmt: skip
    assert so_far.words() == "2 answers, 666.7 tok/s, median TTFT 9.00 ms, median ITL 3.00 ms"
    assert so_far.words() == "2 answers, 666.7 tok/s, median TTFT 9.00 ms, median ITL 3.00 ms"  # each part counts once


def test_what_was_measured_scales_the_rest(write: Write, tmp_path: Path) -> None:
    plan = build_plan(str(write(servers=[paced("a")])), {}, cli._commands())
    page, index = Page(plan), Index(tmp_path / "i", {}, {})
    first, second = plan.points
    assert page.left_s() == pytest.approx(first.expected_s + second.expected_s)
    entry = index.add(first)
    entry.status, entry.took_s = DONE, 3 * first.expected_s
    page.point_ended(first, entry)
    assert page.left_s() == pytest.approx(3 * second.expected_s)
    console = Console(width=100, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(page.render())
    console.file.close()
    index.close()
    assert "1 of 2" in console.export_text()


def test_on_a_terminal_it_is_drawn(write: Write) -> None:
    file = write(servers=[paced("a", "--itl-ms 700")], matrix={"concurrency": [4]})
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command(file), stderr=theirs, stdout=subprocess.DEVNULL, env={**os.environ, "TERM": "xterm"}
    )
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):  # EIO at the end
        while piece := os.read(ours, 65536):
            seen += piece
    os.close(ours)
    assert process.wait(timeout=30) == 0
    text = seen.decode()
    assert "running a/concurrency_4" in text
    assert "answers," in text
    assert "tok/s, median TTFT" in text
