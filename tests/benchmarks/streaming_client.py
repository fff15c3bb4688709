"""What a stream costs: tempkit's client beside the official Python SDK, over the same sandbox.

    pip install assemblyai
    python tests/benchmarks/streaming_client.py [seconds of audio]

Each client runs in a process of its own, first one, then the other, with 1, 10 and 50 streams in
real time. The sandbox, in another process, recognises nothing: the words that it says are the time
at which it says them, so that the reader can tell how old a message is. Prints figures and ratios.
"""

import json
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

SECONDS = 20
STREAMS = (1, 10, 50)
CHUNK = 1600  # bytes, 50 ms: what both documentation and SDK recommend


def audio(seconds: int) -> list[bytes]:
    """Sound with a pause every four seconds, in pieces of 50 ms."""
    loud, quiet = b"\x00\x20\x00\xe0" * (CHUNK // 4), bytes(CHUNK)
    return [quiet if n // 20 % 4 == 3 else loud for n in range(seconds * 20)]


def run_sandbox() -> None:
    """Serve until standard input closes; say the address first."""
    from tempkit.sandbox import Sandbox
    from tempkit.sandbox.hearing.recognizer import Hypothesis, Samples, SpokenWord

    class Clock:
        def listen(self) -> "Clock":
            return self

        def speech_probability(self, frame: Samples) -> float:
            return float(abs(frame[0]) > 0.01)

        def recognize(
            self,
            samples: Samples,
            fixed: Sequence[SpokenWord],
            guess: Sequence[SpokenWord] | None,
        ) -> Hypothesis:
            return Hypothesis((*fixed, SpokenWord(str(time.monotonic_ns()), 1.0)), 1.0)

        def end_turn(self) -> None:
            pass

    with Sandbox(Clock(), realtime=False) as sandbox:
        print(sandbox.url, flush=True)
        sys.stdin.read()


def run_ours(url: str, pieces: list[bytes], note: "Note") -> None:
    from tempkit import SessionParameters, Settings, Turn, connect

    parameters = SessionParameters(format_turns=False)
    with connect(Settings("any", url), parameters) as session:
        for message in session.stream(pieces):
            if isinstance(message, Turn) and message.words:
                note(message.words[-1].text)


def run_official(url: str, pieces: list[bytes], note: "Note") -> None:
    from assemblyai.streaming.v3 import (
        Encoding,
        SpeechModel,
        StreamingClient,
        StreamingClientOptions,
        StreamingEvents,
        StreamingParameters,
    )

    def on_turn(_: object, event: object) -> None:
        if event.words:  # type: ignore[attr-defined]
            note(event.words[-1].text)  # type: ignore[attr-defined]

    host = url.replace("http://", "ws://")
    client = StreamingClient(StreamingClientOptions(api_host=host, api_key="any"))
    client.on(StreamingEvents.Turn, on_turn)
    client.connect(
        StreamingParameters(
            sample_rate=16000,
            encoding=Encoding.pcm_s16le,
            speech_model=SpeechModel.universal_streaming_english,
        )
    )
    start = time.monotonic()
    for number, piece in enumerate(pieces, 1):
        client.stream(piece)
        time.sleep(max(0.0, start + number * 0.05 - time.monotonic()))
    client.disconnect(terminate=True)


class Note:
    """How old each message was when it reached the user's code, in ms."""

    def __init__(self) -> None:
        self.ages: list[float] = []

    def __call__(self, stamp: str) -> None:
        self.ages.append((time.monotonic_ns() - int(stamp)) / 1e6)


def measure(kind: str, url: str, streams: int, seconds: int) -> dict[str, float]:
    """Run so many streams in this process; gives the figures."""
    run, pieces, note = {"ours": run_ours, "official": run_official}[kind], audio(seconds), Note()
    run(url, pieces[:20], note)  # imports and first connections are not counted
    note.ages.clear()
    threads = [threading.Thread(target=run, args=(url, pieces, note)) for _ in range(streams)]
    before = resource.getrusage(resource.RUSAGE_SELF)
    memory, idle = before.ru_maxrss, threading.active_count()
    for thread in threads:
        thread.start()
    time.sleep(seconds / 2)
    most = threading.active_count() - idle
    for thread in threads:
        thread.join()
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    cuts = statistics.quantiles(note.ages, n=20)
    return {
        "cpu s / stream-minute": cpu / streams / seconds * 60,
        "latency p50 ms": cuts[9],
        "latency p95 ms": cuts[18],
        "threads / stream": most / streams,
        "MB / stream": (after.ru_maxrss - memory) / 1024 / streams,
        "messages": len(note.ages),
    }


def main(seconds: int) -> None:
    """Measure both and print a table."""
    command = [sys.executable, __file__]
    with subprocess.Popen(
        [*command, "sandbox"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as sandbox:
        assert sandbox.stdout is not None
        url = sandbox.stdout.readline().strip()
        for streams in STREAMS:
            rows = {}
            for kind in ("ours", "official"):
                arguments = [*command, kind, url, str(streams), str(seconds)]
                done = subprocess.run(arguments, capture_output=True, text=True, check=True)
                rows[kind] = json.loads(done.stdout)
            print(
                f"\n{streams} streams, {seconds} s{'':12}{'ours':>10}{'official':>10}{'ratio':>8}"
            )
            for name, ours in rows["ours"].items():
                theirs = rows["official"][name]
                ratio = f"{ours / theirs:8.2f}" if theirs else f"{'-':>8}"
                print(f"  {name:26}{ours:10.2f}{theirs:10.2f}{ratio}")
        sandbox.communicate()


if __name__ == "__main__":
    if sys.argv[1:2] == ["sandbox"]:
        run_sandbox()
    elif len(sys.argv) == 5:
        print(json.dumps(measure(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS)
