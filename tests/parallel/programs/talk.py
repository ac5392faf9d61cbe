"""Every word that ranks can say to each other, checked by each rank."""

from __future__ import annotations

from tokenclock.parallel import connect

world = connect()
assert connect() is world
n, rank = world.size, world.rank
world.barrier()
assert world.broadcast({"of": rank}) == {"of": 0}
assert world.broadcast(bytes(3_000_000 + rank)) == bytes(3_000_000)
for unit in (1, 600, 500_000):  # within the first exchange, just past it, far past it
    expected = [b"x" * (unit * other) for other in range(n)]
    assert world.gather_all(b"x" * (unit * rank)) == expected
    assert world.gather(b"x" * (unit * rank)) == (expected if rank == 0 else None)
places = world.gather((rank, n, world.local_rank, world.host))
world.barrier()
if places is not None:
    print("places", places)
