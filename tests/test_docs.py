"""The documentation says what the code does: tables are made from it, links lead somewhere, scripts are well-formed."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tokenclock.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def test_the_tables_of_the_metrics_page_are_those_of_the_code() -> None:
    spec = importlib.util.spec_from_file_location("make_tables", ROOT / "docs/make_tables.py")
    assert spec is not None
    assert spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    page = tables.PAGE.read_text()
    assert tables.render(page) == page, "docs/metrics.md is behind the code: make docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_every_page_is_linked_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    unlinked = [page.name for page in PAGES if page.parent.name == "docs" and f"docs/{page.name}" not in readme]
    assert unlinked == []


def test_the_tests_that_the_workloads_page_names_are_there() -> None:
    table = (ROOT / "docs/workloads.md").read_text().partition("## What people complain about elsewhere")[2]
    named = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", table)
    assert len(named) > 40
    for path, test in named:
        text = (ROOT / "tests" / path).read_text()
        assert not test or f"def {test}(" in text, f"{path}::{test}"


@pytest.mark.parametrize("script", sorted(ROOT.glob("examples/*.sh")), ids=lambda script: script.name)
def test_example_scripts_are_well_formed(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_our_clock_is_a_timer_for_pytest_benchmark() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "examples/test_now_ns_timer.py"]
    run = subprocess.run(
        [*command, "--benchmark-min-rounds=5", "--benchmark-max-time=0.01"], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout
    assert "1 passed" in run.stdout


def test_decisions_are_dated() -> None:
    paragraphs = (ROOT / "docs/decisions.md").read_text().split("\n\n")[2:]
    undated = [p.splitlines()[0] for p in paragraphs if not re.match(r"\*\*\d{4}-\d\d-\d\d\. .+", p)]
    assert undated == []


def test_every_command_gets_a_man_page(tmp_path: Path) -> None:
    pytest.importorskip("argparse_manpage", reason="argparse-manpage is a build requirement, not installed here")
    subprocess.run([sys.executable, str(ROOT / "docs/make_man_pages.py"), str(tmp_path)], check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"tokenclock-{name}.1" for name in COMMANDS)
    for name, (_, what_it_does) in COMMANDS.items():
        page = (tmp_path / f"tokenclock-{name}.1").read_text().replace("\\", "")
        assert page.startswith(f".TH TOKENCLOCK-{name.upper()} ")
        assert f"\ntokenclock-{name} - {what_it_does}\n" in page
        assert ".SH " in page.partition(".SH DESCRIPTION")[2]
    page = (tmp_path / "tokenclock-serving.1").read_text()
    as_written = page[page.index("\n.nf\nexit codes:") : page.index("\n.fi\n")]
    assert "\nexamples:\n" in as_written


def test_man_renders_every_page_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("argparse_manpage", reason="argparse-manpage is a build requirement, not installed here")
    if shutil.which("man") is None or shutil.which("groff") is None:
        pytest.skip("needs man and groff: apt install man-db groff")
    subprocess.run([sys.executable, str(ROOT / "docs/make_man_pages.py"), str(tmp_path)], check=True)
    for page in sorted(tmp_path.iterdir()):
        command = ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(page)]
        run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "MANWIDTH": "80"})
        assert (run.returncode, run.stderr) == (0, ""), page.name


def test_the_python_of_the_serving_page_runs(tmp_path: Path) -> None:
    block = re.search(r"^```python\n(.*?)^```", (ROOT / "docs/serving.md").read_text(), re.MULTILINE | re.DOTALL)
    assert block is not None
    run = subprocess.run([sys.executable, "-c", block[1]], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert re.search(r" \d+\.\d+ ms$", run.stdout), run.stdout
    assert (tmp_path / "run.json").exists()
