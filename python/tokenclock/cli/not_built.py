"""Flags of the tools `serving` stands in for that it does not have yet: refused by name, never ignored."""

from __future__ import annotations

from collections.abc import Sequence

from tokenclock.errors import UsageError

__all__ = ["DATASETS", "refuse_flags"]

# A flag -> what to do instead; an empty text where there is nothing but waiting.
_FLAGS: dict[str, str] = {
    # the TensorRT-LLM client
    "--custom-tokenizer": "give a directory with a tokenizer.json by --tokenizer",
    "--use-beam-search": "the original accepts and ignores it: leave it out",
    # vLLM's client
    "--asr-max-audio-len-sec": "",
    "--asr-min-audio-len-sec": "",
    "--input-len": "use --random-input-len",
    "--no-self-timed": "leave it out: due times come from --request-rate",
    "--no-stream": "for replies in one piece use --non-streaming",
    "--output-len": "use --random-output-len",
    "--plot-dataset-stats": "",
    "--skip-tokenizer-init": "leave --tokenizer out",
    "--timeline-itl-thresholds": "the page of --plot-timeline shows all gaps by length",
    # SGLang's client
    "--apply-chat-template": "use --backend openai-chat",
    "--cache-report": "",
    "--dataset-offset": "use another --seed",
    "--disable-ignore-eos": "leave --ignore-eos out: it is off here unless asked for",
    "--disable-stream": "use --non-streaming",
    "--extra-request-body": "use --extra-body",
    "--fake-prefill": "",
    "--output-details": "use --save-detailed",
    "--output-file": "use --save-result --append-result with --result-filename",
    "--plot-throughput": "",
    "--print-requests": "",
    "--prompt-suffix": "",
    "--random-input": "use --random-input-len",
    "--random-output": "use --random-output-len",
    "--hf-name": "it is read off the columns: leave it out",
    "--lora-request-distribution": "use --lora-assignment random, zipf or round-robin",
    "--return-logprob": "use --logprobs N",
    "--rust-client": "leave it out: the client is native",
    "--rust-worker-threads": "use --workers",
    "--tag": "use --label",
    "--tokenize-prompt": "use --tokenize-on-client",
    "--warmup-requests": "use --num-warmups",
    # wanted by tokenclock's own design
    "--config": "give flags, or variables such as TOKENCLOCK_SERVING_SEED",
}
_REFUSED: dict[str, str] = {  # flags that will never do what the original's did
    "--download-path": "tokenclock never downloads data: fetch the file and name it by --dataset-path",
    "--download-timeout": "tokenclock never downloads data: fetch the file and name it by --dataset-path",
}
_FAMILIES: dict[str, str] = {
    "--blazedit-": "use --dataset-name random",
    "--gsp-": "use --random-prefix-len for one shared prefix",
    "--mooncake-": "use --dataset-name trace with --trace-speedup and --trace-end",
    "--prefix-repetition-": "use --random-prefix-len for one shared prefix",
    "--profile-": "set these in the server and use --profile",
    "--random-mm-": "use --dataset-name random",
    "--return-logprob-": "use --logprobs N",
    "--spec-bench-": "use --dataset-name random",
    "--speed-bench-": "use --dataset-name random",
    "--timed-trace-": "use --dataset-name trace",
    "--top-logprobs-": "use --logprobs N",
}
_VLLM_DATASETS = (
    *("random-mm", "random-rerank", "custom_image", "custom_audio", "prefix_repetition"),
    *("spec_bench", "speed_bench"),
)
_SGLANG_DATASETS = (
    *("agentic-trace", "openai", "random-ids", "generated-shared-prefix", "mmmu", "image"),
    *("longbench_v2", "speed-bench"),
)
DATASETS = frozenset((*_VLLM_DATASETS, *_SGLANG_DATASETS))  # not built


def refuse_flags(arguments: Sequence[str]) -> None:
    """Raise UsageError for the first flag that the originals have and this command does not have yet."""
    for argument in arguments:
        flag = argument.partition("=")[0]
        if not flag.startswith("--"):
            continue
        if flag in _REFUSED:
            raise UsageError(f"{flag} is refused: {_REFUSED[flag]}")
        families = [advice for family, advice in _FAMILIES.items() if flag.startswith(family)]
        if flag not in _FLAGS and not families:
            continue
        advice = _FLAGS[flag] if flag in _FLAGS else families[0]
        raise UsageError(f"{flag} is not built yet" + (f"; {advice}" if advice else ""))
