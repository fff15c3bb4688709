"""Visits: what was asked and answered, as a line in the log and as rows of a report."""

import logging
import time
from collections import deque
from collections.abc import Iterator
from urllib.parse import quote

from tempkit.server.answers import UNFIT
from tempkit.server.guard import Request

log = logging.getLogger(__name__)

KEPT = 50
SHOWN = 60  # characters of a path, or of an identity
COLUMNS = ("time", "method", "path", "status", "ms", "for")


class Visits:
    """The latest requests, without those for the page's own files."""

    def __init__(self) -> None:
        # Newest first: when, method, path, status, milliseconds, for whom.
        self._kept: deque[tuple[float, str, str, int, float, str]] = deque(maxlen=KEPT)

    def add(self, request: Request, status: int, took: float, who: str) -> None:
        """A request was answered in ``took`` milliseconds; ``who`` asked, "" for nobody known."""
        if request.path == "/token" or status >= 400:
            visit = (time.time(), request.method, request.path, status, took, who)
            self._kept.appendleft(visit)
        if log.isEnabledFor(logging.INFO):
            log.info(
                "%s %s %s %.0f ms %s%s",
                quote(request.method),
                quote(request.path, safe="/~!$&'()*+,;=:@"),
                status,
                took,
                request.client or "-",
                f" for {_named(who)}" if who else "",
            )

    def latest(self, most: int) -> Iterator[tuple[str, ...]]:
        """The ``most`` latest as text, newest first, by COLUMNS."""
        for at, method, path, status, took, who in list(self._kept)[:most]:
            clock = time.strftime("%H:%M:%S", time.localtime(at))
            yield clock, method[:8], _shown(path), str(status), f"{took:.0f}", _named(who)


def _named(who: str) -> str:
    """An identity in a line: it may hold what a client sent."""
    return quote(who[:SHOWN], safe="@")


def _shown(path: str) -> str:
    """A path without what could be a secret: somebody may have mistaken the place for one."""
    shown = "/".join(UNFIT.sub("***", part) for part in path[:SHOWN].split("/"))
    return shown if len(path) <= SHOWN else f"{shown}..."
