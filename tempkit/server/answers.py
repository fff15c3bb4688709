"""Answer: what a site says to a request, whoever carries it."""

import json
import re
from collections.abc import Iterable
from typing import NamedTuple

from tempkit.env_file import URL_VARIABLE
from tempkit.errors import (
    ConfigurationError,
    ProtocolError,
    ServiceUnreachable,
    TempkitError,
    TokenRefused,
)
from tempkit.server.files import Content

Headers = tuple[tuple[str, str], ...]
UNREACHABLE = f"the streaming service cannot be reached; check the network and {URL_VARIABLE}"
# What another program wrote may hold anything: no address, nothing that could be a key or a token.
UNFIT = re.compile(r"\w[\w+.-]*://\S*|(?=\S*\d)[\w+/=.-]{20,}|[^ -~]+", re.ASCII)
UNSTORED = ("Cache-Control", "no-store")


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
