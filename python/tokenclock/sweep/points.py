"""The points of a sweep: which command runs against which server, where its result goes, and in what order."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenclock.errors import UsageError
from tokenclock.plan_checks import shown
from tokenclock.sweep.flags import RESERVED, Vocabulary, flag_words, is_output_flag
from tokenclock.sweep.schema import Expected, Server, Sweep
from tokenclock.sweep.yaml_file import YamlFile, expand

__all__ = ["Point", "Variant", "Visit", "make_point", "make_points", "make_variants", "n_points", "visits"]

_SERVER = "server."


@dataclass(frozen=True)
class Variant:
    """A server as it is started once: its options are settled.

    Args:
        server: what the YAML says of it.
        settings: `server.*` axis -> value.
        folder: of its results, below the result directory.
    """

    server: Server
    settings: Mapping[str, Any]
    folder: str


@dataclass(frozen=True)
class Point:
    """One run of the benchmark.

    Args:
        variant: the server it runs against.
        axes: axis -> value, `lengths` as `isl` and `osl`, those of the server included.
        repeat: from 1.
        stem: of its files' names.
        argv: words after `tokenclock`.
        expected_s: by the plan's own guess.
    """

    variant: Variant
    axes: Mapping[str, Any]
    repeat: int
    stem: str
    argv: tuple[str, ...]
    expected_s: float
    key: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", f"{self.variant.folder}/{self.stem}")

    @property
    def fingerprint(self) -> str:
        """Of everything that decides what it measures: a result of another one is none of this point."""
        server = self.variant.server
        asked = [self.argv, server.command, server.url, server.environment, server.extra_llm_api_options,
                 dict(self.variant.settings)]  # fmt: skip
        return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Visit:
    """One start of a server and the points that are run before it is stopped."""

    variant: Variant
    points: tuple[Point, ...]


def n_points(sweep: Sweep) -> int:
    """How many runs the matrix asks for."""
    total = len(sweep.servers) * sweep.repeat
    for values in sweep.matrix.values():
        total *= len(values)
    return total


def make_variants(sweep: Sweep, file: YamlFile) -> list[Variant]:
    """Every server under every combination of its own options."""
    axes = {name: values for name, values in sweep.matrix.items() if name.startswith(_SERVER)}
    variants = []
    for server, values in itertools.product(sweep.servers, itertools.product(*axes.values())):
        settings = dict(zip(axes, values, strict=True))
        if settings and server.command is None:
            name = next(iter(settings))
            raise file.error(("matrix", name), f"{name} needs servers that are started; {server.name} has no command")
        parts = [f"{name.removeprefix(_SERVER).rpartition('.')[2]}_{_safe(value)}" for name, value in settings.items()]
        variants.append(Variant(server, settings, "-".join([server.name, *parts])))
    folders = [variant.folder for variant in variants]
    if twice := next((folder for folder in folders if folders.count(folder) > 1), None):
        raise file.error(("matrix",), f"two points would write into the folder {twice}; name values that differ")
    return variants


def make_points(
    sweep: Sweep, file: YamlFile, variants: Sequence[Variant], words: Vocabulary, environment: Mapping[str, str]
) -> list[Point]:
    """Every point, repeats included, server by server.

    Raises:
        UsageError: a flag the command does not have, a value of the wrong form, or two points with the same files.
    """
    axes = {name: values for name, values in sweep.matrix.items() if not name.startswith(_SERVER)}
    first: dict[str, Any] = {}  # of a search only its first tries are known
    if sweep.search is not None:
        load = sweep.search.low
        first = {sweep.search.axis: int(load) if load == int(load) else load}
        for name in ("concurrency", "request_rate"):
            if name in axes:
                raise file.error(("matrix", name), f"{name} is what the search varies; leave it out of the matrix")
    more = sweep.search.flags if sweep.search is not None else {}
    points = []
    for variant in variants:
        for values in itertools.product(*axes.values()):
            loads = {**dict(zip(axes, values, strict=True)), **first}
            for repeat in range(1, sweep.repeat + 1):
                points.append(
                    make_point(
                        sweep,
                        file,
                        variant,
                        words,
                        environment,
                        loads,
                        repeat,
                        more=more,
                        try_number=1 if first else None,
                    )
                )
    keys = [point.key for point in points]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise file.error(("matrix",), f"two points would both write {twice}.json; leave out the value that is twice")
    return points


def make_point(
    sweep: Sweep,
    file: YamlFile,
    variant: Variant,
    words: Vocabulary,
    environment: Mapping[str, str],
    loads: Mapping[str, Any],
    repeat: int = 1,
    *,
    stem: str | None = None,
    n_requests: int | None = None,
    more: Mapping[str, Any] | None = None,
    try_number: int | None = None,
) -> Point:
    """One point: flags of the benchmark, over them those of its server, over them those of its axes, and `more`."""
    axes: dict[str, Any] = dict(variant.settings)
    chosen: dict[str, tuple[Any, tuple[Any, ...]]] = {}  # flag -> value, where it stands in the file
    index = sweep.servers.index(variant.server)
    for source, flags in ((("benchmark",), sweep.benchmark),
                          (("servers", index, "benchmark"), variant.server.benchmark)):  # fmt: skip
        for name, value in flags.items():
            if name not in RESERVED:
                chosen[_flag(words, name, file, (*source, name))] = (value, (*source, name))
    for name, value in loads.items():
        path = ("matrix", name)
        try:
            names = words.axis(name)
        except UsageError as error:
            raise file.error(path, str(error)) from None
        parts = _pair(value, file, path) if name == "lengths" else [value]
        axes |= dict(zip(("isl", "osl") if name == "lengths" else (name,), parts, strict=True))
        for flag, part in zip(names, parts, strict=True):
            chosen[_flag(words, flag, file, path)] = (part, path)
    _set_defaults(sweep, variant, words, chosen, repeat, file)
    for name, value in (more or {}).items():
        chosen[words.flag(name)] = (value, ())
    if n_requests is not None:
        chosen[words.flag(words.requests)] = (n_requests, ())
    argv = [words.command]
    for flag, (value, path) in chosen.items():
        try:
            argv += [expand(word, environment) for word in flag_words(flag, value)]
        except UsageError as error:
            raise file.error(path, str(error)) from None
    name = stem or _stem(sweep, axes, repeat) + (f"_try_{try_number}" if try_number is not None else "")
    argv += words.output(Path(expand(sweep.result_dir, environment)) / variant.folder, name)
    return Point(variant, axes, repeat, name, tuple(argv), _expected_s(sweep.expected, words, chosen))


def visits(sweep: Sweep, points: Sequence[Point]) -> list[Visit]:
    """In which order the points run.

    blocked: server by server, each point as often as asked. interleaved: every repeat visits each server in turn, the
    next one backwards, so that a slow drift of the machine falls on all alike; servers that run anyway take turns at
    every point.
    """
    variants = list({point.variant.folder: point.variant for point in points}.values())
    of = {variant.folder: [point for point in points if point.variant is variant] for variant in variants}
    if sweep.order == "blocked":
        return [Visit(variant, tuple(of[variant.folder])) for variant in variants]
    rounds: list[list[tuple[Variant, list[Point]]]] = []
    for repeat in range(1, sweep.repeat + 1):
        here = [(variant, [p for p in of[variant.folder] if p.repeat == repeat]) for variant in variants]
        if all(variant.server.command is None for variant in variants):
            rounds += [[(variant, [mine[n]]) for variant, mine in here] for n in range(len(here[0][1]))]
        else:
            rounds.append(here)
    return [
        Visit(variant, tuple(mine))
        for n, round_ in enumerate(rounds)
        for variant, mine in (round_ if n % 2 == 0 else round_[::-1])
    ]


def _set_defaults(
    sweep: Sweep,
    variant: Variant,
    words: Vocabulary,
    chosen: dict[str, tuple[Any, tuple[Any, ...]]],
    repeat: int,
    file: YamlFile,
) -> None:
    """What the sweep adds: the server's address, the number of requests, the seed of a repeat."""
    factor = variant.server.benchmark.get("prompts_per_concurrency", sweep.benchmark.get("prompts_per_concurrency"))
    if factor is not None:
        place = ("benchmark", "prompts_per_concurrency")
        concurrency = chosen.get(words.flag(words.concurrency), (None,))[0]
        if not _is_whole(factor) or factor < 1:
            raise file.error(place, f"prompts_per_concurrency must be a whole number >= 1, got {shown(factor)}")
        if words.flag(words.requests) in chosen:
            raise file.error(place, f"give prompts_per_concurrency or {words.requests}, not both")
        if not _is_whole(concurrency):
            raise file.error(place, "prompts_per_concurrency needs a concurrency; give concurrency in the matrix")
        chosen[words.flag(words.requests)] = (factor * concurrency, place)
    if words.url is not None and words.flag(words.url) not in chosen and "unix-socket" not in sweep.benchmark:
        chosen[words.flag(words.url)] = (variant.server.url, ())
    options = variant.server.extra_llm_api_options or {}
    if words.command == "serving" and options.get("return_perf_metrics") and options.get("perf_metrics_max_requests"):
        chosen.setdefault("--save-request-time-breakdown", (True, ()))
    if (sweep.vary_seed or sweep.search is not None) and words.seed is not None:
        flag = words.flag(words.seed)
        seed = chosen.get(flag, (0,))[0]
        if not _is_whole(seed):
            raise file.error(("vary_seed",), f"vary_seed needs a seed that is a whole number, got {shown(seed)}")
        chosen[flag] = (seed + repeat - 1, ("vary_seed",))


