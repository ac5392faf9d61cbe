"""The commands of a case: data set, build where there is one, benchmark; as the performance-test flow words them."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenclock.errors import UsageError
from tokenclock.perftest import metrics
from tokenclock.perftest.case import Case, ServerCase
from tokenclock.perftest.label import Label
from tokenclock.perftest.outcome import Cell
from tokenclock.perftest.refusal import DISAGGREGATED, NotRunHere
from tokenclock.perftest.settings import Settings

__all__ = ["OPTIONS_FILE", "Command", "commands_of", "model_of", "reads_options", "written_command"]

OPTIONS_FILE = "extra-llm-api-config.yml"
_DISAGGREGATED = ("disagg_upload-", "aggr_upload-ctx_only-")
_TINY_VOCABULARY = 2048
_LORA_STDEV = (16, 24)  # of input and output lengths
_WARM_UP, _NUM_RUNS, _DURATION_S = 2, 10, 2


@dataclass(frozen=True)
class Command:
    """One command of a case.

    Args:
        argv: its words; the first is ``tokenclock`` (run in this process), ``mpirun``, or another tool's name.
        stdout: file that standard output goes to; None: the case's log.
        what: ``dataset``, ``build``, ``server``, ``throughput``, ``benchmark`` or ``serving``.
        result: JSON that it writes; None where it writes none.
        cells: rows that it fills.
        external: it is another tool, whose log is read.
    """

    argv: tuple[str, ...]
    stdout: Path | None
    what: str
    result: Path | None = None
    cells: tuple[Cell, ...] = ()
    external: bool = False


def written_command(command: Command) -> str:
    """As one line of a shell."""
    line = shlex.join(command.argv)
    return line if command.stdout is None else f"{line} > {shlex.quote(str(command.stdout))}"


def commands_of(case: Case, settings: Settings, folder: Path, results: Path | None = None) -> list[Command]:
    """What a case runs, in order. Makes no file.

    Args:
        case: which.
        settings: of the session.
        folder: of the case: data sets, engines, options.
        results: folder of this repeat's results; default: `folder`.

    Raises:
        NotRunHere: a disaggregated case.
        UsageError: no such model, or a YAML of servers that is wrong.
    """
    results = results or folder
    if isinstance(case.label, ServerCase):
        if case.written.startswith(_DISAGGREGATED):
            raise NotRunHere(DISAGGREGATED)
        from tokenclock.perftest.server_case import server_commands

        return server_commands(case.label, settings, folder, results)
    label = case.label
    if label.runtime == "disagg_server":
        raise NotRunHere(DISAGGREGATED)
    model = model_of(label, settings)
    if label.runtime != "bench":
        return [_benchmark(label, model, settings, results)]
    build = _build(label, model, settings, folder)
    if label.build_only:
        return [build] if build is not None else []
    datasets = [_dataset(label, model, folder, pair) for pair in label.lengths]
    runs = [_throughput(label, model, settings, folder, results, pair, build is not None) for pair in label.lengths]
    return [*datasets, *([build] if build is not None else []), *runs]


def model_of(label: Label, settings: Settings) -> str:
    """Directory of the label's model, or ``tiny:...``. Raises UsageError where the models' file has no such name."""
    if label.model not in settings.models:
        known = ", ".join(sorted(settings.models)) or "none"
        raise UsageError(f"no model {label.model}: --perf-models maps names to directories, and knows {known}")
    return settings.models[label.model]


def reads_options(label: Label, settings: Settings, model: str) -> bool:
    """Whether the benchmark command is given `OPTIONS_FILE`: of the PyTorch backend, not of an embedded runtime."""
    return label.backend == "pytorch" and (settings.external or not _is_embedded(settings, model))


def _is_embedded(settings: Settings, model: str) -> bool:
    return model.startswith("tiny:") or settings.runtime not in (None, "trtllm-llm", "trtllm-engine")


def _file(stem: str, suffix: str, label: Label, pair: tuple[int, int | None]) -> str:
    """Each pair of lengths has files of its own; a single one the flow's names."""
    if len(label.lengths) == 1:
        return stem + suffix
    return f"{stem}_{'_'.join(str(length) for length in pair if length is not None)}{suffix}"


