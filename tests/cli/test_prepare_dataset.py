"""`tokenclock prepare-dataset` as people type it: both homes' command lines, every form of output, what is refused."""

from __future__ import annotations

import hashlib
import json
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

import tokenclock.__main__ as program

SPECIAL = {0, 1, 2, 203}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One token a word; ids 0 to 2 and 203 are special."""
    from tokenizers import models, pre_tokenizers

    directory = tmp_path_factory.mktemp("tokenizer")
    words = {"[UNK]": 0, "<s>": 1, "</s>": 2} | {f"w{n}": n + 3 for n in range(200)} | {"<image>": 203}
    made = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens(["[UNK]", "<s>", "</s>", "<image>"])
    made.save(str(directory / "tokenizer.json"))
    (directory / "tokenizer_config.json").write_text('{"eos_token": "</s>"}', "utf-8")
    return str(directory)


def shell(command: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """A command line as a shell runs it, the program's name replaced."""
    return subprocess.run(["sh", "-c", command], cwd=directory, capture_output=True, text=True, check=False)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


SCRIPT = f"{shlex.quote(sys.executable)} -m tokenclock.prepare_dataset"
LENGTHS = "--num-requests=40 --input-mean=12 --output-mean=7 --input-stdev=3 --output-stdev=0"


def test_the_command_of_the_performance_tests_without_lora(tokenizer: str, tmp_path: Path) -> None:
    done = shell(f"{SCRIPT} --stdout --tokenizer={tokenizer} token-norm-dist {LENGTHS}  > data.txt", tmp_path)
    assert done.returncode == 0, done.stderr
    rows = lines(tmp_path / "data.txt")
    assert [list(row) for row in rows] == [["task_id", "input_ids", "output_tokens"]] * 40
    assert [row["task_id"] for row in rows] == list(range(40))
    assert {row["output_tokens"] for row in rows} == {7}
    assert not SPECIAL & {value for row in rows for value in row["input_ids"]}
    assert ": " not in (tmp_path / "data.txt").read_text("utf-8")


