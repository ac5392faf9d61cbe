"""The label of a `test_perf[...]` case: its whole configuration in one name."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from tokenclock.errors import UsageError

__all__ = ["Label", "LabelError", "parse_label"]


class LabelError(UsageError):
    """A label that cannot be read.

    Args:
        problem: one line: what was expected, what came, what is near.
        label: the whole text.
        position: of the offending token, from 0.
        length: of the offending token, 1 or more.
        correction: the label with the nearest match in the token's place; None: nothing is near.
    """

    def __init__(self, problem: str, label: str, position: int, length: int, correction: str | None = None) -> None:
        caret = " " * position + "^" * max(1, length)
        super().__init__(f"{problem} (at character {position + 1} of the label)\n  {label}\n  {caret}")
        self.problem, self.label, self.position, self.length = problem, label, position, max(1, length)
        self.correction = correction


@dataclass(frozen=True)
class Label:
    """Configuration of one case; a value left out of the label has the default given here.

    Args:
        model: name in the file of models; holds no hyphen.
        runtime: ``bench``, ``cpp``, ``cppmanager``, ``python`` or ``disagg_server``.
        subtype: device subtype.
        executor_api: ``exe``, of cppmanager.
        backend: empty (tensorrt), ``pytorch`` or ``_autodeploy``.
        streaming: measure TTFT and TPOT too.
        static_batching: of cppmanager.
        mode: of runtimes other than bench.
        dtype: such as ``float16``; None: not said.
        gpu_weights_percent: fraction of the weights on the GPU, in [0, 1]; None: off.
        multiple_profiles: ``mp``.
        max_batch_size: requests.
        max_num_tokens: tokens of a step.
        kv_frac: fraction of free GPU memory for the KV cache, in (0, 1].
        build_only: build an engine and measure nothing.
        batch_sizes: static batches, requests each; empty: none said.
        lengths: (ISL, OSL) in tokens; OSL is None for an encoder.
        beams, loras: counts.
        quant: quantization, empty: none.
        kv_cache_dtype: ``auto`` or ``fp8``.
        num_requests: of the data set.
        concurrency: requests in flight; None: no limit.
        ep, tp, pp, gpus: ranks; gpus is tp x pp.
        ctx_parallel, gen_parallel: of disaggregated cases, such as ``ctx_tp:2``.
    """

    model: str
    runtime: str
    subtype: str | None = None
    executor_api: bool = False
    backend: str = ""
    streaming: bool = False
    static_batching: bool = False
    mode: str = "plugin"
    dtype: str | None = None
    gpu_weights_percent: float | None = None
    multiple_profiles: bool = False
    max_batch_size: int = 512
    max_num_tokens: int = 2048
    kv_frac: float = 0.9
    build_only: bool = False
    batch_sizes: tuple[int, ...] = ()
    lengths: tuple[tuple[int, int | None], ...] = ()
    beams: int = 1
    loras: int = 0
    quant: str = ""
    kv_cache_dtype: str = "auto"
    num_requests: int = 512
    concurrency: int | None = None
    ep: int | None = None
    tp: int = 1
    pp: int = 1
    gpus: int = 1
    ctx_parallel: str | None = None
    gen_parallel: str | None = None

    def canonical(self) -> str:
        """The one spelling of this configuration: fixed order, `maxbs` and `maxnt` always, other defaults never."""
        return "-".join(self.tokens())

    def tokens(self) -> tuple[str, ...]:
        """The tokens of the canonical label, in order."""
        found = [
            self.model,
            self.subtype and f"subtype:{self.subtype}",
            self.runtime,
            self.ctx_parallel,
            self.gen_parallel,
            self.executor_api and "exe",
            self.backend,
            self.streaming and "streaming",
            self.static_batching and "static_batching",
            self.mode != "plugin" and self.mode,
            self.dtype,
            self.gpu_weights_percent is not None and f"gwp:{_number(self.gpu_weights_percent)}",
            self.multiple_profiles and "mp",
            f"maxbs:{self.max_batch_size}",
            f"maxnt:{self.max_num_tokens}",
            self.kv_frac != 0.9 and f"kv_frac:{_number(self.kv_frac)}",
            self.build_only and "build_only",
            self.batch_sizes and f"bs:{'+'.join(map(str, self.batch_sizes))}",
            self._lengths(),
            self.beams != 1 and f"beams:{self.beams}",
            self.loras != 0 and f"loras:{self.loras}",
            self.quant and f"quant:{self.quant}",
            self.kv_cache_dtype != "auto" and f"kv_cache_dtype:{self.kv_cache_dtype}",
            self.num_requests != 512 and f"reqs:{self.num_requests}",
            self.concurrency is not None and f"con:{self.concurrency}",
            self.ep is not None and f"ep:{self.ep}",
            self.tp > 1 and self.tp != self.gpus and f"tp:{self.tp}",
            self.pp > 1 and f"pp:{self.pp}",
            self.gpus > 1 and f"gpus:{self.gpus}",
        ]
        return tuple(token for token in found if isinstance(token, str) and token)

    def _lengths(self) -> str:
        if not self.lengths:
            return ""
        if all(output is None for _, output in self.lengths):
            return "input_len:" + "+".join(str(length) for length, _ in self.lengths)
        return "input_output_len:" + "+".join(f"{length},{output}" for length, output in self.lengths)


def _number(value: float) -> str:
    """Without exponent, whose minus sign would be a hyphen of the label."""
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def parse_label(text: str) -> Label:
    """Read a label, its tokens in any order behind the model's name.

    Raises:
        LabelError: says where, what was expected, and what is near.
    """
    from tokenclock.perftest.label_grammar import read_label

    return read_label(text)
