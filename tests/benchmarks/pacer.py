"""Requests at fixed times, whether the earlier ones are answered or not: pacer.py URL RATE SECONDS

wrk waits for an answer before it asks again, so a slow server is asked less. Here request n is due
at n / RATE, on the next of 32 kept connections, and its latency counts from then. Prints JSON with
times in ms. ``late`` is how late the pacer itself was: far from 0, the machine is busy.
"""

import http.client
import json
import sys
import threading
import time
from urllib.parse import urlsplit

CONNECTIONS = 32
WARM_UP_SECONDS = 2.0


class Pacer:
    """What 32 threads measure together."""

    def __init__(self, url: str, rate: float, seconds: float) -> None:
        self.address, self.rate = urlsplit(url), rate
        self.start = time.monotonic() + 0.2
        self.warm = int(WARM_UP_SECONDS * rate)  # requests that do not count
        self.most = self.warm + int(seconds * rate)
        self.latencies: list[float] = []
        self.late: list[float] = []
        self.errors = 0

    def ask(self, first: int) -> None:
        """The requests of one connection."""
        connection = http.client.HTTPConnection(self.address.hostname, self.address.port, 30)
        free = 0.0
        for number in range(first, self.most, CONNECTIONS):
            due = self.start + number / self.rate
            time.sleep(max(0.0, due - time.monotonic()))
            sent = time.monotonic()
            try:
                connection.request("GET", self.address.path)
                answer = connection.getresponse()
                answer.read()
                failed = answer.status != 200
            except (OSError, http.client.HTTPException):
                connection.close()  # the next request opens another
                failed = True
            late, free = sent - max(due, free), time.monotonic()
            if number >= self.warm:
                self.errors += failed
                self.late.append(late * 1000)
                self.latencies.append((free - due) * 1000)

    def run(self) -> dict[str, float]:
        """The figures, after so many seconds."""
        threads = [threading.Thread(target=self.ask, args=(n,)) for n in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.monotonic() - self.start
        return {
            "requests": self.most,
            "rate": self.most / took,
            "p50": share(self.latencies, 0.5),
            "p99": share(self.latencies, 0.99),
            "late": share(self.late, 0.99),
            "errors": self.errors,
        }


def share(values: list[float], part: float) -> float:
    return sorted(values)[int(part * len(values))]


if __name__ == "__main__":
    print(json.dumps(Pacer(sys.argv[1], float(sys.argv[2]), float(sys.argv[3])).run()))
