"""What a request file is to hold: frozen values, checked here; messages name them by their flags."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from tokenclock.plan_checks import LONGEST, MOST_REQUESTS, is_number, require, require_int, require_length

__all__ = [
    "HistLengths",
    "Lengths",
    "LoraPlan",
    "MixLengths",
    "NormLengths",
    "PrefixPlan",
    "PreparePlan",
    "RealData",
    "SessionPlan",
    "UnifLengths",
    "source_name",
]

LARGEST_VOCABULARY = 10_000_000  # ids of seven digits, which is what the writer has room for


def require_number(flag: str, value: object, lowest: float, unit: str) -> None:
    ok = is_number(value) and lowest <= float(value) < math.inf  # type: ignore[arg-type]
    require(ok, flag, f"{unit} >= {lowest:g}", value)


@dataclass(frozen=True)
class NormLengths:
    """Normal lengths in tokens, rounded, 1 at least; `lognormal` makes them lognormal of the same mean and spread."""

    input_mean: float
    input_stdev: float
    output_mean: float
    output_stdev: float
    lognormal: bool = False

    def __post_init__(self) -> None:
        for name in ("input", "output"):
            mean, stdev = getattr(self, f"{name}_mean"), getattr(self, f"{name}_stdev")
            require_number(f"--{name}-mean", mean, 1, "tokens")
            require(mean <= LONGEST, f"--{name}-mean", f"at most {LONGEST} tokens", mean)
            require_number(f"--{name}-stdev", stdev, 0, "tokens")
            require(stdev <= LONGEST, f"--{name}-stdev", f"at most {LONGEST} tokens", stdev)


@dataclass(frozen=True)
class UnifLengths:
    """Uniform lengths in tokens, both ends included."""

    input_min: int
    input_max: int
    output_min: int
    output_max: int

    def __post_init__(self) -> None:
        for name in ("input", "output"):
            low, high = getattr(self, f"{name}_min"), getattr(self, f"{name}_max")
            require_length(f"--{name}-min", low, 1)
            require_length(f"--{name}-max", high, 1)
            require(low <= high, f"--{name}-min", f"at most --{name}-max {high}", low)


@dataclass(frozen=True)
class MixLengths:
    """A mixture: each row's component is drawn by weight, then its lengths from that component."""

    components: tuple[tuple[float, NormLengths], ...]  # weight > 0, lengths

    def __post_init__(self) -> None:
        require(bool(self.components), "--component", "given at least once", "none")
        for weight, _ in self.components:
            ok = is_number(weight) and 0 < weight < math.inf
            require(ok, "--component", "a weight > 0 before its lengths", weight)


@dataclass(frozen=True)
class HistLengths:
    """Lengths of a recorded trace, rows drawn with replacement."""

    trace: str  # file
    trace_format: str = "auto"
    independent: bool = False  # draw input and output lengths from different rows

    def __post_init__(self) -> None:
        require(bool(self.trace), "--trace", "a file", self.trace)


Lengths = NormLengths | UnifLengths | MixLengths | HistLengths


@dataclass(frozen=True)
class RealData:
    """Prompts of recorded data on this machine."""

    path: str
    subset: str | None = None
    split: str | None = None
    prompt_key: str | None = None  # column with each row's prompt
    prompt: str | None = None  # or one prompt for all rows
    input_key: str | None = None  # column that follows the prompt, after a blank
    output_key: str | None = None  # column with the answer, whose length is asked for
    image_key: str = "image"
    output_len_dist: tuple[float, float] | None = None  # mean, standard deviation; in place of the answers' lengths
    media_dir: str | None = None  # where pictures go that the data holds in itself

    def __post_init__(self) -> None:
        require(bool(self.path), "--dataset-name", "a file or directory on this machine", self.path)
        both = (self.prompt_key is None) == (self.prompt is None)
        got = "neither" if self.prompt is None else "both"
        require(not both, "--dataset-prompt-key or --dataset-prompt", "given, and only one of them", got)
        known = self.output_key is not None or self.output_len_dist is not None
        require(
            known,
            "--dataset-output-key or --output-len-dist",
            "given",
            "neither",
            "one of them says how long answers are",
        )
        if self.output_len_dist is not None:
            mean, stdev = self.output_len_dist
            require_number("--output-len-dist", mean, 1, "a mean in tokens")
            require_number("--output-len-dist", stdev, 0, "a standard deviation in tokens")


