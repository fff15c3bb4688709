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
from tempkit.server.files import Content
from tempkit.server.guard import Request

log = logging.getLogger(__name__)

Headers = tuple[tuple[str, str], ...]
UNREACHABLE = f"the streaming service cannot be reached; check the network and {URL_VARIABLE}"
# What another program wrote may hold anything: no address, nothing that could be a key or a token.
UNFIT = re.compile(r"\w[\w+.-]*://\S*|(?=\S*\d)[\w+/=.-]{20,}|[^ -~]+", re.ASCII)
UNSTORED = ("Cache-Control", "no-store")
KEPT = 50  # visits
SHOWN = 60  # characters of a path, or of an identity
COLUMNS = ("time", "method", "path", "status", "ms", "for")  # of a visit


class Answer(NamedTuple):
    """An HTTP answer; ``headers`` do not hold the length, nor what concerns the connection."""

    status: int
    headers: Headers
    body: bytes | Content

    def pieces(self) -> Iterable[bytes]:
        """The body, of a large file while it is read."""
        return (self.body,) if isinstance(self.body, bytes) else self.body.pieces()

    def plus(self, *headers: tuple[str, str]) -> "Answer":
        """The same with more headers."""
        return self._replace(headers=self.headers + headers)


def json_answer(status: int, body: object) -> Answer:
    """An answer for programs, which nobody may keep."""
    headers = (("Content-Type", "application/json"), UNSTORED)
    return Answer(status, headers, json.dumps(body).encode())


def text_answer(status: int, text: str) -> Answer:
    """An answer for people: a line."""
    headers = (("Content-Type", "text/plain; charset=utf-8"), UNSTORED)
    return Answer(status, headers, f"{status} {text}\n".encode())


def failed_token(error: TempkitError) -> Answer:
    """The published answer when no token could be had, with a code for programs and a hint."""
    code, hint, more = "error", str(error), {}
    match error:
        case ConfigurationError():
            code = "not_configured"
        case ServiceUnreachable():
            code, hint = "service_unreachable", UNREACHABLE
        case TokenRefused():
            code = "refused_by_service"
            hint = hint.replace(error.detail, UNFIT.sub("***", error.detail))
            more = {"status": error.status}  # whether asking again may help
        case ProtocolError():
            code = "unexpected_answer"
    body = {"error": "Failed to generate token", "code": code, "hint": hint}
    return json_answer(500, body | more)


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
