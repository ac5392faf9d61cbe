"""The YAML of server cases: what is taken, what is refused in one line, and the command that is made of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.perftest.case_makers import make_case, make_settings

from tokenclock.errors import UsageError
from tokenclock.perftest.case import ServerCase
from tokenclock.perftest.commands import commands_of
from tokenclock.perftest.server_yaml import read_server_configs

WHOLE = """\
server_configs:
- name: r1_fp4
  model_name: deepseek_r1
  tp: 8
  ep: 4
  moe_backend: CUTLASS
  attention_dp_balance: true
  client_configs:
  - {name: con1, concurrency: 1, iterations: 10, isl: 128, osl: 64}
  - {name: con8, concurrency: 8}
- name: running
  model_name: other
  url: http://gpu7:8000
  client_configs: [{name: con2, concurrency: 2, random_range_ratio: 0.5}]
"""


def write(folder: Path, text: str) -> None:
    (folder / "r1.yaml").write_text(text)


def test_servers_and_clients_that_are_named(tmp_path: Path) -> None:
    write(tmp_path, WHOLE)
    settings = make_settings(config_folder=tmp_path)
    assert [len(clients) for _, clients in read_server_configs(ServerCase("r1", None, ()), settings)] == [2, 1]
    ((server, (client,)),) = read_server_configs(ServerCase("r1.yaml", "r1_fp4", ("con8",)), settings)
    assert (client.iterations, client.isl, client.osl) == (1, 1024, 1024)
    options = server.llm_api_options()
    assert options["moe_config"] == {"backend": "CUTLASS"}
    assert options["attention_dp_config"] == {"enable_balance": True, "batching_wait_iters": 10, "timeout_iters": 50}
    assert options["kv_cache_config"]["dtype"] == "fp8"


def test_the_folder_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, WHOLE)
    monkeypatch.setenv("AGG_CONFIG_FOLDER", str(tmp_path))
    assert len(read_server_configs(ServerCase("r1", None, ()), make_settings())) == 2


def test_commands(tmp_path: Path) -> None:
    write(tmp_path, WHOLE)
    settings = make_settings(config_folder=tmp_path, models={"deepseek_r1": "/models/r1"})
    commands = commands_of(make_case(ServerCase("r1", None, ())), settings, Path("/f"))
    assert [command.what for command in commands] == ["server", "serving", "server", "serving", "serving"]
    assert " ".join(commands[0].argv) == (
        "trtllm-serve /models/r1 --host 127.0.0.1 --port {port} --backend pytorch --tp_size 8 --pp_size 1 --ep_size 4 "
        "--max_batch_size 256 --max_num_tokens 2048 --extra_llm_api_options {options_file}"
    )
    assert {"--num-prompts=10", "--max-concurrency=1", "--random-input-len=128", "--ignore-eos", "--random-ids"} <= set(
        commands[1].argv
    )
    assert {"--base-url=http://gpu7:8000", "--random-range-ratio=0.5"} <= set(commands[4].argv)
    assert [cell.suffix for command in commands for cell in command.cells] == [
        "[r1_fp4:con1]",
        "[r1_fp4:con8]",
        "[running:con2]",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("server_configs: [", "is no YAML"),
        ("- 1", "must hold server_configs"),
        ("{}", "server_configs: Field required"),
        ("hardware: {}\nworker_config: {}", "disaggregated"),
        (WHOLE.replace("tp: 8", "tp: zero"), "server_configs.0.tp: .*zero"),
        (WHOLE.replace("concurrency: 8", "concurrency: 0"), "client_configs.1.concurrency: .*got 0"),
        (WHOLE.replace("moe_backend", "moe_bakend"), "moe_bakend"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path, text)
    with pytest.raises(UsageError, match=said) as caught:
        read_server_configs(ServerCase("r1", None, ()), make_settings(config_folder=tmp_path))
    assert "\n" not in str(caught.value)


def test_names_that_are_not_there(tmp_path: Path) -> None:
    write(tmp_path, WHOLE)
    settings = make_settings(config_folder=tmp_path)
    with pytest.raises(UsageError, match="no server r2: expected one of r1_fp4, running"):
        read_server_configs(ServerCase("r1", "r2", ()), settings)
    with pytest.raises(UsageError, match="no client con9: expected one of con1, con8"):
        read_server_configs(ServerCase("r1", "r1_fp4", ("con9",)), settings)
    with pytest.raises(UsageError, match=r"no file .*r9\.yaml"):
        read_server_configs(ServerCase("r9", None, ()), settings)
