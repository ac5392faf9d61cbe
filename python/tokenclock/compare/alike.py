"""Which runs of two sides were measured at the same point, and what keeps two of them from being compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tokenclock.compare.run import Load, Run
from tokenclock.errors import UsageError

__all__ = ["LENGTH_TOLERANCE", "Pair", "match"]

LENGTH_TOLERANCE = 0.05
"""Mean lengths further apart than this are not the same work."""


@dataclass(frozen=True)
class Pair:
    """The runs of both sides at one point.

    Args:
        load: of the point.
        isl, osl: mean lengths of the base's runs; None when unknown.
        base, other: runs, one or more each.
        differences: what would have been refused without ``--force``.
    """

    load: Load
    isl: float | None
    osl: float | None
    base: tuple[Run, ...]
    other: tuple[Run, ...]
    differences: tuple[str, ...] = ()


@dataclass
class _Group:
    load: Load
    isl: float | None
    osl: float | None
    runs: list[Run]

    @property
    def name(self) -> str:
        lengths = ", ".join(
            f"{name} {value:.0f}" for name, value in (("ISL", self.isl), ("OSL", self.osl)) if value is not None
        )
        return f"{self.load}" + (f", {lengths}" if lengths else "")


def match(
    names: tuple[str, str], base: Sequence[Run], other: Sequence[Run], *, force: bool = False
) -> tuple[list[Pair], list[str]]:
    """Pairs in order of load, and what was left over, in words.

    Args:
        names: of the sides.
        base, other: their runs.
        force: compare what differs too; the differences are then in the pairs.

    Raises:
        UsageError: nothing is comparable; or, without ``force``, a pair that differs in its work. Names the difference.
    """
    left, right = _groups(base), _groups(other)
    found: list[tuple[_Group, _Group]] = []
    for wanted in (_alike, _same_load):
        for group in list(left):
            partner = next((one for one in right if wanted(group, one)), None)
            if partner is not None:
                found.append((group, partner))
                left.remove(group)
                right.remove(partner)
    if not found and force and len(left) == len(right) == 1:
        found.append((left.pop(), right.pop()))
    if not found:
        raise UsageError(
            f"nothing to compare: {names[0]} was measured at {_listed(left)}, {names[1]} at {_listed(right)}; "
            "measure both at the same points" + ("" if force else ", or give --force for one result a side")
        )
    pairs = []
    for mine, theirs in found:
        differences = _differences(names, mine, theirs)
        if differences and not force:
            raise UsageError(
                f"at {mine.load} {names[0]} and {names[1]} are not the same work: {'; '.join(differences)}; "
                "measure both alike, or give --force to compare all the same"
            )
        pairs.append(Pair(mine.load, mine.isl, mine.osl, tuple(mine.runs), tuple(theirs.runs), tuple(differences)))
    pairs.sort(key=lambda pair: _order(pair.load, pair.isl, pair.osl))
    lone = [
        f"{group.name}: only {name} was measured there"
        for name, side in zip(names, (left, right), strict=True)
        for group in side
    ]
    return pairs, lone


def _groups(runs: Sequence[Run]) -> list[_Group]:
    groups: list[_Group] = []
    for run in runs:
        single = _Group(run.load, run.isl, run.osl, [run])
        home = next((group for group in groups if _alike(group, single)), None)
        if home is None:
            groups.append(single)
        else:
            home.runs.append(run)
    return groups


def _same_load(one: _Group, other: _Group) -> bool:
    return one.load == other.load or _rate_unknown(one.load, other.load)


def _rate_unknown(one: Load, other: Load) -> bool:
    """Some tools do not write a rate where there was none; the concurrency is then what is known of both."""
    known = {load.request_rate for load in (one, other)} - {None, float("inf")}
    return not known and (one.concurrency, one.batch_size) == (other.concurrency, other.batch_size)


def _alike(one: _Group, other: _Group) -> bool:
    return _same_load(one, other) and _near(one.isl, other.isl) and _near(one.osl, other.osl)


def _near(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return True
    return abs(one - other) <= LENGTH_TOLERANCE * max(one, other)


def _differences(names: tuple[str, str], mine: _Group, theirs: _Group) -> list[str]:
    found = []
    if not _same_load(mine, theirs):
        found.append(f"{mine.load} against {theirs.load}")
    for what, one, other in (("mean ISL", mine.isl, theirs.isl), ("mean OSL", mine.osl, theirs.osl)):
        if not _near(one, other):
            found.append(f"{what} {one:.1f} against {other:.1f}")
    hashes = [{run.workload for run in group.runs} - {None} for group in (mine, theirs)]
    if hashes[0] and hashes[1] and not hashes[0] & hashes[1]:
        mine_hash, their_hash = (str(min(side, key=str))[:8] for side in hashes)
        found.append(
            f"the requests differ (workload {mine_hash} against {their_hash}: another dataset, seed or vocabulary)"
        )
    for key in sorted({key for group in (mine, theirs) for run in group.runs for key in run.endpoint}):
        values = [
            {run.endpoint[key] for run in group.runs if run.endpoint.get(key) is not None} for group in (mine, theirs)
        ]
        if values[0] and values[1] and values[0] != values[1]:
            texts = [", ".join(sorted(map(str, side))) for side in values]
            found.append(f"{key} {texts[0]} against {texts[1]}")
    return found


def _listed(groups: Sequence[_Group]) -> str:
    texts = [group.name for group in groups[:4]]
    return "; ".join(texts) + (" ..." if len(groups) > 4 else "")


def _order(load: Load, isl: float | None, osl: float | None) -> tuple[float, ...]:
    return tuple(
        -1.0 if value is None else float(value)
        for value in (load.batch_size, load.concurrency, load.request_rate, isl, osl)
    )
