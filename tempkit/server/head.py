"""The head of a request, read strictly: what two programs could read in two ways is refused."""

import io
import re

LONGEST_LINE = 8 * 1024  # the request line
LONGEST_HEAD = 32 * 1024
MOST_HEADERS = 100

# RFC 9110, 5.6.2: a token. A target is a path of visible ASCII: one that names a host is for
# proxies, and its host would go before Host. A value is visible ASCII, spaces, tabs and obs-text.
LINE = re.compile(rb"[!#$%&'*+.^_`|~\w-]+ /[!\"$-~]* HTTP/(\d)\.\d\r\n", re.ASCII)
HEADER = re.compile(rb"([!#$%&'*+.^_`|~\w-]+):[ \t]*([\t -~\x80-\xff]*?)[ \t]*\r\n", re.ASCII)
# Twice the same is as odd as twice another: proxies and servers disagree about which one counts.
ONCE = (b"host", b"content-length", b"transfer-encoding")


class BadHead(Exception):  # noqa: N818 - the status's own name
    """A head that is not taken; ``status`` is what to answer."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def read_head(stream: io.BufferedReader) -> list[bytes]:
    """The lines of the next head, none when it does not come whole. Raises BadHead."""
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
                return []
            raise BadHead(431 if lines else 414)
        if not line.endswith(b"\r\n"):
            raise BadHead(400)
        if line == b"\r\n":
            break
        lines.append(line)
        left -= len(line)
        if len(lines) > 1 + MOST_HEADERS:
            raise BadHead(431)
    check(lines)
    return lines


def check(lines: list[bytes]) -> None:
    """Raises BadHead unless a head has one meaning."""
    match = LINE.fullmatch(lines[0])
    if match is None:
        raise BadHead(400)
    if match[1] != b"1":
        raise BadHead(505)
    once: dict[bytes, bytes] = {}
    for line in lines[1:]:
        field = HEADER.fullmatch(line)
        if field is None:
            raise BadHead(400)
        name = field[1].lower()
        if name in ONCE:
            if name in once:
                raise BadHead(400)
            once[name] = field[2]
    length, coding = once.get(b"content-length"), once.get(b"transfer-encoding")
    if length is not None and (coding is not None or not length.isdigit()):
        raise BadHead(400)
    is_old = lines[0].endswith(b"HTTP/1.0\r\n")
    if coding is not None and (is_old or coding.lower() != b"chunked"):
        raise BadHead(400)