def _dataset(label: Label, model: str, folder: Path, pair: tuple[int, int | None]) -> Command:
    path = folder / _file("synthetic_data", ".json", label, pair)
    input_stdev, output_stdev = _LORA_STDEV if label.loras else (0, 0)
    lora = ["--rand-task-id", "0", str(label.loras - 1)] if label.loras else []
    words = [
        *("tokenclock", "prepare-dataset", "--stdout", *lora, _tokens(model)),
        *([f"--lora-dir={folder / 'loras'}"] if label.loras else []),
        "token-norm-dist",
        f"--num-requests={label.num_requests}",
        f"--input-mean={pair[0]}",
        f"--output-mean={pair[1] or 1}",
        f"--input-stdev={input_stdev}",
        f"--output-stdev={output_stdev}",
    ]
    return Command(tuple(words), path, "dataset")


def _tokens(model: str) -> str:
    """The flag that says which token ids there are: the tokenizer's where there is one, else the model's."""
    if model.startswith("tiny:"):
        return f"--vocab-size={_TINY_VOCABULARY}"
    folder = Path(model)
    if not (folder / "tokenizer.json").is_file() and (size := _vocabulary(folder)) is not None:
        return f"--vocab-size={size}"
    return f"--tokenizer={model}"


def _vocabulary(folder: Path) -> int | None:
    config = _config(folder)
    for part in (config, config.get("pretrained_config"), config.get("text_config")):
        if isinstance(part, dict) and isinstance(part.get("vocab_size"), int):
            return int(part["vocab_size"])
    return None


