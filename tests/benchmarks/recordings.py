"""Hours of sound: python -m tests.benchmarks.recordings --hours 1 3 --ffmpeg PATH

For each kind of file: how long until the first chunk, how much memory over that of a program that
has only imported tempkit and av, and CPU seconds an hour of audio, beside ffmpeg at the same work.
"""

import argparse
import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import numpy as np
import soxr

from tempkit import Clip
from tests.sound_files import encode, interleaved, wav
from tests.words import SAMPLE

KINDS = {
    "wav 16 kHz": ("a.wav", "", "", "mono", 16000),
    "wav 48 kHz stereo": ("b.wav", "", "", "stereo", 48000),
    "wav 24-bit 48 kHz stereo": ("c.wav", "wav", "pcm_s24le", "stereo", 48000),
    "m4a 44.1 kHz stereo": ("a.m4a", "ipod", "aac", "stereo", 44100),
    "mp3 44.1 kHz stereo": ("a.mp3", "mp3", "libmp3lame", "stereo", 44100),
    "webm opus mono": ("a.webm", "webm", "libopus", "mono", 48000),
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--hours", type=float, nargs="+", default=[1.0, 3.0])
    options.add_argument("--ffmpeg", default=shutil.which("ffmpeg"), help="to compare with")
    given = options.parse_args()
    print(f"{'':26} hours   first chunk   memory   CPU s an hour   ffmpeg's")
    with tempfile.TemporaryDirectory() as folder:
        for kind, (name, *form) in KINDS.items():
            for hours in given.hours:
                path = Path(folder, name)
                write(path, *form, hours)
                report(kind, hours, path, given.ffmpeg)
                path.unlink()


def report(kind: str, hours: float, path: Path, ffmpeg: str | None) -> None:
    """Measure in a fresh process and print a row."""
    # By way of a shell: a process begins with the peak of the one that started it.
    command = ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-m", "tests.benchmarks.reading"]
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=True)
    first, memory, seconds, length = map(float, done.stdout.split())
    assert abs(length - hours * 3600) < 10, length
    theirs = f"{ffmpeg_seconds(ffmpeg, path) / hours:.1f}" if ffmpeg else "not here"
    print(
        f"{kind:26} {hours:5g} {first * 1000:10.0f} ms {memory:5.0f} MB {seconds / hours:15.1f}"
        f" {theirs:>10}",
        flush=True,
    )


def ffmpeg_seconds(ffmpeg: str, path: Path) -> float:
    """CPU seconds that ffmpeg takes to decode and mix a file."""
    before = os.times()
    command = [ffmpeg, "-v", "error", "-i", str(path), "-vn", "-ac", "1", "-f", "s16le", "-"]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    return sum(after[2:4]) - sum(before[2:4])


def write(path: Path, container: str, codec: str, layout: str, rate: int, hours: float) -> None:
    """A file of so many hours, which says the first minute again and again."""
    pcm = minute(layout, rate)
    times = round(hours * 60)
    if not container:
        channels = {"mono": 1, "stereo": 2}[layout]
        header = wav(b"", channels=channels, rate=rate, size=len(pcm) * times)
        with path.open("wb") as file:
            file.write(header)
            for _ in range(times):
                file.write(pcm)
        return
    with av.open(io.BytesIO(encode(pcm, container, codec, layout, rate))) as source:
        stream = source.streams.audio[0]
        packets = [packet for packet in source.demux(stream) if packet.size]
        with av.open(str(path), "w", format=container) as output:
            copy = output.add_stream_from_template(stream)
            step = packets[-1].pts + packets[-1].duration - packets[0].pts
            for number in range(times):
                for packet in packets:
                    again = av.Packet(bytes(packet))
                    again.stream, again.time_base = copy, packet.time_base
                    again.pts, again.dts = packet.pts + number * step, packet.dts + number * step
                    again.duration = packet.duration
                    output.mux(again)


def minute(layout: str, rate: int) -> bytes:
    """A minute of the sample's voice."""

    samples = np.frombuffer(Clip.read(SAMPLE).pcm, "<i2")
    once = soxr.resample(samples, 16000, rate)
    voice = np.resize(once, rate * 60).astype("<i2").tobytes()
    return voice if layout == "mono" else interleaved([voice, voice])


if __name__ == "__main__":
    main()
