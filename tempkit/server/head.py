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


class Head(NamedTuple):
    """A request's head: ``lines`` as they came, and what they say; names are in lower case."""

    lines: list[bytes]
    method: str
    target: str
    headers: dict[str, str]
    has_body: bool
    keeps_alive: bool  # more requests may follow: nothing here reads a body, so that ends it


def read_head(stream: io.BufferedReader) -> Head | int | None:
    """The next head, or the status that refuses it; None when it does not come whole."""
    first = stream.peek(1)[:1]
    if first and not b" " < first < b"\x7f":  # such as TLS, which would wait for an answer
        return 400
    lines: list[bytes] = []
    left = LONGEST_HEAD
    while True:
        limit = left if lines else LONGEST_LINE + 2
        line = stream.readline(limit)
        if not line.endswith(b"\n"):
            if len(line) < limit:  # the browser is gone
                return None
            return 431 if lines else 414
        if not line.endswith(b"\r\n"):
            return 400
        if line == b"\r\n":
            return _meaning(lines)
        lines.append(line)
        left -= len(line)
        if len(lines) > 1 + MOST_HEADERS:
            return 431


def _meaning(lines: list[bytes]) -> Head | int:
    """What a head says, if it has one meaning."""
    match = LINE.fullmatch(lines[0].decode("latin-1")) if lines else None
    if match is None:
        return 400
    method, target, major, minor = match.groups()
    if major != "1":
        return 505
    headers: dict[str, str] = {}
    for line in lines[1:]:
        field = HEADER.fullmatch(line.decode("latin-1"))
        if field is None:
            return 400
        name, value = field[1].lower(), field[2]
        if name in headers:
            if name in ONCE:
                return 400
            value = f"{headers[name]}{'; ' if name == 'cookie' else ', '}{value}"
        headers[name] = value
    length, coding = headers.get("content-length", "0"), headers.get("transfer-encoding", "")
    if not (length.isascii() and length.isdigit()):
        return 400
    is_coded = "transfer-encoding" in headers
    if is_coded and ("content-length" in headers or minor == "0" or coding.lower() != "chunked"):
        return 400
    has_body = is_coded or bool(length.strip("0"))
    options = headers.get("connection", "").lower().replace(" ", "").split(",")
    is_kept = "keep-alive" in options if minor == "0" else "close" not in options
    return Head(lines, method, target, headers, has_body, is_kept and not has_body)
