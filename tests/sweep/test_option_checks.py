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
        ({"max_batch_size": "many"}, "max_batch_size should be a whole number, got many"),
        ({"print_iter_log": "yes please"}, "print_iter_log should be true or false"),
        ({"kv_cache_config": "fp8"}, "kv_cache_config should be a section"),
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


def test_a_section_may_swallow_a_flag() -> None:
    report = report_of("trtllm-serve m --kv_cache_free_gpu_memory_fraction 0.8", {"kv_cache_config": {"dtype": "fp8"}})
    assert "write free_gpu_memory_fraction there too" in report.warnings[0]


@pytest.mark.parametrize(
    "command",
    [
        "trtllm-llmapi-launch trtllm-serve m --max_batch_siz 4",
        "srun -n 2 /opt/bin/trtllm-serve m --max_batch_siz=4 > log 2>&1",
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


def test_other_servers_are_none_of_our_business() -> None:
    server = Server(name="s", command="vllm serve m --max-num-seqs 8")
    assert check_server_options(settle(Variant(server, {}, "s"), Path("out")), "1.2") is None