def _config(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_engine(model: str) -> bool:
    return any(Path(model).glob("rank*.engine"))


def _build(label: Label, model: str, settings: Settings, folder: Path) -> Command | None:
    """trtllm-bench's own; None where nothing is to be built."""
    if label.backend != "" or _is_engine(model) or (_is_embedded(settings, model) and not settings.external):
        return None
    longest = [max(pair[side] or 0 for pair in label.lengths) for side in (0, 1)] if label.lengths else None
    words = [
        *("trtllm-bench", "--log_level=info", f"--workspace={folder}", f"--model={label.model}_hf"),
        *(f"--model_path={model}", "build", f"--tp_size={label.tp}", f"--pp_size={label.pp}"),
        *([f"--max_seq_len={sum(longest)}"] if longest else []),
        *(f"--max_batch_size={label.max_batch_size}", f"--max_num_tokens={label.max_num_tokens}"),
        *([f"--quantization={label.quant.upper()}"] if label.quant else []),
    ]
    cell = Cell(label.canonical(), "", metrics.metric_types(metrics.BUILD, streaming=False))
    return Command(tuple(words), None, "build", cells=(cell,), external=True)


def _throughput(
    label: Label,
    model: str,
    settings: Settings,
    folder: Path,
    results: Path,
    pair: tuple[int, int | None],
    is_built: bool,
) -> Command:
    report = results / _file("report", ".json", label, pair)
    engine = f"{folder}/{label.model}_hf/tp_{label.tp}_pp_{label.pp}" if is_built else model
    words = [
        *_program(label, settings, "trtllm-bench"),
        *(f"--model={label.model}_hf", f"--model_path={model}", "throughput"),
        f"--dataset={folder / _file('synthetic_data', '.json', label, pair)}",
        f"--max_batch_size={label.max_batch_size}",
        f"--max_num_tokens={label.max_num_tokens}",
        f"--report_json={report}",
        f"--kv_cache_free_gpu_mem_fraction={label.kv_frac:g}",
        *_backend(label, settings, model, engine),
        *([f"--num_requests={label.num_requests}"] if label.num_requests > 0 else []),
        *([f"--concurrency={label.concurrency}"] if label.concurrency is not None else []),
        *([f"--ep={label.ep}"] if label.ep is not None else []),
        *([f"--tp={label.tp}"] if label.tp > 1 else []),
        *([f"--pp={label.pp}"] if label.pp > 1 else []),
        *(["--streaming"] if label.streaming else []),
        *([f"--extra_llm_api_options={folder / OPTIONS_FILE}"] if reads_options(label, settings, model) else []),
        *([] if settings.external else ["--disable-tqdm"]),
    ]
    types = metrics.metric_types(metrics.THROUGHPUT, streaming=label.streaming)
    cell = _cell(label, types, None, pair)
    result = report.with_name(f"{report.stem}.tokenclock.json") if settings.external else report
    return Command(tuple(words), None, metrics.THROUGHPUT, result, (cell,), settings.external)


def _backend(label: Label, settings: Settings, model: str, engine: str) -> list[str]:
    if not settings.external:
        if settings.runtime is not None:
            return [f"--runtime={settings.runtime}"]
        if model.startswith("tiny:"):
            return []
    if label.backend == "":
        return ["--backend=tensorrt", f"--engine_dir={engine}"]
    return [f"--backend={label.backend}"]


def _program(label: Label, settings: Settings, external: str) -> list[str]:
    if settings.external:
        return [external]
    return [*(["mpirun", "-n", str(label.gpus)] if label.gpus > 1 else []), "tokenclock"]


def _benchmark(label: Label, model: str, settings: Settings, results: Path) -> Command:
    batch_sizes = tuple(size for size in label.batch_sizes if size > 0) or (8,)
    has_output = any(pair[1] is not None for pair in label.lengths)
    lengths = ";".join(",".join(str(length) for length in pair if length is not None) for pair in label.lengths)
    dtype = label.dtype if label.dtype in ("float16", "bfloat16", "float32") else None
    result = results / "benchmark.json"
    words = [
        *_program(label, dataclasses.replace(settings, external=False), ""),
        *("benchmark", "-m", _family(model) if has_output else "enc", f"--engine_dir={model}"),
        *([f"--runtime={settings.runtime}"] if settings.runtime is not None else []),
        *([f"--dtype={dtype}"] if dtype is not None and not _is_embedded(settings, model) else []),
        f"--batch_size={';'.join(map(str, batch_sizes))}",
        f"--{'input_output_len' if has_output else 'input_len'}={lengths}",
        *([f"--num_beams={label.beams}"] if label.beams > 1 else []),
        *([f"--gpu_weights_percent={label.gpu_weights_percent:g}"] if label.gpu_weights_percent is not None else []),
        *([f"--tp={label.tp}"] if label.tp > 1 else []),
        *([f"--pp={label.pp}"] if label.pp > 1 else []),
        *(f"--warm_up={_WARM_UP}", f"--num_runs={_NUM_RUNS}", f"--duration={_DURATION_S}"),
        *(["--streaming"] if label.streaming else []),
        f"--json={result}",
    ]
    types = metrics.metric_types(metrics.BENCHMARK, streaming=label.streaming)
    if not has_output:
        types = tuple(name for name in types if name != "TOKEN_THROUGHPUT")
    cells = [_cell(label, types, size, pair) for pair in label.lengths for size in batch_sizes]
    return Command(tuple(words), None, metrics.BENCHMARK, result, tuple(cells))


def _family(model: str) -> str:
    is_pair = model == "tiny:t5" or bool(_config(Path(model)).get("is_encoder_decoder"))
    return "enc-dec" if is_pair else "dec"


def _cell(label: Label, types: Sequence[str], batch_size: int | None, pair: tuple[int, int | None]) -> Cell:
    """Rows of one combination: its batch size and lengths take the place of the label's."""
    sizes = () if batch_size is None or not label.batch_sizes else (batch_size,)
    own = dataclasses.replace(label, lengths=(pair,), batch_sizes=sizes or label.batch_sizes)
    parts = [f"bs:{batch_size}"] if batch_size is not None and len(label.batch_sizes) > 1 else []
    if len(label.lengths) > 1:
        parts.append(",".join(str(length) for length in pair if length is not None))
    suffix = f"[{','.join(parts)}]" if parts else ""
    return Cell(own.canonical(), suffix, tuple(types), batch_size or 0, pair)
