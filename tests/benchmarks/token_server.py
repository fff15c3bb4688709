"""The token server against its peers, in turns: python -m tests.benchmarks.token_server

Prints ratios to Express + axios, each taken within one round and then the median of the rounds.
``--before`` names another checkout, of an earlier commit say, whose server runs in the same rounds.
Needs node, npm, wrk and openssl; installs the peers' packages into a temporary folder.
"""

import argparse
import json
import math
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.servers import (
    HERE,
    Tools,
    cpu_seconds,
    megabytes,
    prepare,
    serving,
    upstream,
    wait_for,
)

UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


class Scenario(NamedTuple):
    name: str
    path: str
    connections: int = 0
    keeps: bool = True
    latency: int = 0  # of the upstream, in milliseconds
    tls: bool = False
    rate: int = 0  # requests a second; 0: as many as are answered


SCENARIOS = [
    Scenario("token ka1", "/token", 1),
    Scenario("token ka16", "/token", 16),
    Scenario("token ka128", "/token", 128),
    Scenario("token close16", "/token", 16, keeps=False),
    Scenario("50ms ka1", "/token", 1, latency=50),
    Scenario("50ms ka16", "/token", 16, latency=50),
    Scenario("50ms ka128", "/token", 128, latency=50),
    Scenario("1s ka128", "/token", 128, latency=1000),
    Scenario("TLS ka1", "/token", 1, tls=True),
    Scenario("TLS ka16", "/token", 16, tls=True),
    Scenario("TLS ka128", "/token", 128, tls=True),
    Scenario("paced 50ms", "/token", latency=50, rate=50),
    Scenario("paced TLS 150ms", "/token", latency=150, tls=True, rate=50),
    Scenario("static ka1", "/file.js", 1),
    Scenario("static ka16", "/file.js", 16),
    Scenario("static ka128", "/file.js", 128),
]


class Load(NamedTuple):
    rate: float
    p50: float  # ms
    p99: float
    cpu: float  # microseconds a request
    late: float  # ms, by which the pacer missed its own times
    errors: int


Table = dict[str, dict[str, str]]  # what was measured -> server -> ratio


def load(url: str, scenario: Scenario, seconds: float, pid: int) -> Load:
    """What a load generator measures, and the server's processor time a request."""
    before = cpu_seconds(pid)
    if scenario.rate:
        command = [sys.executable, str(HERE / "pacer.py"), url + scenario.path]
        found = json.loads(said(*command, str(scenario.rate), str(seconds)))
    else:
        found = from_wrk(url, scenario, seconds)
    spent = (cpu_seconds(pid) - before) / max(1, found.pop("requests")) * 1e6
    return Load(cpu=spent, **found)


