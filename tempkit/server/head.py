"""The head of a request, read strictly: what two programs could read in two ways is refused."""

import io
import re
from typing import NamedTuple

LONGEST_LINE = 8 * 1024  # the request line
LONGEST_HEAD = 32 * 1024
MOST_HEADERS = 100

# RFC 9110, 5.6.2: a token. A target is a path of visible ASCII: one that names a host is for
# proxies, and its host would go before Host. A value is visible ASCII, spaces, tabs and obs-text.
LINE = re.compile(r"([!#$%&'*+.^_`|~\w-]+) (/[!\"$-~]*) HTTP/(\d)\.(\d)\r\n", re.ASCII)
HEADER = re.compile(r"([!#$%&'*+.^_`|~\w-]+):[ \t]*([\t -~\x80-\xff]*?)[ \t]*\r\n", re.ASCII)
# Twice the same is as odd as twice another: proxies and servers disagree about which one counts.
ONCE = ("host", "content-length", "transfer-encoding")


class BadHead(Exception):  # noqa: N818 - the status's own name
    """A head that is not taken; ``status`` is what to answer."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Head(NamedTuple):
    """A request's head: ``lines`` as they came, and what they say; names are in lower case."""

    lines: list[bytes]
    method: str
    target: str
    headers: dict[str, str]
    has_body: bool
    keeps_alive: bool  # more requests may follow: nothing here reads a body, so that ends it


def read_head(stream: io.BufferedReader) -> Head | None:
    """The next head, None when it does not come whole. Raises BadHead."""
    first = stream.peek(1)[:1]
    if first and not b" " < first < b"\x7f":  # such as TLS, which would wait for an answer
        raise BadHead(400)
    lines: list[bytes] = []
    left = LONGEST_HEAD
    while True:
        limit = left if lines else LONGEST_LINE + 2
        line = stream.readline(limit)
        if not line.endswith(b"\n"):
            if len(line) < limit:  # the browser is gone
                return None
            raise BadHead(431 if lines else 414)
        if not line.endswith(b"\r\n"):
            raise BadHead(400)
        if line == b"\r\n":
            return _meaning(lines)
        lines.append(line)
        left -= len(line)
        if len(lines) > 1 + MOST_HEADERS:
            raise BadHead(431)


def _meaning(lines: list[bytes]) -> Head:
    """What a head says. Raises BadHead unless it has one meaning."""
    match = LINE.fullmatch(lines[0].decode("latin-1")) if lines else None
    if match is None:
        raise BadHead(400)
    method, target, major, minor = match.groups()
    if major != "1":
        raise BadHead(505)
    headers: dict[str, str] = {}
    for line in lines[1:]:
        field = HEADER.fullmatch(line.decode("latin-1"))
        if field is None:
            raise BadHead(400)
        name, value = field[1].lower(), field[2]
        if name in headers:
            if name in ONCE:
                raise BadHead(400)
            value = f"{headers[name]}{'; ' if name == 'cookie' else ', '}{value}"
        headers[name] = value
    length, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if length is not None and (coding is not None or not (length.isascii() and length.isdigit())):
        raise BadHead(400)
    if coding is not None and (minor == "0" or coding.lower() != "chunked"):
        raise BadHead(400)
    has_body = coding is not None or bool((length or "").strip("0"))
    options = headers.get("connection", "").lower().replace(" ", "").split(",")
    is_kept = "keep-alive" in options if minor == "0" else "close" not in options
    return Head(lines, method, target, headers, has_body, is_kept and not has_body)
