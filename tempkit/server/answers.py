"""Answers: what a site says to a request, whoever carries it, and what it notes about that."""

import json
import logging
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import quote

from tempkit.env_file import URL_VARIABLE
from tempkit.errors import (
    ConfigurationError,
    ProtocolError,
    ServiceUnreachable,
    TempkitError,
    TokenRefused,
)
from tempkit.server.guard import Request

log = logging.getLogger(__name__)

Headers = tuple[tuple[str, str], ...]
CODES: dict[type, str] = {
    ConfigurationError: "not_configured",
    ServiceUnreachable: "service_unreachable",
    TokenRefused: "refused_by_service",
    ProtocolError: "unexpected_answer",
}
UNREACHABLE = f"the streaming service cannot be reached; check the network and {URL_VARIABLE}"
# What another program wrote may hold anything: no address, nothing that could be a key or a token.
UNFIT = re.compile(r"\w[\w+.-]*://\S*|(?=\S*\d)[\w+/=.-]{20,}|[^ -~]+", re.ASCII)
KEPT = 50  # visits
SHOWN = 60  # characters of a path, or of an identity
COLUMNS = ("time", "method", "path", "status", "ms", "for")  # of a visit


class Answer(NamedTuple):
    """An HTTP answer; ``headers`` do not hold what concerns the connection.

    The body of a large file is read while one goes through it.
    """

    status: int
    headers: Headers = ()
    body: bytes | Iterable[bytes] = b""

    def plus(self, *headers: tuple[str, str]) -> "Answer":
        """The same with more headers."""
        return self._replace(headers=self.headers + headers)


def json_answer(status: int, body: object) -> Answer:
    """An answer for programs."""
    return _answer(status, "application/json", json.dumps(body))


def text_answer(status: int, text: str) -> Answer:
    """An answer for people: a line."""
    return _answer(status, "text/plain; charset=utf-8", f"{status} {text}\n")


def _answer(status: int, kind: str, text: str) -> Answer:
    """An answer that nobody may keep."""
    body = text.encode()
    length = ("Content-Length", str(len(body)))
    return Answer(status, (("Content-Type", kind), length, ("Cache-Control", "no-store")), body)


def failed_token(error: TempkitError) -> Answer:
    """The published answer when no token could be had, with a code for programs and a hint."""
    body: dict[str, str | int] = {
        "error": "Failed to generate token",
        "code": CODES.get(type(error), "error"),
        "hint": UNREACHABLE if isinstance(error, ServiceUnreachable) else str(error),
    }
    if isinstance(error, TokenRefused):
        body["hint"] = str(error).replace(error.detail, UNFIT.sub("***", error.detail))
        body["status"] = error.status  # whether asking again may help
    return json_answer(500, body)


class Visits:
    """The latest requests, without those for the page's own files."""

    def __init__(self) -> None:
        # Newest first: when, method, path, status, milliseconds, for whom.
        self._kept: deque[tuple[float, str, str, int, float, str]] = deque(maxlen=KEPT)

    def add(self, request: Request, status: int, took: float, who: str) -> None:
        """A request was answered in ``took`` milliseconds; ``who`` asked, "" for nobody known."""
        if request.path == "/token" or status >= 400:
            self._kept.appendleft((time.time(), request.method, request.path, status, took, who))
        if log.isEnabledFor(logging.INFO):
            path = quote(request.path, safe="/~!$&'()*+,;=:@")
            asker = (request.client or "-") + (f" for {_named(who)}" if who else "")
            log.info("%s %s %s %.0f ms %s", quote(request.method), path, status, took, asker)

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