def source_name(source: Lengths | RealData) -> str:
    """The command's word for it, such as `token-norm-dist`."""
    if isinstance(source, NormLengths):
        return "token-lognorm-dist" if source.lognormal else "token-norm-dist"
    words: dict[type, str] = {
        UnifLengths: "token-unif-dist",
        MixLengths: "token-mix-dist",
        HistLengths: "token-hist-dist",
        RealData: "dataset",
    }
    return words[type(source)]


@dataclass(frozen=True)
class LoraPlan:
    """Which adapter each row asks for, by number."""

    task_id: int = -1  # for all rows; -1: none
    rand_task_id: tuple[int, int] | None = None  # lowest and highest, both included; a row that draws -1 has none
    zipf: float = 0.0  # 0: uniform; else adapter k of the range (k from 1) is drawn in proportion to k ** -zipf
    directory: str | None = None  # holds one folder per id

    def __post_init__(self) -> None:
        require_int("--task-id", self.task_id, -1, highest=2**31 - 1)
        if self.rand_task_id is not None:
            low, high = self.rand_task_id
            require_int("--rand-task-id", low, -1, highest=2**31 - 1)
            require_int("--rand-task-id", high, -1, highest=2**31 - 1)
            require(low <= high, "--rand-task-id", "LOWEST HIGHEST", f"{low} {high}")
            require(high - low < 1_000_000, "--rand-task-id", "a range of a million ids at most", f"{low} {high}")
            require(self.task_id == -1, "--task-id", "left out with --rand-task-id", self.task_id)
        require_number("--lora-zipf", self.zipf, 0, "an exponent")
        require(self.zipf == 0 or self.rand_task_id is not None, "--lora-zipf", "given with --rand-task-id", self.zipf)

    @property
    def asked(self) -> bool:
        """Whether any row has an adapter."""
        return self.task_id != -1 or self.rand_task_id is not None


@dataclass(frozen=True)
class PrefixPlan:
    """Beginnings that rows share."""

    count: int = 0  # different prefixes; 0: none
    length: int = 0  # tokens of each, added to the row's drawn length
    zipf: float = 0.0  # 0: uniform; else prefix k (k from 1) is drawn in proportion to k ** -zipf

    def __post_init__(self) -> None:
        require_int("--num-prefixes", self.count, 0, highest=1_000_000)
        require_length("--prefix-len", self.length, 0)
        both = (self.count > 0) == (self.length > 0)
        require(both, "--num-prefixes and --prefix-len", "given together", f"{self.count} and {self.length}")
        require_number("--prefix-zipf", self.zipf, 0, "an exponent")
        require(self.zipf == 0 or self.count > 0, "--prefix-zipf", "given with --num-prefixes", self.zipf)
        require(
            self.count * self.length <= 100_000_000,
            "--num-prefixes times --prefix-len",
            "at most 100000000 tokens, which are kept in memory",
            self.count * self.length,
        )


