"""The ranks of a run and what they say to each other; without MPI a world of one."""

from tokenclock.parallel.joining import connect
from tokenclock.parallel.world import OneProcess, RankLost, World

__all__ = ["OneProcess", "RankLost", "World", "connect"]