def test_the_command_of_the_performance_tests_with_lora(tokenizer: str, tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / "loras" / str(number)).mkdir(parents=True)
    done = shell(
        f"{SCRIPT} --stdout --rand-task-id 0 3 --tokenizer={tokenizer} --lora-dir=loras token-norm-dist {LENGTHS} "
        " > data.txt",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    rows = lines(tmp_path / "data.txt")
    ids = Counter(row["lora_request"]["lora_int_id"] for row in rows)
    assert set(ids) == {0, 1, 2, 3}
    for row in rows:
        number = row["lora_request"]["lora_int_id"]
        path = f"loras/{number}"
        assert row["lora_request"] == {"lora_name": f"lora_{number}", "lora_int_id": number, "lora_path": path}
    assert "no folder" not in done.stderr


@pytest.mark.parametrize("compat", ["", "--compat "])
def test_a_row_that_draws_minus_one_has_no_adapter(compat: str, tokenizer: str, tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / "loras" / str(number)).mkdir(parents=True)
    said = f"{SCRIPT} {compat}--rand-task-id -1 1 --tokenizer={tokenizer} --lora-dir=loras"
    done = shell(
        f"{said} --stdout token-norm-dist {LENGTHS} > rows.txt && {said} --output w.json token-norm-dist {LENGTHS}",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "no folder" not in done.stderr
    rows = lines(tmp_path / "rows.txt")
    samples = json.loads((tmp_path / "w.json").read_text("utf-8"))["samples"]
    drawn = [row.get("lora_request", {"lora_int_id": -1})["lora_int_id"] for row in rows]
    assert set(drawn) == {-1, 0, 1}
    assert [sample["task_id"] for sample in samples] == drawn


def run(*arguments: str, directory: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tokenclock", *arguments]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done


def test_behind_a_group_option_it_writes_json_lines_to_output(tokenizer: str, tmp_path: Path) -> None:
    unif = ["token-unif-dist", "--num-requests", "5", "--input-min", "2", "--input-max", "4", "--output-min", "3",
            "--output-max", "3"]  # fmt: skip
    run("--model", "org/name", "--model_path", tokenizer, "prepare-dataset", "--output", "deep/er/rows.jsonl", *unif,
        directory=tmp_path)  # fmt: skip
    rows = lines(tmp_path / "deep/er/rows.jsonl")
    assert len(rows) == 5
    assert all(2 <= len(row["input_ids"]) <= 4 and row["output_tokens"] == 3 for row in rows)
    told = json.loads((tmp_path / "deep/er/rows.jsonl.manifest.json").read_text("utf-8"))
    assert told["sha256"] == hashlib.sha256((tmp_path / "deep/er/rows.jsonl").read_bytes()).hexdigest()
    assert (told["source"], told["seed"], told["form"]) == ("token-unif-dist", 420, "jsonl")
    assert told["drawn"]["num_requests"] == 5
    refused = run("--model", "org/name", "prepare-dataset", *unif, directory=tmp_path, code=2)
    assert refused.stderr == (
        "tokenclock prepare-dataset: --model org/name is no directory, and tokenclock never downloads: name the "
        "tokenizer's by --model_path or --tokenizer, or give --vocab-size N\n"
    )


def test_alone_it_writes_the_workload_file(tmp_path: Path) -> None:
    norm = "--num-requests 4 --input-mean 6 --input-stdev 0 --output-mean 2 --output-stdev 0"
    run("prepare-dataset", "--vocab-size", "50", "--task-id", "3", "token-norm-dist", *norm.split(), directory=tmp_path)
    data = json.loads((tmp_path / "preprocessed_dataset.json").read_text("utf-8"))
    assert list(data) == ["metadata", "samples"]
    assert data["metadata"] == {
        "workload_type": "token-norm-dist", "input_mean": 6, "input_stdev": 0, "output_mean": 2, "output_stdev": 0,
        "num_requests": 4, "tokenize_vocabsize": 50, "max_input_len": 6, "max_output_len": 2,
        "workload_name": "workload_type:token-norm-dist__input_mean:6__input_stdev:0__output_mean:2__output_stdev:0"
        "__num_requests:4__tokenize_vocabsize:50__max_input_len:6__max_output_len:2",
    }  # fmt: skip
    assert [list(sample) for sample in data["samples"]] == [["input_len", "input_ids", "output_len", "task_id"]] * 4
    assert {sample["task_id"] for sample in data["samples"]} == {3}


BASE = ["--vocab-size", "500", "--stdout"]
NORM = ["token-norm-dist", "--num-requests", "60", "--input-mean", "9", "--input-stdev", "2", "--output-mean", "4",
        "--output-stdev", "1"]  # fmt: skip


def printed(*flags: str, directory: Path) -> list[dict[str, Any]]:
    done = run("prepare-dataset", *BASE, *flags, *NORM, directory=directory)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_flags_stand_before_or_after_the_distribution_and_a_seed_is_a_file(tmp_path: Path) -> None:
    one = run("prepare-dataset", *BASE, "--random-seed", "7", *NORM, directory=tmp_path).stdout
    assert run("prepare-dataset", *NORM, *BASE, "--random-seed=7", directory=tmp_path).stdout == one
    assert run("prepare-dataset", *BASE, *NORM, directory=tmp_path).stdout != one


def test_shared_prefixes(tmp_path: Path) -> None:
    rows = printed("--num-prefixes", "3", "--prefix-len", "20", "--prefix-zipf", "2", directory=tmp_path)
    heads = Counter(tuple(row["input_ids"][:20]) for row in rows)
    assert len(heads) == 3
    assert heads.most_common(1)[0][1] > 30  # 1 / (1 + 1/4 + 1/9) of 60 is 44
    assert len({tuple(row["input_ids"][20:]) for row in rows}) == 60


def test_times_and_sessions(tmp_path: Path) -> None:
    rows = printed("--request-rate", "10", "--burstiness", "4", directory=tmp_path)
    stamps = [row["timestamp"] for row in rows]
    assert stamps[0] == 0
    assert stamps == sorted(stamps)
    assert 59 / 10 * 0.7 < stamps[-1] / 1000 < 59 / 10 * 1.3
    rows = printed("--session-turns-mean", "4", "--session-turn-delay-mean", "500", "--request-rate", "2",
                   "--num-prefixes", "1", "--prefix-len", "5", directory=tmp_path)  # fmt: skip
    turns = Counter(row["session_id"] for row in rows)
    assert set(turns.values()) == {4}
    seen: set[str] = set()
    for row in rows:
        first = row["session_id"] not in seen
        assert ("timestamp" in row, "delay" in row) == (first, not first)
        assert row.get("delay", 500) == 500
        seen.add(row["session_id"])


def test_the_manifest_is_the_last_line_on_request(tmp_path: Path) -> None:
    done = run("prepare-dataset", *BASE, "--manifest", "line", *NORM, directory=tmp_path)
    *rows, last = done.stdout.splitlines(keepends=True)
    told = json.loads(last)["tokenclock_manifest"]
    assert told["sha256"] == hashlib.sha256("".join(rows).encode()).hexdigest()
    assert done.stderr == ""
    assert run("prepare-dataset", *BASE, "--manifest", "none", *NORM, directory=tmp_path).stdout == "".join(rows)


def test_recorded_data(tokenizer: str, tmp_path: Path) -> None:
    data = [{"ask": f"w1 w{n}", "more": "w5 w6", "answer": "w7 " * (n + 1)} for n in range(6)]
    data[2]["ask"] = "w1 " * 50
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in data), "utf-8")
    (tmp_path / "loras/1").mkdir(parents=True)
    flags = ["--stdout", "--tokenizer", tokenizer, "--max-input-len", "20", "--task-id", "1", "--lora-dir", "loras"]
    for name in ("dataset", "real-dataset"):
        done = run("prepare-dataset", *flags, name, "--dataset-name", "data.jsonl", "--dataset-split", "train",
                   "--dataset-prompt-key", "ask", "--dataset-input-key", "more", "--dataset-output-key", "answer",
                   directory=tmp_path)  # fmt: skip
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert [row["input_ids"] for row in rows] == [[4, n + 3, 8, 9] for n in (0, 1, 3, 4, 5)]
        assert [row["output_tokens"] for row in rows] == [1, 2, 4, 5, 6]
        assert rows[0]["lora_request"]["lora_path"] == "loras/1"  # the original leaves it out here


def test_rows_with_pictures(tokenizer: str, tmp_path: Path) -> None:
    data = [{"q": "w1", "image": "a.png", "image_1": "b.png"}, {"q": "w2", "video": "c.mp4"}]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in data), "utf-8")
    base = ["prepare-dataset", "--stdout", "--tokenizer", tokenizer, "dataset", "--dataset-name", "data.jsonl",
            "--dataset-prompt-key", "q"]  # fmt: skip
    done = run(*base, "--output-len-dist", "9,0", directory=tmp_path)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"task_id": 0, "prompt": "w1", "media_paths": ["a.png", "b.png"], "output_tokens": 9},
        {"task_id": 1, "prompt": "w2", "media_paths": ["c.mp4"], "output_tokens": 9},
    ]
    refused = run(*base, "--dataset-output-key", "a", directory=tmp_path, code=2)
    assert refused.stderr == (
        "tokenclock prepare-dataset: data.jsonl:1: --output-len-dist MEAN,STDEV is needed for a row with pictures or "
        "video\n"
    )


