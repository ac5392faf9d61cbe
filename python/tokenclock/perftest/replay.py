"""`--replay DIR`: the stored runs of an earlier session evaluated again, without hardware."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenclock.errors import UsageError
from tokenclock.perftest.case import Case
from tokenclock.perftest.case_file import NAME, read_case_file
from tokenclock.perftest.evaluate import evaluate
from tokenclock.perftest.outcome import SKIPPED, Outcome

__all__ = ["hold_stored_runs", "replay_case"]


def hold_stored_runs(directory: Path, cases: Sequence[Case]) -> None:
    """Check that a directory has a stored run of one of these cases at least; one that cannot be read counts.

    Raises:
        UsageError: there is none.
    """
    for path in directory.rglob(NAME):
        for case in cases:
            try:
                if read_case_file(path, case):
                    return
            except UsageError:  # its case says why
                return
    of = f"of {cases[0].canonical}" if len(cases) == 1 else f"of any of the {len(cases)} cases"
    raise UsageError(f"--replay {directory} holds no stored run {of}: name the --output-dir of an earlier session")


def replay_case(case: Case, directory: Path, folder: Path) -> Outcome:
    """The outcome of the newest stored run of a case, computed again from its logs and results.

    Args:
        case: which; found by its canonical label.
        directory: output directory of an earlier session.
        folder: of the outcome where nothing is stored: the state is `skipped` then.

    Raises:
        UsageError: the directory is none, or it has no record of this case and one that cannot be read.
    """
    if not directory.is_dir():
        raise UsageError(f"--replay must be the output directory of an earlier session, got {directory}, which is none")
    found, problem = [], None
    for path in directory.rglob(NAME):
        try:
            commands = read_case_file(path, case)
        except UsageError as error:  # of another case, perhaps
            problem = error
            continue
        if commands:
            found.append((max(ran.ended for ran in commands), str(path), path, commands))
    if not found and problem is not None:
        raise problem
    if not found:
        return Outcome(case, SKIPPED, f"no stored run of this case in {directory}", (), (), (), folder)
    _, _, path, commands = max(found)
    return evaluate(case, path.parent, commands)