def said(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def from_wrk(url: str, scenario: Scenario, seconds: float) -> dict[str, float]:
    threads = str(min(2, scenario.connections))
    command = ["wrk", "--latency", "-t", threads, "-c", str(scenario.connections)]
    command += ["-d", f"{math.ceil(seconds)}s", "--timeout", "10s"]
    if not scenario.keeps:
        command += ["-H", "Connection: close"]
    text = said(*command, url + scenario.path)
    percentile = {
        share: float(value) * UNITS[unit]
        for share, value, unit in re.findall(r"(\d+)%\s+([\d.]+)(us|ms|s|m)\s", text)
    }
    errors = sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", text)))
    return {
        "requests": int(re.search(r"(\d+) requests in", text)[1]),
        "rate": float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
        "p50": percentile["50"],
        "p99": percentile["99"],
        "late": 0.0,
        "errors": errors + sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", text))),
    }


def measure(tools: Tools, scenario: Scenario, rounds: int, seconds: float) -> dict[str, list[Load]]:
    """So many loads of each server, in turns."""
    found: dict[str, list[Load]] = {name: [] for name in tools.servers}
    with upstream(tools, scenario.latency, scenario.tls) as environment:
        for _ in range(rounds):
            for name in tools.servers:
                with serving(tools, name, environment) as (url, pid):
                    wait_for(url + "/file.js")
                    if not scenario.rate:  # the pacer warms up by itself
                        load(url, scenario, max(1, 2 * scenario.latency / 1000), pid)
                    found[name].append(load(url, scenario, seconds, pid))
    return found


def report(scenario: Scenario, found: dict[str, list[Load]], table: Table) -> None:
    """A line for each server: medians of the rounds, and ratios to Express in brackets."""
    base = found.get("express") or found["tempkit"]
    for name, loads in found.items():
        rate, p50, p99, cpu, late, _ = map(statistics.median, zip(*loads, strict=True))
        ratios = ratios_to(base, loads)
        tail = f"  pacer late {late:.1f} ms" if scenario.rate else ""
        print(
            f"{scenario.name:15} {name:14} {rate:7.0f}/s ({ratios[0]:5.2f} x)  "
            f"p50 {p50:7.1f} ({ratios[1]:.2f} x)  p99 {p99:7.1f} ms ({ratios[2]:.2f} x)  "
            f"{cpu:6.0f} us CPU  {sum(each.errors for each in loads)} errors{tail}",
            flush=True,
        )
        if scenario.rate:
            for label, ratio in zip(("p50", "p99"), ratios[1:3], strict=True):
                table.setdefault(f"{scenario.name} {label}", {})[name] = f"{ratio:.2f}"
        else:
            table.setdefault(scenario.name, {})[name] = f"{ratios[0]:.2f}"


def ratios_to(base: list[Load], loads: list[Load]) -> list[float]:
    """Of rate, p50 and p99: the medians of the ratios within a round."""
    pairs = list(zip(loads, base, strict=True))
    return [statistics.median(a[n] / b[n] for a, b in pairs) for n in range(3)]


def measure_start(tools: Tools, rounds: int, table: Table) -> None:
    """Process start to the first file and the first token, and the memory after it."""
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in tools.servers}
    with upstream(tools, 0, False) as environment:
        for _ in range(rounds):
            for name in tools.servers:
                began = time.monotonic()
                with serving(tools, name, environment) as (url, pid):
                    wait_for(f"{url}/file.js")
                    first = time.monotonic() - began
                    wait_for(f"{url}/token")
                    token = time.monotonic() - began
                    found[name].append((first, token, megabytes(pid)))
    base = found.get("express") or found["tempkit"]
    for name, runs in found.items():
        pairs = list(zip(runs, base, strict=True))
        ratios = [statistics.median(a[n] / b[n] for a, b in pairs) for n in range(3)]
        first, token, memory = map(statistics.median, zip(*runs, strict=True))
        print(
            f"{'start':15} {name:14} first file {first * 1000:.0f} ms ({ratios[0]:.2f} x), "
            f"first token {token * 1000:.0f} ms ({ratios[1]:.2f} x), "
            f"{memory:.0f} MB ({ratios[2]:.2f} x)",
            flush=True,
        )
        for label, ratio in zip(("file", "token", "memory"), ratios, strict=True):
            table.setdefault(f"start {label}", {})[name] = f"{ratio:.2f}"


def print_table(table: Table, servers: list[str]) -> None:
    """The ratios in Markdown."""
    base = "express" if "express" in servers else "tempkit"
    print(f"\nx {base}: requests/s, more is better; paced (latency) and start, less is better\n")
    print(f"| | {' | '.join(servers)} |\n|---|{'---:|' * len(servers)}")
    for what, ratios in table.items():
        print(f"| {what} | {' | '.join(ratios[name] for name in servers)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    help_text = "of express,aiohttp,fastapi and, with our application, granian,gunicorn"
    parser.add_argument("--peers", default="express", help=help_text)
    parser.add_argument("--before", type=Path, help="another checkout: one more row")
    parser.add_argument("--only", default="", help="scenarios whose name holds this")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--paced-seconds", type=float, default=12)
    options = parser.parse_args()
    table: Table = {}
    with tempfile.TemporaryDirectory() as work:
        tools = prepare(Path(work), options.peers.split(","), options.before)
        if options.only in "start":
            measure_start(tools, options.rounds, table)
        for scenario in SCENARIOS:
            if options.only in scenario.name:
                seconds = options.paced_seconds if scenario.rate else options.seconds
                report(scenario, measure(tools, scenario, options.rounds, seconds), table)
    print_table(table, list(tools.servers))


if __name__ == "__main__":
    main()
