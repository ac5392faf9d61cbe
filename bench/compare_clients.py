"""Clients against one paced server, one after another and interleaved: how wrong each is, and what a token costs it.

    python bench/compare_clients.py                     # all workloads, three rounds, results/compare_clients.json
    python bench/compare_clients.py --workloads steps-1024 flood-1 --rounds 5 --with vllm-rs aiohttp
    python bench/compare_clients.py --fetch-vllm-rs --with vllm-rs   # the Rust client of the vLLM wheel (340 MB)

The yardstick is `bench/native/epoll_reader.cpp`, the least a reader can do; it is built when it is not there. Server
and clients run on different cores where there are two. Medians over the rounds; ratios are of neighbours in one round,
so that a machine that is busy for a while does not tilt them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from stream_readers import seen, vllm_rs
from tokenclock import PacedServer
from tokenclock.serving.descriptors import allow_connections

ROOT = Path(__file__).resolve().parent.parent
YARDSTICK = ROOT / "build/bench/epoll_reader"
OWN = ("yardstick", "tokenclock", "tokenclock-user")
OTHERS = ("vllm-rs", "aiohttp")
TIME_LIMIT_S = 300.0


@dataclass(frozen=True)
class Workload:
    """One traffic: so many streams, requests and tokens each, from a server of that kind."""

    name: str
    n_streams: int
    n_requests: int
    osl: int
    mode: str = "batch"
    ttft_ms: float = 60.0
    itl_ms: float = 20.0
    events_per_send: int = 1


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("steps-1", 1, 20, 16),
        Workload("steps-16", 16, 160, 16),
        *(Workload(f"steps-{n}", n, n, 128) for n in (64, 256)),
        Workload("steps-1024", 1024, 1024, 256),
        Workload("steps-4096", 4096, 4096, 64, ttft_ms=400, itl_ms=100),
        # 100 000 events/s both; long enough that opening ten thousand connections does not count
        Workload("scale-256", 256, 256, 5860, mode="independent", ttft_ms=1000, itl_ms=2.56),
        Workload("scale-10000", 10_000, 10_000, 150, mode="independent", ttft_ms=3000, itl_ms=100),
        Workload("flood-1", 32, 1024, 256, mode="flood", ttft_ms=0, itl_ms=0),
        Workload("flood-16", 32, 2048, 512, mode="flood", ttft_ms=0, itl_ms=0, events_per_send=16),
    )
}


def command_of(client: str, workload: Workload, port: int, out: Path, binary: str) -> list[str]:
    """The command line of one client."""
    if client == "vllm-rs":
        return vllm_rs.command(binary, port, workload.n_streams, workload.n_requests, workload.osl, out)
    numbers = [str(value) for value in (port, workload.n_streams, workload.n_requests, workload.osl)]
    if client == "yardstick":
        return [str(YARDSTICK), *numbers, str(out)]
    script = "aiohttp_reader" if client == "aiohttp" else "tokenclock_reader"
    extra = ["user"] if client == "tokenclock-user" else []
    return [sys.executable, "-m", f"stream_readers.{script}", *numbers, str(out), *extra]


def measure(client: str, workload: Workload, binary: str) -> dict[str, Any]:
    """Run one client against a server of its own and hold what it saw against what the server did."""
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "seen.bin"
        with PacedServer(
            mode=workload.mode,  # type: ignore[arg-type]
            ttft_ms=workload.ttft_ms,
            itl_ms=workload.itl_ms,
            events_per_send=workload.events_per_send,
            cpu=cores[-1] if len(cores) > 1 else None,
        ) as server:
            port = int(server.url.rpartition(":")[2])
            command = command_of(client, workload, port, out, binary)
            said, cpu_ns, rss_bytes = run_pinned(command, cores[:-1] or cores)
            truth = server.stop()
        n_tokens = workload.n_requests * workload.osl
        if client == "vllm-rs":
            figures = {"cpu_ns": cpu_ns, "max_rss_bytes": rss_bytes, **vllm_rs.figures(out, truth)}
        else:
            figures = json.loads(said.strip().splitlines()[-1])
            figures |= seen.errors_us(seen.read(out), truth, workload.osl)
    server_cpu_ns = truth.meta["counters"]["cpu_ns"]
    figures["cpu_us_per_token"] = figures["cpu_ns"] / n_tokens / 1e3
    figures["tokens_per_cpu_s"] = n_tokens / figures["cpu_ns"] * 1e9
    figures["server_busy"] = server_cpu_ns / figures["wall_ns"] if figures.get("wall_ns") else None
    return figures


def run_pinned(command: list[str], cores: list[int]) -> tuple[str, int, int]:
    """Run a program on these cores; returns its output, its CPU in ns and its largest resident memory in bytes."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen(
            command, stdout=output, stderr=errors, cwd=ROOT / "bench", preexec_fn=lambda: os.sched_setaffinity(0, cores)
        )
        limit = threading.Timer(TIME_LIMIT_S, child.kill)
        limit.start()
        _, status, usage = os.wait4(child.pid, 0)
        limit.cancel()
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read()
        errors.seek(0)
        if child.returncode != 0:
            raise SystemExit(f"{' '.join(command)} ended with {child.returncode}: {errors.read()[-2000:]}")
    return said, int((usage.ru_utime + usage.ru_stime) * 1e9), usage.ru_maxrss * 1024


