"""Honest and hostile traffic for some minutes: python -m tests.benchmarks.soak --minutes 5

Prints the server's threads, descriptors and memory twice a minute. A server that has its hands full
may say so, by 503 with Retry-After: that is counted apart. Ends with status 1 when an honest
request got neither that nor its answer in 10 s.
"""

import argparse
import os
import random
import resource
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx

from tests.benchmarks.servers import HERE, free_port, megabytes, running, wait_for

PAGE = b"GET /index.html HTTP/1.1\r\nHost: localhost\r\n\r\n"
TOKEN = PAGE.replace(b"/index.html", b"/token")
LARGE = PAGE.replace(b"/index.html", b"/sample.wav")
PATHS = ["/", "/index.js", "/token", "/sample.wav"]
PATIENCE_SECONDS = 10.0
GOOD = {"honest answered", "honest told 503", "honest asked again"}
SHAPES = [
    b"GET /" + b"a" * 50_000,
    b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 9000,
    b"\0" * 3000,
    b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /%2e%2e/%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    PAGE[:-2] + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + TOKEN,
    PAGE[:-2] + b"Content-Length: -1\r\n\r\n",
    PAGE[:-2] + b"Content-Length: 99999999\r\n\r\n",
    b"GET http://evil.example/token HTTP/1.1\r\nHost: localhost\r\n\r\n",
    TOKEN[:-2] + b"Origin: http://evil.example\r\n\r\n",
    PAGE * 50,
]


class Traffic:
    """Threads that run against a server until they are told to end."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.ends = threading.Event()
        self.counts: Counter[str] = Counter()
        self.slowest = 0.0

    def connected(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=5)

    def honest(self) -> None:
        with httpx.Client(trust_env=False) as client:
            while not self.ends.wait(random.expovariate(20)):
                began = time.monotonic()
                what = self.outcome(client, random.choice(PATHS), began + PATIENCE_SECONDS)
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.counts[f"honest {what}"] += 1

    def outcome(self, client: httpx.Client, path: str, until: float) -> str:
        """How an honest request ends."""
        while (left := until - time.monotonic()) > 0:
            try:
                answer = client.get(f"http://127.0.0.1:{self.port}{path}", timeout=left)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                # Its connection made room for another: browsers ask again, so do we.
                self.counts["honest asked again"] += 1
                continue
            except httpx.TransportError as error:
                return type(error).__name__
            if time.monotonic() > until:  # each read has its own time-out
                return "answered too late"
            if answer.status_code == 503 and "Retry-After" in answer.headers:
                return "told 503"
            return "answered" if answer.status_code == 200 else f"got {answer.status_code}"
        return "never answered"

    def shapes(self) -> None:
        while not self.ends.wait(0.02):
            with suppress(OSError), self.connected() as connection:
                connection.sendall(random.choice(SHAPES))
                if random.random() < 0.5:
                    connection.recv(65536)
            self.counts["hostile shapes"] += 1

    def vanishing(self) -> None:
        while not self.ends.wait(0.02):
            with suppress(OSError), self.connected() as connection:
                connection.sendall(TOKEN)
            self.counts["vanished"] += 1

    def slow(self) -> None:
        """400 connections that drip a head, or take an answer in drops."""
        held: list[socket.socket] = []
        while not self.ends.wait(0.01):
            with suppress(OSError):
                held.append(self.connected())
                held[-1].sendall(random.choice([b"", PAGE[:9], LARGE]))
            for connection in random.sample(held, min(5, len(held))):
                with suppress(OSError):
                    connection.sendall(b"a")
            if len(held) > 400:
                held.pop(0).close()
            self.counts["slow connections"] += 1

    def flood(self, many: int) -> None:
        """So many idle connections at once, again and again."""
        while not self.ends.is_set():
            held: list[socket.socket] = []
            for _ in range(many):
                with suppress(OSError):
                    held.append(self.connected())
                if self.ends.is_set():
                    break
            self.counts["idle connections"] += len(held)
            self.ends.wait(5)
            for connection in held:
                connection.close()
            self.ends.wait(5)

    def run(self, minutes: float, many: int, look: Callable[[], None]) -> None:
        jobs = [self.honest] * 8 + [self.shapes] * 2 + [self.vanishing, self.slow]
        threads = [threading.Thread(target=job) for job in jobs]
        threads.append(threading.Thread(target=self.flood, args=(many,)))
        for thread in threads:
            thread.start()
        until = time.monotonic() + minutes * 60
        while time.monotonic() < until:
            look()
            self.ends.wait(min(30, max(0, until - time.monotonic())))
        look()
        self.ends.set()
        for thread in threads:
            thread.join()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--idle", type=int, default=10_000, help="idle connections at once")
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, options.idle + 2000), most))
    upstream_port, port = free_port(), free_port()
    environment = {
        "ASSEMBLYAI_API_KEY": "0" * 32,
        "ASSEMBLYAI_BASE_URL": f"http://127.0.0.1:{upstream_port}",
    }
    ours = ["sh", "-c", 'ulimit -n 1024; exec "$@"', "sh", sys.executable, str(HERE / "ours.py")]
    folder = str(HERE.parent.parent / "public")
    with (
        running([sys.executable, str(HERE / "upstream.py"), str(upstream_port), "50"]),
        running([*ours, str(port), folder], **environment) as server,
    ):
        wait_for(f"http://127.0.0.1:{port}/token")
        began = time.monotonic()

        def look() -> None:
            threads = len(os.listdir(f"/proc/{server.pid}/task"))
            descriptors = len(os.listdir(f"/proc/{server.pid}/fd"))
            cpu = sum(map(int, Path(f"/proc/{server.pid}/stat").read_text().split()[13:15]))
            print(
                f"{time.monotonic() - began:5.0f} s  {threads} threads  {descriptors} descriptors  "
                f"{megabytes(server.pid):.1f} MB  {cpu / os.sysconf('SC_CLK_TCK'):.0f} s CPU  "
                f"slowest {traffic.slowest:.2f} s  {dict(traffic.counts)}",
                flush=True,
            )

        traffic = Traffic(port)
        traffic.run(options.minutes, options.idle, look)
        time.sleep(1)
        look()
    bad = sorted(what for what in traffic.counts if what.startswith("honest") and what not in GOOD)
    print(f"failed: {', '.join(bad)}" if bad else "every honest request had its answer, or a 503")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
