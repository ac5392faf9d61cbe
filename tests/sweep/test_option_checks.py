"""What is said about the options of trtllm-serve before it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tokenclock.errors import UsageError
from tokenclock.sweep.commands import settle
from tokenclock.sweep.option_checks import OptionReport, check_server_options
from tokenclock.sweep.points import Variant
from tokenclock.sweep.schema import Server


def report_of(command: Any, options: dict[str, Any] | None = None, release: str = "1.2") -> OptionReport:
    server = Server(name="s", command=command, extra_llm_api_options=options)
    report = check_server_options(settle(Variant(server, {}, "s"), Path("out")), release)
    assert report is not None
    return report


def test_what_the_file_overrides_is_named() -> None:
    report = report_of("trtllm-serve m --max_batch_size 1024 --tp_size 2", {"max_batch_size": 512})
    assert report.notes == ["--max_batch_size 1024 is overridden by max_batch_size: 512 of the options file"]
    assert report.effective == {"tensor_parallel_size": 2, "max_batch_size": 512}
    assert report.warnings == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"padding_enabled": True}, "padding_enabled is now cuda_graph_config.enable_padding"),
        ({"pytorch_backend_config": {"use_cuda_graph": True}}, "what is in it (use_cuda_graph) moved to the top"),
        ({"cuda_graph_max_batch_size": 8}, "cuda_graph_max_batch_size is now cuda_graph_config.max_batch_size"),
        ({"print_iter_lo": True}, "(did you mean print_iter_log?)"),
        ({"max_batch_size": "many"}, "max_batch_size should be a whole number >= 0, got many"),
        ({"print_iter_log": "yes please"}, "print_iter_log should be true or false"),
        ({"kv_cache_config": "fp8"}, "kv_cache_config should be a section"),
        (
            {"cuda_graph_config": {"max_batch_siz": 8}},
            "cuda_graph_config.max_batch_siz is not known of release 1.2 (did you mean max_batch_size?)",
        ),
        ({"kv_cache_config": {"free_gpu_memory_fracton": 0.9}}, "(did you mean free_gpu_memory_fraction?)"),
        ({"moe_config": {"bckend": "TRTLLM"}}, "(did you mean backend?)"),
        ({"cuda_graph_config": {"batch_sizes": [1, 2, "foo"]}}, "batch_sizes should be a list of whole numbers >= 1"),
        ({"cuda_graph_config": {"batch_sizes": 7}}, "batch_sizes should be a list of whole numbers >= 1, got 7"),
        ({"cuda_graph_config": {"max_batch_size": -1}}, "cuda_graph_config.max_batch_size should be a whole number"),
        (
            {"max_batch_size": "1024"},
            "max_batch_size should be a whole number >= 0, got the text '1024'; write it without quotes",
        ),
        ({"print_iter_log": "true"}, "print_iter_log should be true or false, got the text 'true'; write it without"),
    ],
)
def test_names_and_types(options: dict[str, Any], expected: str) -> None:
    assert any(expected in text for text in report_of("trtllm-serve m", options).warnings)


def test_graphs_that_are_not_the_batch_limit() -> None:
    smaller = report_of("trtllm-serve m --max_batch_size 1024", {"cuda_graph_config": {"max_batch_size": 256}})
    assert smaller.warnings == [
        "cuda_graph_config.max_batch_size is 256 and the server's max_batch_size 1024: larger batches run without a "
        "graph; make them equal"
    ]
    larger = report_of("trtllm-serve m --max_batch_size 8", {"cuda_graph_config": {"batch_sizes": [1, 16, 4]}})
    assert "graphs are kept that no batch can use" in larger.warnings[0]
    old_name = report_of("trtllm-serve m --max_batch_size 8", {"cuda_graph_max_batch_size": 4})
    assert any("is 4 and the server's max_batch_size 8" in text for text in old_name.warnings)
    assert report_of("trtllm-serve m --max_batch_size 8", {"cuda_graph_config": {"max_batch_size": 8}}).warnings == []


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--tp_size two", "--tp_size should be a whole number >= 1, got two"),
        ("--max_batch_size 1.5", "--max_batch_size should be a whole number >= 1, got 1.5"),
        ("--max-batch-size=-1", "--max-batch-size should be a whole number >= 1, got -1"),
        ("--backend pytroch", "--backend should be one of pytorch, tensorrt, trt, _autodeploy (did you mean pytorch?), "
         "got pytroch"),
        ("--kv_cache_free_gpu_memory_fraction 90", "should be a share above 0, up to 1, such as 0.9, got 90"),
        ("--port --tp_size 2", "--port needs a value, and none follows"),
        ("--tp_size > log 2>&1", "--tp_size needs a value, and none follows"),
        ("--port 9999", "--port 9999 is not the port of url http://h:8001: nothing would answer there"),
    ],
)  # fmt: skip
def test_values_of_flags(flags: str, expected: str) -> None:
    server = Server(name="s", command=f"trtllm-serve m {flags}", url="http://h:8001")
    report = check_server_options(settle(Variant(server, {}, "s"), Path("out")), "1.2", server.url)
    assert report is not None
    (warning,) = report.warnings
    assert expected in warning


def test_values_that_will_do_or_that_the_shell_knows() -> None:
    good = "--tp_size $TP --max_batch_size=${N} --backend pytorch --kv_cache_free_gpu_memory_fraction 0.9 --port {port}"
    assert report_of(f"trtllm-serve m {good} --num_postprocess_workers 0").warnings == []
    assert report_of("trtllm-serve m", {"kv_cache_config": {"something_new": 1}, "moe_config": {"x": 1}}).warnings == []


def test_a_section_may_swallow_a_flag() -> None:
    report = report_of("trtllm-serve m --kv_cache_free_gpu_memory_fraction 0.8", {"kv_cache_config": {"dtype": "fp8"}})
    assert "write free_gpu_memory_fraction there too" in report.warnings[0]


@pytest.mark.parametrize(
    "command",
    [
        "trtllm-llmapi-launch trtllm-serve m --max_batch_siz 4",
        "srun -n 2 /opt/bin/trtllm-serve m --max_batch_siz=4 > log 2>&1",
        "python3 -m tensorrt_llm.commands.serve m --max_batch_siz 4",
        "srun -n 2 --mpi pmix trtllm-llmapi-launch python -m tensorrt_llm.commands.serve serve m --max_batch_siz 4",
        "srun trtllm-llmapi-launch trtllm-serve m --max_batch_siz 4",
        "docker exec trtllm bash -c 'trtllm-serve m --max_batch_siz 4'",
        ["trtllm-serve", "m", "--max_batch_siz", "4"],
        "trtllm-serve serve m \\\n  --max_batch_siz 4",
    ],
)
def test_the_server_is_found_behind_its_launcher(command: Any) -> None:
    (warning,) = report_of(command).warnings
    assert "(did you mean --max_batch_size?)" in warning


def test_a_file_that_the_command_names_is_read(tmp_path: Path) -> None:
    path = tmp_path / "o.yml"
    path.write_text("max_batch_size: 4\n")
    report = report_of(f"trtllm-serve m --extra_llm_api_options {path} --max_batch_size 8")
    assert report.effective["max_batch_size"] == 4


def test_options_without_a_place_are_refused() -> None:
    with pytest.raises(UsageError, match="names no file for them"):
        report_of("docker exec c bash -c 'python serve.py'", {"max_batch_size": 4})


def test_options_find_their_place_behind_the_module() -> None:
    report = report_of(["python", "-m", "tensorrt_llm.commands.serve", "m"], {"max_batch_size": 4})
    assert report.effective == {"max_batch_size": 4}


def test_other_servers_are_none_of_our_business() -> None:
    server = Server(name="s", command="vllm serve m --max-num-seqs 8")
    assert check_server_options(settle(Variant(server, {}, "s"), Path("out")), "1.2") is None
