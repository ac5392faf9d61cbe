"""The CI script of docs/history.md, typed twice: a run of main, then a request whose server is a fifth slower."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

_DOCS = Path(__file__).parents[2] / "docs" / "history.md"


def _free_port() -> int:
    with socket.socket() as at:
        at.bind(("127.0.0.1", 0))
        return int(at.getsockname()[1])


@pytest.mark.skipif(shutil.which("jq") is None, reason="the script needs jq")
def test_the_recipe_passes_main_and_stops_a_slower_request(tmp_path: Path) -> None:
    found = re.search(r"```bash\n(#!/bin/bash\n.*?)```", _DOCS.read_text(), re.DOTALL)
    assert found is not None
    (tmp_path / "bench.sh").write_text(found[1])
    command = tmp_path / "tokenclock"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m tokenclock "$@"\n')
    command.chmod(0o755)

    def bench(name: str, itl_ms: float) -> subprocess.CompletedProcess[str]:
        port = _free_port()
        environment = {
            **os.environ,
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "TOKENCLOCK_HISTORY": str(tmp_path / "history.sqlite"),
            "MODEL": "paced",
            "SERVER": f"http://127.0.0.1:{port}",
            "SERVER_COMMAND": f"tokenclock paced-server --port {port} --served-model paced --itl-ms {itl_ms}",
            "REQUESTS": "48",
            "COMMIT": "1a2b3c",
        }
        return subprocess.run(["bash", "bench.sh", name], cwd=tmp_path, env=environment, capture_output=True, text=True)

    early = bench("request-1", 2.0)
    assert early.returncode == 0, early.stderr
    assert (tmp_path / "verdict.md").read_text() == "No run of main to compare with yet.\n"
    (tmp_path / "verdict.md").unlink()
    main = bench("main", 2.0)
    assert main.returncode == 0, main.stderr
    assert not (tmp_path / "verdict.md").exists()
    slower = bench("request-2", 2.4)
    assert slower.returncode == 3, slower.stderr
    verdict = (tmp_path / "verdict.md").read_text()
    assert verdict.startswith("**Gate missed: --fail-if was met, the exit code is 3**\n\n- tpot.mean > +5%: change at")
