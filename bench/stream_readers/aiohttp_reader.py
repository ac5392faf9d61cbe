"""A Python client as most load generators have one, by aiohttp: PORT STREAMS REQUESTS OUTPUT_TOKENS FILE."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time

import aiohttp
import numpy as np

from stream_readers.seen import Seen, write

BODY = {"model": "paced", "prompt": [5] * 32, "stream": True, "stream_options": {"include_usage": True}}


async def stream(session: aiohttp.ClientSession, url: str, osl: int) -> tuple[int, int, list[int]]:
    """Number of the request, when it was sent, and when each event with text came."""
    number, stamps = -1, []
    t_sent_ns = time.perf_counter_ns()
    async with session.post(url, json={**BODY, "max_tokens": osl}) as reply:
        async for line in reply.content:
            t_ns = time.perf_counter_ns()
            if not line.startswith(b"data: {"):
                continue
            event = json.loads(line[6:])
            if event["choices"] and event["choices"][0].get("text"):
                stamps.append(t_ns)
                number = int(event["id"].removeprefix("paced-"))
    return number, t_sent_ns, stamps


async def run(url: str, n_streams: int, n_requests: int, osl: int) -> list[tuple[int, int, list[int]]]:
    slots = asyncio.Semaphore(n_streams)
    timeout = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(limit=n_streams)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def one() -> tuple[int, int, list[int]]:
            async with slots:
                return await stream(session, url, osl)

        return await asyncio.gather(*(one() for _ in range(n_requests)))


def cpu_ns() -> int:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return int((usage.ru_utime + usage.ru_stime) * 1e9)


def main() -> None:
    port, n_streams, n_requests, osl = map(int, sys.argv[1:5])
    cpu_before, begun = cpu_ns(), time.perf_counter_ns()
    replies = asyncio.run(run(f"http://127.0.0.1:{port}/v1/completions", n_streams, n_requests, osl))
    figures = {"cpu_ns": cpu_ns() - cpu_before, "wall_ns": time.perf_counter_ns() - begun}
    figures["max_rss_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    numbers, sent, stamps = zip(*replies, strict=True)
    owner = np.repeat(np.arange(len(stamps)), [len(part) for part in stamps])
    write(sys.argv[5], Seen(np.array(numbers), np.array(sent), owner, np.concatenate([np.array(s) for s in stamps])))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
