"""Writes one man page per command: `python docs/make_man_pages.py FOLDER`. CMake calls it when it builds the wheel.

Parsers need the standard library only, so this runs before the native module is built.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
os.environ["COLUMNS"] = "100"

from argparse_manpage.cli import main as argparse_manpage

from tokenclock.__main__ import COMMANDS

# a line of text that begins like a request to roff ('.npz of ...') would be taken for one and vanish
_NO_MACRO = re.compile(
    r"^(?=[.'])(?!\.(?:TH|SH|SS|TP|PP|IP|RS|RE|br|fi|in|nf|sp)\b)(?!\.\\\")(?!\.B tokenclock)", re.MULTILINE
)

# examples and tables of exit codes keep their lines as they are written
_AS_WRITTEN = re.compile(r"^(?:examples?|exit codes):.*?(?=^\.SH |\Z)", re.MULTILINE | re.DOTALL)


def main(folder: Path) -> None:
    """Write `tokenclock-COMMAND.1` for every command into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for command, (module, what_it_does) in COMMANDS.items():
        name = f"tokenclock-{command}"
        page = folder / f"{name}.1"
        sys.argv = ["argparse-manpage", "--module", module, "--function", "build_parser"]
        sys.argv += ["--description", what_it_does, "--project-name", "tokenclock"]
        sys.argv += ["--manual-title", "tokenclock", "--output", str(page)]
        argparse_manpage()
        # a page is found by one word; in its usage the command stays two
        text, in_roff, page_name = page.read_text(), command.replace("-", r"\-"), name.replace("-", r"\-")
        text = text.replace(f".TH TOKENCLOCK {in_roff.upper()} ", f".TH {page_name.upper()} ", 1)
        text = text.replace(f"\ntokenclock {in_roff} ", f"\n{page_name} ", 1)
        text = _AS_WRITTEN.sub(lambda found: f".nf\n{found[0].rstrip()}\n.fi\n", text, count=1)
        page.write_text(_NO_MACRO.sub(r"\\&", text))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
