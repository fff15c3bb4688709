"""What the benchmarks start: our server, its peers, and the upstream that gives them tokens."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import httpx

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
HOSTS = {
    "granian": "--interface wsgi --http 1 --workers 2 --blocking-threads 128 --no-log "
    "--host 127.0.0.1 --port {port}",
    "gunicorn": "--workers 2 --threads 128 --log-level critical --bind 127.0.0.1:{port}",
}
PEERS = {"aiohttp": ["aiohttp"], "fastapi": ["fastapi", "uvicorn", "httpx", "sniffio"]}
client = httpx.Client(trust_env=False)  # made once: that takes as long as a tenth of a start


class Server(NamedTuple):
    """How a server is started; ``{port}`` and ``{folder}`` are filled in."""

    command: list[str]
    root: Path = ROOT  # the checkout that its Python code comes from


class Tools(NamedTuple):
    folder: Path  # what is served
    certificate: tuple[str, str]
    servers: dict[str, Server]


def prepare(work: Path, peers: list[str], before: Path | None) -> Tools:
    """Everything that the servers need, in a temporary folder."""
    served = work / "served"
    served.mkdir()
    (served / "file.js").write_text("// twenty thousand bytes\n" * 800)
    certificate = str(work / "cert.pem"), str(work / "key.pem")
    openssl = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost "
        f"-addext subjectAltName=DNS:localhost -out {certificate[0]} -keyout {certificate[1]}"
    )
    quietly(*openssl.split())
    python = environment_with(work / "ours", str(ROOT))  # what a user has: no extra, no tool
    servers = {"tempkit": ours(python, ROOT)}
    if before is not None:
        servers["tempkit before"] = ours(python, before.resolve())
    for peer in peers:
        servers[peer] = Server(peer_command(work, peer))
    return Tools(served, certificate, servers)


def ours(python: str, root: Path) -> Server:
    script = str(root / "tests" / "benchmarks" / "ours.py")
    return Server([python, script, "{port}", "{folder}"], root)


def environment_with(folder: Path, *packages: str) -> str:
    """The interpreter of a new virtual environment that holds these packages."""
    python = str(folder / "bin" / "python")
    quietly(sys.executable, "-m", "venv", str(folder))
    quietly(python, "-m", "pip", "install", "-q", *packages)
    return python


def peer_command(work: Path, peer: str) -> list[str]:
    """How a peer is started, after its packages were installed."""
    if peer in HOSTS:
        program = str(Path(sys.executable).parent / peer)
        return [program, *HOSTS[peer].split(), "tests.benchmarks.ours_wsgi:app"]
    if peer == "express":
        quietly("npm", "install", "--prefix", str(work), "express@4", "axios")
        (work / "peer.js").write_text((HERE / "express_peer.js").read_text())
        return ["node", str(work / "peer.js"), "{port}", "{folder}"]
    python = environment_with(work / peer, *PEERS[peer])
    return [python, str(HERE / f"{peer}_peer.py"), "{port}", "{folder}"]


def quietly(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    command: list[str], root: Path = ROOT, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A process, in a session of its own with its workers; it has no proxy in its environment."""
    inherited = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
    process = subprocess.Popen(
        command,
        env=inherited | {"PYTHONPATH": str(root)} | environment,
        cwd=root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def serving(tools: Tools, name: str, environment: dict[str, str]) -> Iterator[tuple[str, int]]:
    """The address and the process id of a server, which may not answer yet."""
    port, (command, root) = free_port(), tools.servers[name]
    filled = [part.format(port=port, folder=tools.folder) for part in command]
    with running(filled, root, TEMPKIT_DIRECTORY=str(tools.folder), **environment) as process:
        yield f"http://127.0.0.1:{port}", process.pid


def wait_for(url: str, seconds: float = 20) -> None:
    """Wait until a GET is answered with 200."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        try:
            if client.get(url, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.002)
    raise SystemExit(f"nothing answers at {url}")


@contextmanager
def upstream(tools: Tools, milliseconds: int, tls: bool) -> Iterator[dict[str, str]]:
    """The environment of a server whose service is a fresh upstream."""
    port = free_port()
    command = [sys.executable, str(HERE / "upstream.py"), str(port), str(milliseconds)]
    with running(command + (list(tools.certificate) if tls else [])):
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.01)
        scheme, host = ("https", "localhost") if tls else ("http", "127.0.0.1")
        yield {
            "ASSEMBLYAI_API_KEY": "0" * 32,
            "ASSEMBLYAI_BASE_URL": f"{scheme}://{host}:{port}",
            "SSL_CERT_FILE": tools.certificate[0],
            "NODE_EXTRA_CA_CERTS": tools.certificate[0],
        }


def family(pid: int) -> Iterator[tuple[Path, list[str]]]:
    """A process and its workers: each one's folder in /proc, and its figures there."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            figures = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(figures[3]) == pid:  # the session that it belongs to
                yield folder, figures


def cpu_seconds(pid: int) -> float:
    ticks = sum(int(figures[11]) + int(figures[12]) for _, figures in family(pid))
    return ticks / os.sysconf("SC_CLK_TCK")


def megabytes(pid: int) -> float:
    """Resident memory; what workers share is counted for each of them."""
    texts = [(folder / "status").read_text() for folder, _ in family(pid)]
    found = [re.search(r"VmRSS:\s+(\d+)", text) for text in texts]
    return sum(int(match[1]) for match in found if match) / 1024