def _flag(words: Vocabulary, name: str, file: YamlFile, path: tuple[Any, ...]) -> str:
    if is_output_flag(name):
        raise file.error(path, f"{name} is set by the sweep itself, below result_dir; leave it out")
    try:
        return words.flag(name)
    except UsageError as error:
        raise file.error(path, str(error)) from None


def _pair(value: Any, file: YamlFile, path: tuple[Any, ...]) -> list[int]:
    parts = value.split(",") if isinstance(value, str) else value
    try:
        isl, osl = (int(part) for part in parts)
    except (TypeError, ValueError):
        raise file.error(path, f"lengths must be pairs such as [512, 128], got {shown(value)}") from None
    return [isl, osl]


def _stem(sweep: Sweep, axes: Mapping[str, Any], repeat: int) -> str:
    """`concurrency_16`; every further axis that has several values is named before it, the repeat after it."""
    several = {name for name, values in sweep.matrix.items() if len(values) > 1}
    if "lengths" in several:
        several |= {"isl", "osl"}
    parts = [
        f"{name.replace('-', '_')}_{_safe(value)}"
        for name, value in axes.items()
        if name in several and not name.startswith(_SERVER) and name not in ("concurrency", "request_rate")
    ]
    parts += [f"{name}_{_safe(axes[name])}" for name in ("request_rate", "concurrency") if name in axes]
    parts += [f"run_{repeat}"] if sweep.repeat > 1 else []
    return "_".join(parts) or "run"


def _safe(value: Any) -> str:
    text = "x".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", text).strip("-")[:60] or "none"


def _expected_s(expected: Expected, words: Vocabulary, chosen: Mapping[str, tuple[Any, Any]]) -> float:
    """Rounds of answers in a closed loop, or the schedule of an open one; of the guesses in `expected`."""

    def number(name: str | None, default: float) -> float:
        value = chosen.get(words.flag(name), (None,))[0] if name is not None else None
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else default

    answer_s = (expected.ttft + number(words.osl, 128.0) * expected.itl) / 1000.0
    requests = number(words.requests, 1000.0)
    rate, concurrency = number(words.request_rate, float("inf")), number(words.concurrency, requests)
    rounds = -(-requests // max(concurrency, 1.0))
    load_s = max(rounds * answer_s, requests / rate + answer_s if 0 < rate < float("inf") else 0.0)
    return float(load_s + expected.point)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
