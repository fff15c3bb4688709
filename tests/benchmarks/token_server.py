"""The token server against its peers, in turns: python -m tests.benchmarks.token_server

Prints ratios to Express + axios, each taken within one round and then the median of the rounds.
Needs node, npm, wrk and openssl; installs the peers' packages into a temporary folder.
"""

import argparse
import math
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
client = httpx.Client(trust_env=False)  # made once: that takes as long as a tenth of a start


class Scenario(NamedTuple):
    name: str
    path: str
    connections: int
    keeps: bool = True
    latency: int = 0  # of the upstream, in milliseconds
    tls: bool = False


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
    Scenario("static ka1", "/file.js", 1),
    Scenario("static ka16", "/file.js", 16),
    Scenario("static ka128", "/file.js", 128),
]


class Load(NamedTuple):
    rate: float
    p50: float
    p99: float
    cpu: float  # microseconds a request
    errors: int


class Tools(NamedTuple):
    folder: Path  # what is served
    certificate: tuple[str, str]
    commands: dict[str, list[str]]


def prepare(work: Path, peers: list[str]) -> Tools:
    """Everything that the servers need, in a temporary folder."""
    served = work / "served"
    served.mkdir()
    (served / "file.js").write_text("// twenty thousand bytes\n" * 800)
    certificate = str(work / "cert.pem"), str(work / "key.pem")
    openssl = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost "
        f"-addext subjectAltName=DNS:localhost -out {certificate[0]} -keyout {certificate[1]}"
    )
    subprocess.run(openssl.split(), check=True, capture_output=True)
    commands = {"tempkit": [sys.executable, str(HERE / "ours.py")]}
    if "express" in peers:
        quietly("npm", "install", "--prefix", str(work), "express@4", "axios")
        (work / "peer.js").write_text((HERE / "express_peer.js").read_text())
        commands["express"] = ["node", str(work / "peer.js")]
    if {"aiohttp", "fastapi"} & set(peers):
        quietly(sys.executable, "-m", "venv", str(work / "venv"))
        python = str(work / "venv" / "bin" / "python")
        packages = {"aiohttp": ["aiohttp"], "fastapi": ["fastapi", "uvicorn", "httpx", "sniffio"]}
        for peer in {"aiohttp", "fastapi"} & set(peers):
            quietly(python, "-m", "pip", "install", "-q", *packages[peer])
            commands[peer] = [python, str(HERE / f"{peer}_peer.py")]
    return Tools(served, certificate, commands)


def quietly(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command,
        env={k: v for k, v in os.environ.items() if "proxy" not in k.lower()} | environment,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(url: str, seconds: float = 20) -> float:
    """Seconds until a GET is answered with 200."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        try:
            if client.get(url, timeout=5).status_code == 200:
                return time.monotonic() - began
        except httpx.TransportError:
            time.sleep(0.002)
    raise SystemExit(f"nothing answers at {url}")


@contextmanager
def upstream(tools: Tools, scenario: Scenario) -> Iterator[dict[str, str]]:
    """The environment of a server whose service is a fresh upstream."""
    port = free_port()
    command = [sys.executable, str(HERE / "upstream.py"), str(port), str(scenario.latency)]
    with running(command + (list(tools.certificate) if scenario.tls else [])):
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.01)
        scheme, host = ("https", "localhost") if scenario.tls else ("http", "127.0.0.1")
        yield {
            "ASSEMBLYAI_API_KEY": "0" * 32,
            "ASSEMBLYAI_BASE_URL": f"{scheme}://{host}:{port}",
            "SSL_CERT_FILE": tools.certificate[0],
            "NODE_EXTRA_CA_CERTS": tools.certificate[0],
        }


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def megabytes(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def load(url: str, scenario: Scenario, seconds: float, pid: int) -> Load:
    """What wrk measures, and the server's processor time a request."""
    threads = str(min(2, scenario.connections))
    command = ["wrk", "--latency", "-t", threads, "-c", str(scenario.connections)]
    command += ["-d", f"{math.ceil(seconds)}s", "--timeout", "10s"]
    if not scenario.keeps:
        command += ["-H", "Connection: close"]
    before = cpu_seconds(pid)
    said = subprocess.run(
        [*command, url + scenario.path], check=True, capture_output=True, text=True
    ).stdout
    spent = cpu_seconds(pid) - before
    percentile = {
        share: float(value) * UNITS[unit]
        for share, value, unit in re.findall(r"(\d+)%\s+([\d.]+)(us|ms|s|m)\s", said)
    }
    requests = int(re.search(r"(\d+) requests in", said)[1])
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])
    errors = sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", said)))
    errors += sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", said)))
    return Load(rate, percentile["50"], percentile["99"], spent / max(1, requests) * 1e6, errors)


