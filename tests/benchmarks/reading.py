"""Read one sound file as it is read to be sent; run by recordings.py in a process of its own.

Prints seconds to the first chunk, megabytes over the start, CPU seconds, and seconds of audio. The
start has the decoder's library in memory, which is about 20 MB of its own.
"""

import resource
import sys
import time

import av  # noqa: F401 - part of the start

from tempkit import Clip


def peak() -> float:
    """The most memory this process has had, megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(path: str) -> None:
    before, began, used = peak(), time.perf_counter(), time.process_time()
    clip = Clip.read(path)
    chunks = iter(clip.chunks())
    size = len(next(chunks))
    first = time.perf_counter() - began
    size += sum(map(len, chunks))
    print(first, peak() - before, time.process_time() - used, size / 2 / clip.sample_rate)


if __name__ == "__main__":
    main(sys.argv[1])