def main() -> None:
    """Parse, run, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", nargs="+", default=list(WORKLOADS), choices=list(WORKLOADS), metavar="NAME")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--with", dest="others", nargs="+", default=[], choices=OTHERS, help="other clients too")
    parser.add_argument("--only", nargs="+", default=list(OWN), choices=OWN, help="of the clients of this project")
    parser.add_argument("--vllm-rs", default=str(ROOT / "build/vllm-rs"), help="the binary (default: build/vllm-rs)")
    parser.add_argument("--fetch-vllm-rs", action="store_true", help="get it out of the vLLM wheel, 340 MB, by pip")
    parser.add_argument("--out", default="results/compare_clients.json")
    args = parser.parse_args()
    if "aiohttp" in args.others and find_spec("aiohttp") is None:
        parser.error("--with aiohttp needs that package: pip install aiohttp")
    if args.fetch_vllm_rs:
        vllm_rs.fetch(Path(args.vllm_rs))
    if "vllm-rs" in args.others and not Path(args.vllm_rs).exists():
        parser.error(f"--with vllm-rs: there is no {args.vllm_rs}; add --fetch-vllm-rs, or name it by --vllm-rs")
    if not YARDSTICK.exists():
        subprocess.run(["cmake", "--workflow", "--preset", "bench"], cwd=ROOT, check=True, stdout=sys.stderr)
    clients = [*args.only, *args.others]
    runs: list[dict[str, Any]] = []
    for name in args.workloads:
        workload = WORKLOADS[name]
        allow_connections(workload.n_streams, certain=True)
        for number in range(args.rounds):
            for client in clients:
                run = {"workload": name, "round": number, "client": client}
                runs.append(run | measure(client, workload, args.vllm_rs))
        print(table_of(name, [run for run in runs if run["workload"] == name], clients), flush=True)
    path = Path(args.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    head = {"created": datetime.now(timezone.utc).isoformat(), "machine": platform.processor() or platform.machine()}
    head |= {"kernel": platform.release(), "n_cores": os.cpu_count(), "load_average": os.getloadavg()}
    workloads = {name: asdict(WORKLOADS[name]) for name in args.workloads}
    path.write_text(json.dumps({**head, "workloads": workloads, "runs": runs}, indent=1))
    print(f"written to {path}")


def _median(runs: list[dict[str, Any]], key: str) -> float | None:
    values = [run[key] for run in runs if run.get(key) is not None]
    return statistics.median(values) if values else None


def table_of(name: str, runs: list[dict[str, Any]], clients: list[str]) -> str:
    """One workload as a Markdown table."""
    lines = [
        f"\n{name}",
        "| client | error of mean TTFT (us) | of p99 TTFT (us) | of a gap, p99 (us) | CPU per token (us) "
        "| to the yardstick | k tokens per CPU s | memory (MB) | server busy |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    base = {run["round"]: run["cpu_ns"] for run in runs if run["client"] == "yardstick"}
    for client in clients:
        own = [run for run in runs if run["client"] == client]
        ratios = [run["cpu_ns"] / base[run["round"]] for run in own if run["round"] in base]
        tokens, rss, busy = (_median(own, key) for key in ("tokens_per_cpu_s", "max_rss_bytes", "server_busy"))
        cells = [
            *(_shown(_median(own, key), 1) for key in ("mean_ttft_error_us", "p99_ttft_error_us", "gap_error_p99_us")),
            _shown(_median(own, "cpu_us_per_token"), 2),
            _shown(statistics.median(ratios) if ratios else None, 2),
            _shown(None if tokens is None else tokens / 1e3, 0),
            _shown(None if rss is None else rss / 1e6, 0),
            _shown(busy, 2),
        ]
        lines.append(f"| {client} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _shown(value: float | None, digits: int) -> str:
    return "n/a" if value is None or value != value else f"{value:.{digits}f}"


if __name__ == "__main__":
    main()
