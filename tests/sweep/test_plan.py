"""Points, commands and the plan's words, from files that are never run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sweep.files import benchmark, paced, sweep

from tokenclock.cli import sweep as command
from tokenclock.errors import UsageError
from tokenclock.sweep.index import Index
from tokenclock.sweep.plan import SweepPlan, build_plan
from tokenclock.sweep.plan_text import expected_minutes
from tokenclock.sweep.points import Point, visits
from tokenclock.sweep.schema import Server, Sweep
from tokenclock.sweep.whole import dry_run

Write = Callable[..., Path]
ROOT = Path(__file__).resolve().parent.parent.parent
A = {"name": "a", "url": "http://h:1"}


def plan_of(file: Path, **environment: str) -> SweepPlan:
    return build_plan(str(file), environment, command._commands())


def flags(point: Point) -> dict[str, str]:
    words = list(point.argv)
    return {word: words[n + 1] for n, word in enumerate(words[:-1]) if word.startswith("--")}


def test_the_readmes_comparison(write: Write, tmp_path: Path) -> None:
    """16, 64, 128 with five rounds: 80, 320 and 640 prompts, in files of the names that scripts expect."""
    plan = plan_of(
        write(servers=[A], matrix={"concurrency": [16, 64, 128]}, benchmark=benchmark(prompts_per_concurrency=5))
    )
    assert [point.key for point in plan.points] == ["a/concurrency_16", "a/concurrency_64", "a/concurrency_128"]
    assert [flags(point)["--num-prompts"] for point in plan.points] == ["80", "320", "640"]
    first = flags(plan.points[0])
    assert first["--max-concurrency"] == "16"
    assert first["--base-url"] == "http://h:1"
    assert (first["--result-dir"], first["--result-filename"]) == (str(tmp_path / "out/a"), "concurrency_16.json")


def test_lengths_flags_and_repeats_name_their_files(write: Write) -> None:
    matrix = {"lengths": [[512, 128], "32,8"], "concurrency": 4, "burstiness": [0.5, 1]}
    plan = plan_of(write(servers=[A], matrix=matrix, repeat=2))
    keys = [point.key for point in plan.points]
    assert len(keys) == 8
    assert keys[0] == "a/isl_512_osl_128_burstiness_0.5_concurrency_4_run_1"
    assert plan.points[0].axes == {"isl": 512, "osl": 128, "concurrency": 4, "burstiness": 0.5}
    assert flags(plan.points[-1])["--random-input-len"] == "32"


def test_an_axis_has_one_name_however_it_is_said(write: Write) -> None:
    for name in ("concurrency", "max-concurrency", "max_concurrency"):
        (point,) = plan_of(write(servers=[A], matrix={name: [16]})).points
        assert (point.stem, point.axes) == ("concurrency_16", {"concurrency": 16})


def test_repeats_may_have_prompts_of_their_own(write: Write) -> None:
    plan = plan_of(write(servers=[A], matrix={"concurrency": [1]}, repeat=3, vary_seed=True,
                         benchmark=benchmark(seed=7, **{"num-prompts": 1})))  # fmt: skip
    assert [flags(point)["--seed"] for point in plan.points] == ["7", "8", "9"]


def test_values_become_words(write: Write) -> None:
    more = {"goodput": ["ttft:300", "tpot:40"], "extra_body": {"min_tokens": 4}, "strict": False, "label": "${WHO:-me}"}
    plan = plan_of(write(servers=[{**A, "benchmark": {"seed": 7}}], benchmark=benchmark(**{"num-prompts": 1}, **more)))
    words = plan.points[0].argv
    assert "--goodput=ttft:300" in words
    assert "--goodput=tpot:40" in words
    assert '--extra-body={"min_tokens": 4}' in words
    assert "--strict" not in words
    assert flags(plan.points[0])["--label"] == "me"
    assert flags(plan.points[0])["--seed"] == "7"


def test_a_server_option_makes_a_server_of_its_own(write: Write, tmp_path: Path) -> None:
    server = {"name": "s", "command": "trtllm-serve m --max_batch_size 64 --tp_size=2",
              "extra_llm_api_options": {"kv_cache_config": {"dtype": "auto"}}}  # fmt: skip
    matrix = {
        "server.max_batch_size": [8, 16], "server.extra_llm_api_options.kv_cache_config.dtype": ["fp8"],
        "server.tp_size": [4], "concurrency": [1],
    }  # fmt: skip
    plan = plan_of(write(servers=[server], matrix=matrix))
    folder = "s-max_batch_size_16-dtype_fp8-tp_size_4"
    settled = plan.settled[folder]
    options = tmp_path / "out" / folder / "extra_llm_api_options.yml"
    assert settled.command == f"trtllm-serve m --max_batch_size 16 --tp_size 4 --extra_llm_api_options {options}"
    assert settled.options == {"kv_cache_config": {"dtype": "fp8"}}


def test_expected_minutes_by_hand(write: Write) -> None:
    """Two starts of 60 s; four points of ceil(10/2) x (0.5 + 4 x 0.02) + 5 = 7.9 s; three pauses of 10 s."""
    file = write(
        servers=[paced("a"), paced("b")], matrix={"concurrency": [2]}, repeat=2, cooldown=10, expected=None,
        benchmark=benchmark(**{"num-prompts": 10}),
    )  # fmt: skip
    assert expected_minutes(plan_of(file)) == pytest.approx((2 * 60 + 4 * 7.9 + 3 * 10) / 60)


def test_interleaved_restarts_each_repeat(write: Write) -> None:
    plan = plan_of(write(servers=[paced("a"), paced("b")], repeat=3, order="interleaved"))
    assert [visit.variant.folder for visit in plan.visits] == ["a", "b", "b", "a", "a", "b"]
    assert [len(visit.points) for visit in plan.visits] == [2] * 6
    assert visits(plan.sweep, plan.points) == list(plan.visits)


def test_servers_that_run_already_take_turns_at_each_point(write: Write) -> None:
    plan = plan_of(write(servers=[A, {"name": "b", "url": "http://h:2"}], repeat=2, order="interleaved"))
    assert [point.key for point in plan.points] == [
        "a/concurrency_1_run_1", "b/concurrency_1_run_1", "b/concurrency_2_run_1", "a/concurrency_2_run_1",
        "a/concurrency_1_run_2", "b/concurrency_1_run_2", "b/concurrency_2_run_2", "a/concurrency_2_run_2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"benchmark": {"modl": "m"}}, "modl is no flag of tokenclock serving (did you mean model?)"),
        ({"benchmark": {"model": "m", "result-dir": "x"}}, "result-dir is set by the sweep itself"),
        *(
            (
                {"benchmark": {"model": "m", name: "x"}},
                f"{name} is set by the sweep itself, from each server's url",
            )
            for name in ("base-url", "base_url", "url", "u", "host", "port")
        ),
        ({"matrix": {"port": [1, 2]}}, "port is set by the sweep itself, from each server's url"),
        ({"benchmark": {"command": "profile", "model": "m", "url": "h:2"}}, "url is set by the sweep itself"),
        ({"benchmark": {"model": "m", "unix-socket": "/s"}}, "unix-socket is of one server, not of all"),
        ({"servers": [{**A, "benchmark": {"base-url": "http://h:2"}}]}, "base-url is set by the sweep itself"),
        *(
            ({"servers": [{"name": "a", "command": empty}]}, "servers.0.command: must be a line of the shell")
            for empty in ([], "", "  ", [""])
        ),
        ({"servers": [{"name": "a", "command": "s --port {prt}"}]}, "{prt} is no placeholder (did you mean {port}?)"),
        ({"servers": [{"name": "a", "command": ["s", "{options}"]}]}, "(did you mean {options_file}?)"),
        ({"servers": [{**A, "probe": "curl {ur}"}]}, "servers.0.probe: {ur} is no placeholder (did you mean {url}?)"),
        ({"benchmark": {"model": "m", "dataset-name": "rndom"}}, "a/concurrency_1: --dataset-name must be"),
        ({"benchmark": {"model": "${NOT_SET_X}"}}, "${NOT_SET_X} is not set; export it"),
        (
            {"servers": [{"name": "a", "url": "${U:-ftp://h}"}]},
            "must be http://HOST:PORT or https://HOST:PORT, got ftp",
        ),
        ({"matrix": {"request_rate": [0]}}, "--request-rate must be"),
        ({"matrix": {"request_rate": [1, -1]}}, ":15:4: a/request_rate_-1: --request-rate must be"),
        ({"matrix": {"concurency": [1]}}, "concurency is no axis of the matrix (did you mean concurrency?)"),
        ({"matrix": {"lenghts": [[1, 2]]}}, "lenghts is no axis of the matrix (did you mean lengths?)"),
        ({"servers": [{**A, "release": 1.2}]}, 'servers.0.release: must be text: write it in quotes, "1.2"'),
        ({"matrix": {"lengths": [[1, 2, 3]]}}, "lengths must be pairs such as [512, 128], got [1, 2, 3]"),
        ({"matrix": {"concurrency": [1, 1]}}, "two points would both write a/concurrency_1.json"),
        ({"matrix": {"server.max_batch_size": [1]}}, "server.max_batch_size needs servers that are started"),
        (
            {"matrix": {"seed": list(range(10_001))}},
            "the matrix has 10001 points, more than 10000; --yes runs them all",
        ),
        (
            {"matrix": {"concurrency": [1, 0]}, "benchmark": benchmark(prompts_per_concurrency=5)},
            "concurrency must be a whole number >= 1, got 0",
        ),
        (
            {"matrix": {"concurrency": [1, "x"]}, "benchmark": benchmark(prompts_per_concurrency=5)},
            "concurrency must be a whole number >= 1, got x",
        ),
        ({"benchmark": benchmark(prompts_per_concurrency=0)}, "prompts_per_concurrency must be a whole number >= 1"),
        ({"search": {"kind": "concurrency", "slo": {"ttft": 1}}}, "concurrency is what a search varies"),
    ],
)
def test_what_cannot_run_is_refused_before(write: Write, change: dict[str, Any], expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        plan_of(write({"servers": [A], **change}))
    assert expected in str(caught.value)
    assert str(caught.value).count("sweep.yaml:") == 1


def test_other_braces_are_the_commands_own(write: Write) -> None:
    line = "awk '{print}' x; echo ${prt} {{port_}} {whatever}; serve {port}"
    (variant,) = plan_of(write(servers=[{**A, "command": line}])).variants
    assert plan_of(write(servers=[{**A, "command": line}])).settled[variant.folder].command == line.replace(
        "{port}", "1"
    )


def test_a_server_may_have_a_socket_of_its_own(write: Write) -> None:
    plan = plan_of(write(servers=[{**A, "benchmark": {"unix-socket": "/run/s"}}]))
    assert flags(plan.points[0])["--unix-socket"] == "/run/s"
    assert "--base-url" not in plan.points[0].argv


def test_a_running_sweep_is_not_offered_to_be_resumed(write: Write, tmp_path: Path) -> None:
    index = Index(tmp_path / "out", {}, {})
    index.save()
    for flags_given in ((), ("--resume",), ("--overwrite",)):
        with pytest.raises(UsageError, match="another sweep is writing into"):
            command.main([str(write(servers=[A])), *flags_given])
    index.close()
    with pytest.raises(UsageError, match="holds a sweep already"):
        command.main([str(write(servers=[A]))])


def test_yes_lets_ten_thousand_points_be_planned(write: Write) -> None:
    file = write(servers=[A], matrix={"seed": list(range(50)), "top-k": list(range(1, 202))})
    plan = build_plan(str(file), {}, command._commands(), yes=True)
    assert len(plan.points) == 10_050


def test_options_are_never_written_over_a_users_file(write: Write, tmp_path: Path) -> None:
    theirs = tmp_path / "o.yml"
    theirs.write_text("print_iter_log: true\n")
    server = paced("a", extra_llm_api_options={"print_iter_log": False})
    server["command"] += f"; : --extra_llm_api_options {theirs}"
    with pytest.raises(UsageError, match=r"would be written to .*o\.yml, which holds something else"):
        plan_of(write(servers=[server]))
    assert theirs.read_text() == "print_iter_log: true\n"


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_examples_are_sound(example: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    assert command.main([str(example.relative_to(ROOT)), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "expected: " in shown
    short = ["compare will say `not enough data` of concurrency_16 and 2 more"]  # five rounds, as in the tutorial
    expected = short if example.name == "compare_backends.yaml" else []
    assert [line.removeprefix("warning: ").partition(":")[0] for line in shown.splitlines() if "warning: " in line] == (
        expected
    )


def test_dry_run_writes_and_starts_nothing(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(write(servers=[paced("a")])), "--dry-run"]) == 0
    assert not (tmp_path / "out").exists()
    assert "expected: 0.1 minutes" in capsys.readouterr().out


def test_the_plan_tells_all_that_is_going_to_happen(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    servers = [paced("a", probe={"path": "/v1/models"}), paced("b", probe="curl -s {url}")]
    compare = {"png": None, "html": "page.html", "fail_if": ["tpot.p99 > +5%"]}
    file = write(servers=servers, warmup=3, compare=compare)
    assert command.main([str(file), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "  probe, before the first point: GET /v1/models must succeed within 60 s\n" in shown
    assert f"  probe, before the first point: curl -s {servers[1]['url']} must end with 0\n" in shown
    assert shown.count("  warm-up: 3 requests after each start, thrown away\n") == 2
    out = file.parent / "out"
    assert f"which writes {out}/benchmark_summary.txt, {out}/page.html; exit code 3 where tpot.p99 > +5%" in shown
    assert "warning: compare will say `not enough data` of" in shown
    assert command.main([str(write(servers=servers)), "--dry-run"]) == 0
    assert "warning: tokenclock compare of these results would say `not enough data`" in capsys.readouterr().out


def test_dry_run_tries_the_result_directory(write: Write, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "x", Path("/proc/x/y"), tmp_path / ("x" * 300)):
        with pytest.raises(UsageError, match="result_dir must be a directory that can be written to, got "):
            command.main([str(write(servers=[paced("a")], result_dir=str(place))), "--dry-run"])
    assert command.main([str(write(servers=[paced("a")], result_dir=str(tmp_path / "x/y"))), "--dry-run"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "sweep.yaml"]


def test_folders_tell_options_that_end_alike_apart(write: Write) -> None:
    options = {"max_batch_size": 8}
    name = "server.extra_llm_api_options.cuda_graph_config.max_batch_size"
    server = {"name": "a", "command": "trtllm-serve m", "extra_llm_api_options": options}
    plan = plan_of(write(servers=[server], matrix={"server.max_batch_size": [8], name: [16], "server.tp_size": [2]}))
    assert [variant.folder for variant in plan.variants] == [
        "a-max_batch_size_8-cuda_graph_config.max_batch_size_16-tp_size_2"
    ]


def test_secrets_are_masked(write: Write, tmp_path: Path) -> None:
    server = {**A, "name": "a", "url": "http://127.0.0.1:9"}
    server |= {"environment": {"HF_TOKEN": "hush"}, "ready_timeout": 0.1}
    run = sweep(write(servers=[server], benchmark=benchmark(header=["X-Key=hush"], **{"num-prompts": 1})))
    assert run.returncode == 1
    assert "hush" not in run.stderr
    assert "hush" not in (tmp_path / "out/index.json").read_text()


def test_an_index_of_a_newer_schema_or_a_torn_one(write: Write, tmp_path: Path) -> None:
    file = write(servers=[A])
    (tmp_path / "out").mkdir()
    for text, expected in ((json.dumps({"schema_version": "9.0", "points": []}), "has schema 9.0, expected 1.0"),
                           ('{"schema_version": "1.0", "poi', "is no whole index of a sweep")):  # fmt: skip
        (tmp_path / "out/index.json").write_text(text)
        with pytest.raises(UsageError) as caught:
            command.main([str(file), "--resume"])
        assert expected in str(caught.value)


def test_two_sweeps_never_share_a_directory(write: Write, tmp_path: Path) -> None:
    index = Index(tmp_path / "out", {}, {})
    with pytest.raises(UsageError, match="another sweep is writing into"):
        command.main([str(write(servers=[A]))])
    index.close()


def test_a_refused_sweep_leaves_the_earlier_one_alone(write: Write, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for name, text in (("index.json", '{"schema_version": "1.0", "points": []}'), ("environment.json", "{}")):
        (tmp_path / "out" / name).write_text(text)
    with pytest.raises(UsageError, match="holds a sweep already"):
        command.main([str(write(servers=[A]))])
    assert (tmp_path / "out/environment.json").read_text() == "{}"


def test_without_pydantic_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "pydantic.py").write_text("raise ImportError")
    code = "import sys; from tokenclock.__main__ import main; sys.exit(main(['sweep', 'x.yaml']))"
    run = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )  # fmt: skip
    assert run.returncode == 1
    assert "pip install 'tokenclock[sweep]'" in run.stderr


ODD = [None, 0, -1, 1.5, "", "x", [], [None], [[]], {}, {"1": None}, True, "a\nb", "${X}", "{port}", 10**30, "'"]
KEYS = [
    *(("servers", 0, name) for name in Server.model_fields),
    *(("matrix", name) for name in ("lengths", "concurrency", "server.x", "server.extra_llm_api_options.a.b", "seed")),
    *(("benchmark", name) for name in ("command", "model", "prompts_per_concurrency", "goodput", "num-prompts")),
    *((name,) for name in Sweep.model_fields),
]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(KEYS), st.sampled_from(ODD))
def test_whatever_stands_there_it_is_a_plan_or_a_reason(write: Write, path: tuple[Any, ...], value: Any) -> None:
    server = {"name": "a", "command": "trtllm-serve m --max_batch_size 4", "extra_llm_api_options": {"a": {"b": 1}}}
    file = write(servers=[server])
    content: Any = json.loads(file.read_text())
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    file.write_text(json.dumps(content))
    line = f"{file}"
    try:
        dry_run(str(file), {}, command._commands(), resume=False)
    except UsageError as error:
        line = str(error)
    assert line.startswith(f"{file}")