def test_pictures_that_the_data_holds_become_files(tokenizer: str, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is of the extra hf, not installed here")
    from PIL import Image

    pictures = [Image.new("RGB", (8, 8), (n, 0, 0)) for n in range(2)]
    table = datasets.Dataset.from_dict({"q": ["w1", "w2"], "image": pictures})
    table.save_to_disk(str(tmp_path / "table"))
    base = ["prepare-dataset", "--stdout", "--tokenizer", tokenizer, "dataset", "--dataset-name", "table",
            "--dataset-prompt-key", "q", "--output-len-dist", "9,0"]  # fmt: skip
    assert "--media-dir DIR says where their files go" in run(*base, directory=tmp_path, code=2).stderr
    done = run(*base, "--media-dir", "pictures", directory=tmp_path)
    paths = [json.loads(line)["media_paths"] for line in done.stdout.splitlines()]
    assert paths == [["pictures/0-image.jpg"], ["pictures/1-image.jpg"]]
    assert all((tmp_path / path).read_bytes().startswith(b"\xff\xd8") for (path,) in paths)


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("", "a distribution is needed, one of token-norm-dist, token-unif-dist, token-lognorm-dist, token-mix-dist, "
         "token-hist-dist, dataset, real-dataset; none was given"),
        ("token-norm", "a distribution is needed, one of token-norm-dist, token-unif-dist, token-lognorm-dist, "
         "token-mix-dist, token-hist-dist, dataset, real-dataset; got token-norm (did you mean token-norm-dist?)"),
        ("token-norm-dist", "token-norm-dist needs --input-mean; tokenclock prepare-dataset token-norm-dist --help"),
        ("token-norm-dist --num-requests 3 --input-mean 5 --input-stdev 0 --output-mean 5 --output-stdev 0",
         "--tokenizer DIR or --vocab-size N is needed: token ids are drawn below the size of a vocabulary"),
        ("--vocab-size 99 token-unif-dist --num-requests 3 --input-min 5 --input-max 4 --output-min 5 --output-max 5",
         "--input-min must be at most --input-max 4, got 5"),
        ("--vocab-size 99 token-unif-dist --num-requests 3 --input-mix 5",
         "unknown flag --input-mix (did you mean --input-min?); tokenclock prepare-dataset token-unif-dist --help "
         "shows all flags"),
        ("--stdout --output x token-unif-dist --num-requests 3 --input-min 4 --input-max 4 --output-min 5 "
         "--output-max 5", "--stdout and --output exclude each other; leave one out"),
        ("--task-id 1 --rand-task-id 0 2 token-unif-dist --num-requests 3 --input-min 4 --input-max 4 --output-min 5 "
         "--output-max 5", "--task-id must be left out with --rand-task-id, got 1"),
        ("--rand-task-id -2 2 token-unif-dist --num-requests 3 --input-min 4 --input-max 4 --output-min 5 "
         "--output-max 5", "--rand-task-id must be a whole number >= -1, got -2"),
        ("--compat --num-prefixes 1 --prefix-len 2 --vocab-size 99 token-unif-dist --num-requests 3 --input-min 4 "
         "--input-max 4 --output-min 5 --output-max 5",
         "--compat must be left out with --num-prefixes, got both; the original has no such draws"),
        ("--request-rate 4 --vocab-size 99 token-unif-dist --num-requests 3 --input-min 4 --input-max 4 --output-min 5 "
         "--output-max 5", "--session-turns-mean and --request-rate need JSON lines: --stdout, or --export-format "
         "tllm-bench; the workload file has no place for sessions and times"),
        ("token-mix-dist --num-requests 1 --component 1:2:3",
         "--component must be W:IM:IS:OM:OS, such as 0.8:200:50:100:20, got 1:2:3"),
        ("dataset --dataset-name none.jsonl --dataset-output-key a",
         "--dataset-prompt-key or --dataset-prompt must be given, and only one of them, got neither"),
    ],
)  # fmt: skip
def test_what_is_refused(command: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["prepare-dataset", *shlex.split(command)]) == 2
    out = capsys.readouterr()
    assert (out.out, out.err) == ("", f"tokenclock prepare-dataset: {line}\n")


