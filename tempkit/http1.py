"""HTTP/1.1 as bytes: the head of a request, strictly read, and the head of an answer. No I/O."""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import NamedTuple

LONGEST_LINE = 8 * 1024  # the request line
LONGEST_HEAD = 32 * 1024
MOST_HEADERS = 100
END = b"\r\n\r\n"

# RFC 9110, 5.6.2: a token. A target is visible ASCII, a value that and spaces, tabs, obs-text.
LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/([0-9])\.([0-9])")
NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
VALUE = re.compile(r"[\t -~\x80-\xff]*")
# Twice the same is as odd as twice another: proxies and servers disagree about which one counts.
ONCE = ("host", "content-length", "transfer-encoding")
REASONS = {status.value: status.phrase for status in HTTPStatus}


class BadRequest(Exception):  # noqa: N818 - the status's own name
    """A request that cannot be read; ``status`` is what to answer."""

    def __init__(self, status: int) -> None:
        super().__init__(REASONS[status])
        self.status = status


class Head(NamedTuple):
    """The head of a request; header names are in lower case, ``target`` is a path and a query."""

    method: str
    target: str
    headers: dict[str, str]
    keeps_alive: bool
    has_body: bool


def find_head(buffer: bytes | bytearray) -> int:
    """How many bytes of the buffer are a request's head, 0 while it is not complete.

    Raises BadRequest for one that is too long, or does not begin as one.
    """
    if buffer and not 33 <= buffer[0] < 127:  # such as TLS, which would wait for an answer
        raise BadRequest(400)
    end = buffer.find(END)
    if 0 <= end <= LONGEST_HEAD - len(END):
        return end + len(END)
    if buffer.find(b"\n", 0, LONGEST_LINE + 2) < 0 and len(buffer) > LONGEST_LINE:
        raise BadRequest(414)
    if len(buffer) >= LONGEST_HEAD:
        raise BadRequest(431)
    return 0


def parse_head(head: bytes) -> Head:
    """The request that a head of ``find_head`` makes. Raises BadRequest."""
    lines = head[: -len(END)].decode("latin-1").split("\r\n")
    match = LINE.fullmatch(lines[0])
    if match is None:
        raise BadRequest(400)
    method, target, major, minor = match.groups()
    if major != "1":
        raise BadRequest(505)
    if len(lines[0]) > LONGEST_LINE:
        raise BadRequest(414)
    # A target that names a host is for proxies, and its host would go before Host.
    if not target.startswith("/") or "#" in target:
        raise BadRequest(400)
    headers = _headers(lines[1:])
    options = headers.get("connection", "").lower().replace(" ", "").split(",")
    is_current = minor != "0"
    keeps_alive = "close" not in options and (is_current or "keep-alive" in options)
    has_body = _has_body(headers, is_current)
    return Head(method, target, headers, keeps_alive and not has_body, has_body)


def _headers(lines: list[str]) -> dict[str, str]:
    if len(lines) > MOST_HEADERS:
        raise BadRequest(431)
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not NAME.fullmatch(name) or not VALUE.fullmatch(value):
            raise BadRequest(400)
        name = name.lower()
        if name in headers:
            if name in ONCE:
                raise BadRequest(400)
            value = f"{headers[name]}{'; ' if name == 'cookie' else ', '}{value.strip()}"
        headers[name] = value.strip(" \t")
    return headers


def _has_body(headers: dict[str, str], is_current: bool) -> bool:
    """Whether a body follows; nothing here reads one, so it ends the connection."""
    length, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if length is not None and (coding is not None or not (length.isascii() and length.isdigit())):
        raise BadRequest(400)
    if coding is not None and (coding.lower() != "chunked" or not is_current):
        raise BadRequest(400)
    return coding is not None or int(length[:20] if length else 0) > 0


def render_head(status: int, headers: Iterable[tuple[str, str]], keeps_alive: bool) -> bytes:
    """The head of an answer."""
    lines = [f"HTTP/1.1 {status} {REASONS[status]}"]
    lines += [f"{name}: {value}" for name, value in headers]
    # HTTP/1.0 has to be told what HTTP/1.1 takes for granted.
    lines.append(f"Connection: {'keep-alive' if keeps_alive else 'close'}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
