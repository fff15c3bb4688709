"""How a sandbox bears load, as a table: python tests/benchmarks/sandbox_load.py [--minutes 30].

The sandbox runs in a process of its own, with its real recogniser. A lag counts from the moment the
chunk was sent with which a message falls due; a session without I/O tells which chunk that is.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from websockets.sync.client import ClientConnection, connect

from tempkit import Clip
from tempkit.sandbox import load_recognizer
from tempkit.sandbox.rules.ledger import Ledger
from tempkit.sandbox.rules.session import ServerSession

SAMPLE = Path(__file__).parents[2] / "public" / "sample.wav"
CHUNKS = list(Clip.read(SAMPLE).chunks())
CHUNK_SECONDS = 0.1
QUERY = {"sample_rate": "16000", "speech_model": "universal-streaming-english"}
TERMINATE = '{"type": "Terminate"}'
STAGGER_SECONDS = 0.4  # between the starts of two talkers


@contextmanager
def sandbox(*, fast: bool) -> Iterator[tuple[str, psutil.Process]]:
    """A sandbox's address and process."""
    command = [sys.executable, "-m", "tempkit", "sandbox", "--port", "0", *["--fast"] * fast]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = process.stdout.readline().split()[-1].replace("http", "ws")
    address = f"{url}/v3/ws?" + "&".join(f"{k}={v}" for k, v in QUERY.items())
    try:
        yield address, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def opened(address: str) -> connect:
    headers = {"Authorization": "any"}
    return connect(address, additional_headers=headers, compression=None, proxy=None)


def due() -> list[tuple[int, int, bool]]:
    """Of each turn message of the sample: the chunk it falls due with, its turn, is it a final."""
    recognizer = load_recognizer()
    session = ServerSession(QUERY, "any", Ledger(), recognizer.listen, lambda: 0.0)
    list(session.open())
    found = []
    for number, chunk in enumerate(CHUNKS):
        for turn in session.receive(chunk):
            found.append((number, turn.turn_order, turn.end_of_turn))
    return found


class Talker(threading.Thread):
    """Speaks the sample in real time; ``lags`` are seconds, by whether they are of a final."""

    def __init__(self, address: str, schedule: list[tuple[int, int, bool]], start: float) -> None:
        super().__init__()
        self._address, self._schedule, self._start = address, schedule, start
        self._sent: list[float] = []
        self.lags: dict[bool, list[float]] = {False: [], True: []}

    def run(self) -> None:
        with opened(self._address) as connection:
            reader = threading.Thread(target=self._read, args=(connection,))
            reader.start()
            for number, chunk in enumerate(CHUNKS):
                time.sleep(max(0.0, self._start + number * CHUNK_SECONDS - time.monotonic()))
                self._sent.append(time.monotonic())
                connection.send(chunk)
            connection.send(TERMINATE)
            reader.join()

    def _read(self, connection: ClientConnection) -> None:
        for text in connection:
            now, message = time.monotonic(), json.loads(text)
            if message["type"] != "Turn":
                continue
            order, is_final = message["turn_order"], message["end_of_turn"]
            numbers = [n for n, o, f in self._schedule if (o, f) == (order, is_final)]
            sent = [self._sent[n] for n in numbers if n < len(self._sent)]
            if past := [at for at in sent if at <= now]:
                self.lags[is_final].append(now - past[-1])


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def state(process: psutil.Process) -> str:
    rss = process.memory_info().rss / 2**20
    return f"{rss:6.0f} MB  {process.num_threads():4d} threads  {process.num_fds():4d} files"


def talk(address: str, process: psutil.Process, count: int, schedule: list) -> None:
    before, start = cpu(process), time.monotonic() + 0.5
    talkers = [Talker(address, schedule, start + n * STAGGER_SECONDS) for n in range(count)]
    for talker in talkers:
        talker.start()
    for talker in talkers:
        talker.join()
    used = (cpu(process) - before) / (count * len(CHUNKS) * CHUNK_SECONDS)
    cells = [f"{count} talkers", f"{used:6.3f} s"]
    for is_final in (False, True):
        lags = [lag for talker in talkers for lag in talker.lags[is_final]]
        cells += [f"{percentile(lags, 0.5):5.2f} / {percentile(lags, 0.95):5.2f} s ({len(lags)})"]
    print("  ".join(f"{cell:<22}" for cell in cells), flush=True)


def stream(address: str, minutes: float) -> None:
    """So many minutes of speech in one session, as fast as it goes."""
    rounds = max(1, round(minutes * 60 / (len(CHUNKS) * CHUNK_SECONDS)))
    with opened(address) as connection:
        reader = threading.Thread(target=lambda: [None for _ in connection])
        reader.start()
        for _ in range(rounds):
            for chunk in CHUNKS:
                connection.send(chunk)
        connection.send(TERMINATE)
        reader.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=30, help="of simulated speech")
    help_text = "hear it at audio pace, so that the minutes take as long as they sound"
    parser.add_argument("--realtime", action="store_true", help=help_text)
    parser.add_argument("--talkers", type=int, nargs="*", default=[1, 4, 8])
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the start")
    schedule = due()
    with sandbox(fast=not options.realtime) as (address, process):
        print(f"{'at the start':<22}  {state(process)}")
        print("  ".join(f"{c:<22}" for c in ("", "CPU/s of speech", "partial p50/p95", "final")))
        for count in options.talkers:
            talk(address, process, count, schedule)
        print(f"{'after the talkers':<22}  {state(process)}", flush=True)
        idle = [opened(address).__enter__() for _ in range(200)]
        begun = [connection.recv(timeout=10) for connection in idle]
        before, at = cpu(process), time.monotonic()
        time.sleep(5)
        busy = (cpu(process) - before) / (time.monotonic() - at)
        print(f"{f'{len(begun)} idle sessions':<22}  {state(process)}  {busy:.0%} of a core")
        for connection in idle:
            connection.close()
        at = time.monotonic()
        for _ in range(1000):
            with opened(address) as connection:
                connection.send(TERMINATE)
                for _ in connection:
                    pass
        print(f"{'after 1,000 cycles':<22}  {state(process)}  {time.monotonic() - at:.1f} s")
        for minutes in range(10, options.minutes + 1, 10):
            at = time.monotonic()
            stream(address, 10)
            name = f"after {minutes} minutes"
            print(f"{name:<22}  {state(process)}  {time.monotonic() - at:.1f} s", flush=True)


if __name__ == "__main__":
    main()