@dataclass(frozen=True)
class SessionPlan:
    """Conversations of several rows; a row's delay counts from the end of the answer before."""

    turns_mean: float = 1.0  # rows of a session; 1: no sessions
    turns_stdev: float = 0.0
    delay_mean_ms: float = 0.0
    delay_stdev_ms: float = 0.0

    def __post_init__(self) -> None:
        require_number("--session-turns-mean", self.turns_mean, 1, "rows")
        require_number("--session-turns-stddev", self.turns_stdev, 0, "rows")
        for flag, turns in (("--session-turns-mean", self.turns_mean), ("--session-turns-stddev", self.turns_stdev)):
            require(turns <= MOST_REQUESTS, flag, f"at most {MOST_REQUESTS} rows", turns)
        require_number("--session-turn-delay-mean", self.delay_mean_ms, 0, "ms")
        require_number("--session-turn-delay-stddev", self.delay_stdev_ms, 0, "ms")
        alone = self.turns_mean == 1 and self.turns_stdev == 0
        delayed = self.delay_mean_ms > 0 or self.delay_stdev_ms > 0
        require(
            not (alone and delayed), "--session-turn-delay-mean", "given with --session-turns-mean", self.delay_mean_ms
        )

    @property
    def asked(self) -> bool:
        """Whether rows belong to sessions at all."""
        return self.turns_mean > 1 or self.turns_stdev > 0


@dataclass(frozen=True)
class PreparePlan:
    """One request file."""

    source: Lengths | RealData
    num_requests: int | None  # None: all rows of the recorded data
    seed: int = 420
    tokenizer: str | None = None  # directory
    tokenizer_mode: str = "auto"
    trust_remote_code: bool = False
    vocab_size: int | None = None  # ids below it are drawn where there is no tokenizer
    eos_ids: tuple[int, ...] = ()  # never drawn
    max_input_len: int | None = None  # synthetic: longer rows are cut to it; recorded: left out
    max_output_len: int | None = None
    lora: LoraPlan = field(default_factory=LoraPlan)
    prefixes: PrefixPlan = field(default_factory=PrefixPlan)
    sessions: SessionPlan = field(default_factory=SessionPlan)
    request_rate: float = math.inf  # rows, or sessions, per second; inf: no times are written
    burstiness: float = 1.0  # shape of the gamma gaps; 1: Poisson
    compat: bool = False  # the original's draws

    def __post_init__(self) -> None:
        if self.num_requests is not None:
            require_int("--num-requests", self.num_requests, 1, highest=10 * MOST_REQUESTS)
        real = isinstance(self.source, RealData)
        require(real or self.num_requests is not None, "--num-requests", "given", "none")
        require_int("--random-seed", self.seed, 0, highest=2**32 - 1 if self.compat else 2**63 - 1)
        if self.vocab_size is not None:
            require_int("--vocab-size", self.vocab_size, 16, highest=LARGEST_VOCABULARY)
        for eos in self.eos_ids:
            require_int("--eos-id", eos, 0, highest=LARGEST_VOCABULARY)
        for flag, limit in (("--max-input-len", self.max_input_len), ("--max-output-len", self.max_output_len)):
            if limit is not None:
                require_length(flag, limit)
        require(
            self.max_input_len is None or self.prefixes.length < self.max_input_len,
            "--prefix-len",
            f"below --max-input-len {self.max_input_len}",
            self.prefixes.length,
        )
        rate = self.request_rate
        require(is_number(rate) and rate > 0, "--request-rate", "rows per second > 0", rate)
        shape = self.burstiness
        ok = is_number(shape) and 0 < shape < math.inf
        require(ok, "--burstiness", "a number > 0", shape, "1 is Poisson, below 1 burstier, above 1 more regular")
        require(
            shape == 1.0 or math.isfinite(rate),
            "--burstiness",
            "given with --request-rate",
            shape,
            "it shapes its gaps",
        )
        if self.compat:
            self._check_compat()

    def _check_compat(self) -> None:
        """The original knows neither of these, so there are no draws of its to reproduce."""
        source = self.source
        known = isinstance(source, (UnifLengths, RealData)) or (
            isinstance(source, NormLengths) and not source.lognormal
        )
        require(
            known,
            "--compat",
            "given with the original's distributions",
            source_name(source),
        )
        for flag, given in (
            ("--num-prefixes", self.prefixes.count > 0),
            ("--session-turns-mean", self.sessions.asked),
            ("--lora-zipf", self.lora.zipf > 0),
        ):
            require(not given, "--compat", f"left out with {flag}", "both", "the original has no such draws")