def measure(tools: Tools, scenario: Scenario, rounds: int, seconds: float) -> dict[str, list[Load]]:
    """So many loads of each server, in turns."""
    found: dict[str, list[Load]] = {name: [] for name in tools.commands}
    with upstream(tools, scenario) as environment:
        for _ in range(rounds):
            for name, command in tools.commands.items():
                port = free_port()
                url = f"http://127.0.0.1:{port}"
                arguments = [*command, str(port), str(tools.folder)]
                with running(arguments, **environment) as server:
                    wait_for(url + "/file.js")
                    load(url, scenario, max(1, 2 * scenario.latency / 1000), server.pid)
                    found[name].append(load(url, scenario, seconds, server.pid))
    return found


def report(scenario: Scenario, found: dict[str, list[Load]]) -> None:
    base = found.get("express") or found["tempkit"]
    for name, loads in found.items():
        ratio = statistics.median(a.rate / b.rate for a, b in zip(loads, base, strict=True))
        middle = [statistics.median(column) for column in list(zip(*loads, strict=True))[:4]]
        errors = sum(each.errors for each in loads)
        print(
            f"{scenario.name:15} {name:9} {ratio:6.2f} x  {middle[0]:8.0f}/s  "
            f"p50 {middle[1]:7.1f}  p99 {middle[2]:7.1f} ms  "
            f"{middle[3]:6.0f} us CPU  {errors} errors",
            flush=True,
        )


def measure_start(tools: Tools, rounds: int) -> None:
    """Process start to the first file and the first token, and the memory after it."""
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in tools.commands}
    with upstream(tools, SCENARIOS[0]) as environment:
        for _ in range(rounds):
            for name, command in tools.commands.items():
                port = free_port()
                arguments = [*command, str(port), str(tools.folder)]
                began = time.monotonic()
                with running(arguments, **environment) as server:
                    wait_for(f"http://127.0.0.1:{port}/file.js")
                    first = time.monotonic() - began
                    wait_for(f"http://127.0.0.1:{port}/token")
                    token = time.monotonic() - began
                    found[name].append((first, token, megabytes(server.pid)))
    base = found.get("express") or found["tempkit"]
    for name, runs in found.items():
        ratios = [
            statistics.median(a[n] / b[n] for a, b in zip(runs, base, strict=True))
            for n in range(3)
        ]
        first, token, memory = (statistics.median(column) for column in zip(*runs, strict=True))
        print(
            f"{'start':15} {name:9} first file {first * 1000:.0f} ms ({ratios[0]:.2f} x), "
            f"first token {token * 1000:.0f} ms ({ratios[1]:.2f} x), "
            f"{memory:.0f} MB ({ratios[2]:.2f} x)",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", default="express", help="of express,aiohttp,fastapi")
    parser.add_argument("--only", default="", help="scenarios whose name holds this")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        tools = prepare(Path(work), options.peers.split(","))
        if options.only in "start":
            measure_start(tools, options.rounds)
        for scenario in SCENARIOS:
            if options.only in scenario.name:
                report(scenario, measure(tools, scenario, options.rounds, options.seconds))


if __name__ == "__main__":
    main()