def test_variables_are_defaults(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    monkeypatch.setenv("TOKENCLOCK_PREPARE_DATASET_VOCAB_SIZE", "40")
    monkeypatch.setenv("TOKENCLOCK_PREPARE_DATASET_STDOUT", "1")
    monkeypatch.setenv("TOKENCLOCK_PREPARE_DATASET_RANDOM_SEED", "3")
    assert program.main(["prepare-dataset", *NORM]) == 0
    by_variables = capsysbinary.readouterr().out
    assert program.main(["prepare-dataset", "--random-seed", "4", *NORM]) == 0
    assert capsysbinary.readouterr().out != by_variables


def test_a_full_disk_is_said_in_one_line(tmp_path: Path) -> None:
    done = run("prepare-dataset", "--vocab-size", "99", "--output", "/dev/full", "--manifest", "none", *NORM,
               directory=tmp_path, code=1)  # fmt: skip
    assert done.stderr == "tokenclock prepare-dataset: --output: cannot write /dev/full: No space left on device\n"


@pytest.mark.parametrize("n", ["5", "20000"])
def test_a_full_standard_output_is_said_in_one_line(tmp_path: Path, n: str) -> None:
    flags = ["--num-requests", n, *NORM[3:]]
    command = [sys.executable, "-m", "tokenclock", "prepare-dataset", *BASE, "--manifest", "none", NORM[0], *flags]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    line = "tokenclock prepare-dataset: cannot write to standard output: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, line)


def test_a_reader_that_goes_away_leaves_no_traceback(tmp_path: Path) -> None:
    flags = ["--num-requests", "200000", *NORM[3:]]
    command = [sys.executable, "-m", "tokenclock", "prepare-dataset", *BASE, "--manifest", "none", NORM[0], *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (141, b"")


def test_prepared_rows_run_through_throughput(tmp_path: Path) -> None:
    pytest.importorskip("ctranslate2", reason="ctranslate2 is of the extra offline, not installed here")
    done = run("prepare-dataset", "--vocab-size", "2000", "--stdout", "--manifest", "line", *NORM, directory=tmp_path)
    (tmp_path / "rows.jsonl").write_text(done.stdout, "utf-8")
    rows = [json.loads(line) for line in done.stdout.splitlines()[:-1]]
    run("--model", "tiny:llama", "throughput", "--dataset", "rows.jsonl", "--report_json", "report.json", "--streaming",
        directory=tmp_path)  # fmt: skip
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))["dataset"]
    assert report["num_requests"] == len(rows) == 60
    assert report["max_isl"] == max(len(row["input_ids"]) for row in rows)
    assert report["max_osl"] == max(row["output_tokens"] for row in rows)
