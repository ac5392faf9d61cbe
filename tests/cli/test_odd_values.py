"""Values that nobody means, for every flag that takes one: one line and exit code 1 or 2, never a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tokenclock.__main__ import main
from tokenclock.cli import prepare_flags, profile_flags, throughput_flags

VALUES = ("", "-1", "-0.0", "nan", "inf", "9" * 23, "1.5", "x", "\udce9", "a\nb")
PROFILE = "profile -m a -u 127.0.0.1:9 --endpoint-type completions --artifact-dir {here}/a --request-timeout 1"
THROUGHPUT = "--model m throughput --base-url http://127.0.0.1:9 --dataset {here}/rows.jsonl --request-timeout 1"
PREPARE = (
    "prepare-dataset --vocab-size 50 --output {here}/out --export-format tllm-bench token-norm-dist --num-requests 2 "
    "--input-mean 5 --input-stdev 0 --output-mean 3 --output-stdev 0"
)
FILES = {"--artifact-dir", "--dataset", "--report_json", "--request_json", "--output_json", "--iteration_log",
         "--output", "--media-dir", "--model"}  # fmt: skip


def cases() -> list[tuple[str, str]]:
    prepare = prepare_flags.build_parser()._subparsers._group_actions[0].choices["token-norm-dist"]  # type: ignore[union-attr, index]
    parsers = {PROFILE: profile_flags.build_parser(), THROUGHPUT: throughput_flags.build_parser("throughput"),
               PREPARE: prepare}  # fmt: skip
    return [
        (base, action.option_strings[-1])
        for base, parser in parsers.items()
        for action in parser._actions
        if action.option_strings and action.nargs != 0 and not FILES & set(action.option_strings)
    ]


@pytest.mark.parametrize(("base", "flag"), cases())
def test_odd_values(
    base: str, flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # some values name places
    row = {"task_id": 0, "input_ids": [5, 6], "output_tokens": 2}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    for value in VALUES:
        code = main([*base.format(here=tmp_path).split(), f"{flag}={value}"])
        err = capsys.readouterr().err
        assert code in ((0, 2) if base == PREPARE else (1, 2)), (value, err)
        assert "Traceback" not in err, value
        assert len(err.splitlines()) < 8, value
