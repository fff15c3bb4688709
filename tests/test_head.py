import io
from http.server import BaseHTTPRequestHandler

import pytest

from tempkit.server.head import Head, read_head

BROWSER = """\
GET /token?a=1 HTTP/1.1
Host: localhost:8000
Connection: keep-alive
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8
Accept-Encoding: gzip, deflate, br, zstd
Accept-Language: de,en;q=0.7
Cookie: a=b; c="d e"
If-None-Match: W/"67ab43", "x"
Referer: http://localhost:8000/?q=%20
Sec-Fetch-Dest: empty
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36
X-Empty:
X-Latin: caf\u00e9"""
HONEST = [
    BROWSER,
    "GET / HTTP/1.0",
    "GET / HTTP/1.0\nConnection: keep-alive",
    "GET / HTTP/1.1\nHost: a\nConnection: close",
    "HEAD /a/b.js?x=%41#".rstrip("#") + " HTTP/1.1\nHost: [::1]:8000",
    "OPTIONS /token HTTP/1.1\nHost: a\nOrigin: https://a.example",
    "POST /token HTTP/1.1\nHost: a\nContent-Length: 5",
    "GET / HTTP/1.1\nHost: a\nContent-Length: 0",
    "GET / HTTP/1.1\nHost:    a   \nX: \t b \t",
]


def read(data: bytes) -> Head | int | None:
    return read_head(io.BufferedReader(io.BytesIO(data)))  # type: ignore[arg-type]


def to_bytes(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n"


class Library(BaseHTTPRequestHandler):
    """The standard library's parser alone."""

    protocol_version = default_request_version = "HTTP/1.1"

    def __init__(self, head: bytes) -> None:
        self.rfile, self.wfile = io.BytesIO(head), io.BytesIO()
        self.raw_requestline = self.rfile.readline(65537)
        self.requestline, self.client_address, self.close_connection = "", ("", 0), True
        self.is_good = self.parse_request()

    def log_message(self, *args: object) -> None:
        pass


@pytest.mark.parametrize("text", HONEST)
def test_an_honest_request_is_read_as_the_standard_library_reads_it(text: str):
    ours, theirs = read(to_bytes(text)), Library(to_bytes(text))
    assert ours
    assert theirs.is_good
    assert b"".join(ours.lines) + b"\r\n" == to_bytes(text)
    assert (ours.method, ours.target) == (theirs.command, theirs.path)
    assert ours.headers == {k.lower(): v.strip() for k, v in theirs.headers.items()}
    assert ours.keeps_alive == (not theirs.close_connection and not ours.has_body)


@pytest.mark.parametrize(
    "text",
    ["", "GET", "GET /", "GET  / HTTP/1.1", "GET / HTTP/1.1 ",
     " GET / HTTP/1.1", "GET /a b HTTP/1.1",
     "GET / HTTP/1.1\nHost a", "GET / HTTP/one", "GET / http/1.1",
     "GET / HTTP/1.10", "\u00e9 / HTTP/1.1",
     "GET http://evil.example/ HTTP/1.1", "GET * HTTP/1.1", "CONNECT evil.example:443 HTTP/1.1",
     "GET evil HTTP/1.1", "GET /#a HTTP/1.1", "GET /\u00e9 HTTP/1.1", "GET /\0 HTTP/1.1",
     "GET / HTTP/1.1\nHost: a\nHost: b", "GET / HTTP/1.1\nHost: a\nHost: a",
     "GET / HTTP/1.1\nA: b\n folded", "GET / HTTP/1.1\n A: b", "GET / HTTP/1.1\nA : b",
     "GET / HTTP/1.1\n: b", "GET / HTTP/1.1\nA\0: b", "GET / HTTP/1.1\nA: b\0",
     "GET / HTTP/1.1\nA: b\rC: d",
     "GET / HTTP/1.1\nA: \x7f", "GET / HTTP/1.1\nA B: c", "GET / HTTP/1.1\nContent-Length: -1",
     "GET / HTTP/1.1\nContent-Length: +1", "GET / HTTP/1.1\nContent-Length: 1, 1",
     "GET / HTTP/1.1\nContent-Length: 0x10", "GET / HTTP/1.1\nContent-Length:",
     "GET / HTTP/1.1\nContent-Length: \u00b2",
     "GET / HTTP/1.1\nContent-Length: 5\nContent-Length: 5",
     "GET / HTTP/1.1\nContent-Length: 5\nContent-Length: 6",
     "GET / HTTP/1.1\nTransfer-Encoding: chunked\nTransfer-Encoding: identity",
     "GET / HTTP/1.1\nContent-Length: 5\nTransfer-Encoding: chunked",
     "GET / HTTP/1.1\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked",
     "GET / HTTP/1.1\nTransfer-Encoding: xchunked", "GET / HTTP/1.1\nTransfer-Encoding:",
     "GET / HTTP/1.1\nTransfer-Encoding: gzip, chunked",
     "GET / HTTP/1.1\nTransfer-Encoding: \x0bchunked",
     "GET / HTTP/1.0\nTransfer-Encoding: chunked"],
)  # fmt: skip
def test_what_two_programs_could_read_in_two_ways_is_a_bad_request(text: str):
    assert read(to_bytes(text)) == 400


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1\nHost: a", b"GET / HTTP/1.1\r\nA: b\nC: d"])
def test_a_line_ends_in_carriage_return_and_line_feed(line: bytes):
    assert read(line + b"\r\n\r\n") == 400


@pytest.mark.parametrize(
    ("buffer", "status"),
    [
        (b"\x16\x03\x01\x02", 400),
        (b"GET /" + b"a" * 9000, 414),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 6000, 431),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 40_000 + b"\r\n\r\n", 431),
    ],
)
def test_a_head_that_does_not_end_is_refused(buffer: bytes, status: int):
    assert read(buffer) == status


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("GET / HTTP/2.0", 505),
        (f"GET /{'a' * 9000} HTTP/1.1", 414),
        ("GET / HTTP/1.1" + "\nA: b" * 101, 431),
    ],
)
def test_too_much_and_too_new_have_a_status_of_their_own(text: str, status: int):
    assert read(to_bytes(text)) == status


def test_a_head_ends_at_the_first_empty_line_and_a_half_one_is_none():
    first = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    stream = io.BufferedReader(io.BytesIO(first + b"GET /second"))  # type: ignore[arg-type]
    head = read_head(stream)
    assert head
    assert head.lines == [b"GET / HTTP/1.1\r\n", b"Host: a\r\n"]
    assert read_head(stream) is None
    assert read_head(stream) is None


@pytest.mark.parametrize(
    "header", ["Content-Length: 5", f"Content-Length: {'9' * 500}", "Transfer-Encoding: chunked"]
)
def test_a_body_ends_the_connection(header: str):
    head = read(to_bytes(f"GET / HTTP/1.1\n{header}"))
    assert head
    assert (head.has_body, head.keeps_alive) == (True, False)
