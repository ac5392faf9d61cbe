"""From the matrix to points: the words of each command, the names of its files, and how long it may take."""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenclock.errors import UsageError
from tokenclock.plan_checks import shown
from tokenclock.sweep.flags import RESERVED, Vocabulary, flag_words, is_address_flag, is_output_flag
from tokenclock.sweep.points import SERVER_AXIS, Point, Variant, file_word
from tokenclock.sweep.schema import Sweep
from tokenclock.sweep.yaml_file import YamlFile, expand

__all__ = ["PointMaker"]

Chosen = dict[str, tuple[Any, tuple[Any, ...]]]
"""Flag -> its value, and where that stands in the file (empty: the sweep chose it)."""

_AXES = ("concurrency", "request_rate", "lengths")
_LOADS = ("request_rate", "concurrency")


@dataclass(frozen=True)
class PointMaker:
    """Makes the points of one sweep.

    Args:
        sweep, file: as read.
        words: the vocabulary of the benchmark's command.
        environment: for `${NAME}`.
        result_dir: of all results.
    """

    sweep: Sweep
    file: YamlFile
    words: Vocabulary
    environment: Mapping[str, str]
    result_dir: Path

    def all(self, variants: Sequence[Variant]) -> list[Point]:
        """Every point, repeats included, server by server; of a search only the first tries, the others depend on them.

        Raises:
            UsageError: a flag the command does not have, a value of the wrong form, or two points with the same files.
        """
        axes, search = self.axes, self.sweep.search
        if search is not None:
            for name in axes:
                if self.words.axis_name(name) in _LOADS:
                    raise self.file.error(
                        ("matrix", name), f"{name} is what a search varies; leave it out of the matrix"
                    )
        points = []
        for variant in variants:
            for values in itertools.product(*axes.values()):
                loads = dict(zip(axes, values, strict=True))
                if search is not None:
                    points.append(self.a_try(variant, loads, search.low, 1))
                    continue
                points += [self.point(variant, loads, repeat) for repeat in range(1, self.sweep.repeat + 1)]
        keys = [point.key for point in points]
        if len(set(keys)) < len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise self.file.error(
                ("matrix",), f"two points would both write {twice}.json; leave out the value that is twice"
            )
        return points

    @property
    def axes(self) -> dict[str, list[Any]]:
        """Axes of the matrix that vary the load, not the server."""
        return {name: values for name, values in self.sweep.matrix.items() if not name.startswith(SERVER_AXIS)}

    def point(self, variant: Variant, loads: Mapping[str, Any], repeat: int) -> Point:
        """A point of the matrix."""
        chosen, axes = self._chosen(variant, loads)
        if self.sweep.vary_seed:
            self._shift_seed(chosen, repeat - 1)
        return self._made(variant, axes, repeat, chosen, self._stem(axes, repeat))

    def a_try(self, variant: Variant, others: Mapping[str, Any], load: float, number: int) -> Point:
        """One run of a search: other prompts each time, so that no cache answers, and the limits as goodput's."""
        search = self.sweep.search
        assert search is not None
        loads = {**others, search.axis: int(load) if load == int(load) else load}
        chosen, axes = self._chosen(variant, loads)
        self._shift_seed(chosen, number - 1)
        for name, value in search.flags.items():
            chosen[self.words.flag(name)] = (value, ())
        return self._made(variant, axes, number, chosen, f"{self._stem(axes, number)}_try_{number}")

    def warm_up(self, like: Point, n_requests: int) -> Point:
        """A run of a few requests with the flags of a point; its files are called `warmup`."""
        axes = {name: value for name, value in like.axes.items() if not name.startswith(SERVER_AXIS)}
        if "isl" in axes:
            axes["lengths"] = [axes.pop("isl"), axes.pop("osl")]
        chosen, _ = self._chosen(like.variant, axes)
        chosen[self.words.flag(self.words.requests)] = (n_requests, ())
        return self._made(like.variant, like.axes, 1, chosen, "warmup")

    def _chosen(self, variant: Variant, loads: Mapping[str, Any]) -> tuple[Chosen, dict[str, Any]]:
        """Flags of the benchmark, over them those of its server, over them those of its axes; and the axes by name."""
        chosen: Chosen = {}
        axes: dict[str, Any] = dict(variant.settings)
        names = [server.name for server in self.sweep.servers]
        own = ("servers", names.index(variant.server.name), "benchmark")
        for source, flags in ((("benchmark",), self.sweep.benchmark), (own, variant.server.benchmark)):
            for name, value in flags.items():
                if name not in RESERVED:
                    place = (*source, name)
                    chosen[self._flag(name, place)] = (value, place)
        for name, value in loads.items():
            place = ("matrix", name)
            name = self.words.axis_name(name)
            try:
                flags_of_axis = self.words.axis(name)
            except UsageError as error:
                raise self.file.error(place, str(error)) from None
            if name == "concurrency" and (not _is_whole(value) or value < 1):
                place = (*place, self.axes[place[1]].index(value)) if value in self.axes.get(place[1], ()) else place
                raise self.file.error(place, f"concurrency must be a whole number >= 1, got {shown(value)}")
            parts = self._pair(value, place) if name == "lengths" else [value]
            axes |= dict(zip(("isl", "osl") if name == "lengths" else (name,), parts, strict=True))
            for flag, part in zip(flags_of_axis, parts, strict=True):
                chosen[self._flag(flag, place)] = (part, place)
        self._add_defaults(variant, chosen)
        return chosen, axes

    def _add_defaults(self, variant: Variant, chosen: Chosen) -> None:
        """What the sweep adds: the number of requests, the server's address, its own times."""
        server, words = variant.server, self.words
        factor = server.benchmark.get("prompts_per_concurrency", self.sweep.benchmark.get("prompts_per_concurrency"))
        if factor is not None:
            place = ("benchmark", "prompts_per_concurrency")
            concurrency = chosen.get(words.flag(words.concurrency), (None,))[0]
            if not _is_whole(factor) or factor < 1:
                raise self.file.error(place, f"{place[-1]} must be a whole number >= 1, got {shown(factor)}")
            if words.flag(words.requests) in chosen:
                raise self.file.error(place, f"give prompts_per_concurrency or {words.requests}, not both")
            if not _is_whole(concurrency):
                raise self.file.error(place, f"{place[-1]} needs a concurrency; give concurrency in the matrix")
            chosen[words.flag(words.requests)] = (factor * concurrency, place)
        if "--unix-socket" not in chosen:
            chosen.setdefault(words.flag(words.url), (server.url, ()))
        options = server.extra_llm_api_options or {}
        if (
            words.command == "serving"
            and options.get("return_perf_metrics")
            and options.get("perf_metrics_max_requests")
        ):
            chosen.setdefault("--save-request-time-breakdown", (True, ()))

    def _shift_seed(self, chosen: Chosen, by: int) -> None:
        if self.words.seed is None:
            raise self.file.error(("vary_seed",), f"tokenclock {self.words.command} draws nothing from a seed")
        flag = self.words.flag(self.words.seed)
        seed, place = chosen.get(flag, (0, ()))
        if not _is_whole(seed):
            raise self.file.error(place, f"the seed must be a whole number to be varied, got {shown(seed)}")
        chosen[flag] = (seed + by, place)

    def _made(self, variant: Variant, axes: Mapping[str, Any], repeat: int, chosen: Chosen, stem: str) -> Point:
        argv = [self.words.command]
        for flag, (value, place) in chosen.items():
            try:
                argv += [expand(word, self.environment) for word in flag_words(flag, value)]
            except UsageError as error:
                raise self.file.error(place, str(error)) from None
        argv += self.words.output(self.result_dir / variant.folder, stem)
        load_s, answer_s = self._expected(chosen)
        expected_s = load_s + self.sweep.expected.point
        return Point(variant, axes, repeat, stem, tuple(argv), expected_s, load_s / answer_s if answer_s else math.inf)

    def _flag(self, name: str, place: tuple[Any, ...]) -> str:
        if is_output_flag(name):
            raise self.file.error(place, f"{name} is set by the sweep itself, below result_dir; leave it out")
        if is_address_flag(name):
            raise self.file.error(place, f"{name} is set by the sweep itself, from each server's url; leave it out")
        if name.lstrip("-").replace("_", "-") == "unix-socket" and place[0] != "servers":
            raise self.file.error(
                place, f"{name} is of one server, not of all; give it under benchmark of that entry of servers"
            )
        try:
            return self.words.flag(name)
        except UsageError as error:
            near = difflib.get_close_matches(name.replace("-", "_"), _AXES, n=1) if place[0] == "matrix" else []
            said = f"{name} is no axis of the matrix (did you mean {near[0]}?)" if near else str(error)
            raise self.file.error(place, said) from None

    def _pair(self, value: Any, place: tuple[Any, ...]) -> list[int]:
        parts = value.split(",") if isinstance(value, str) else value
        try:
            isl, osl = (int(part) for part in parts)
        except (TypeError, ValueError):
            raise self.file.error(place, f"lengths must be pairs such as [512, 128], got {shown(value)}") from None
        return [isl, osl]

    def _stem(self, axes: Mapping[str, Any], repeat: int) -> str:
        """`concurrency_16`; every further axis that has several values is named before it, the repeat after it."""
        several = {self.words.axis_name(name) for name, values in self.axes.items() if len(values) > 1}
        if "lengths" in several:
            several |= {"isl", "osl"}
        parts = [
            f"{name.replace('-', '_')}_{file_word(value)}"
            for name, value in axes.items()
            if name in several and name not in _LOADS
        ]
        parts += [f"{name}_{file_word(axes[name])}" for name in _LOADS if name in axes]
        parts += [f"run_{repeat}"] if self.sweep.repeat > 1 else []
        return "_".join(parts) or "run"

    def _expected(self, chosen: Chosen) -> tuple[float, float]:
        """Length of the load, and of one answer, in s: rounds of answers in a closed loop, or the schedule of an open
        one; of the guesses in `expected`."""

        def number(name: str | None, default: float) -> float:
            value = chosen.get(self.words.flag(name), (None,))[0] if name is not None else None
            return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else default

        expected, words = self.sweep.expected, self.words
        answer_s = (expected.ttft + number(words.osl, 128.0) * expected.itl) / 1000.0
        requests = number(words.requests, 1000.0)
        rate, concurrency = number(words.request_rate, float("inf")), number(words.concurrency, requests)
        rounds = -(-requests // max(concurrency, 1.0))
        load_s = max(rounds * answer_s, requests / rate + answer_s if 0 < rate < float("inf") else 0.0)
        return float(load_s), float(answer_s)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
