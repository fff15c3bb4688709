"""Requests with a body, which the WebSocket library reads none of. No I/O."""

import re

# The token routes of the service that are asked with a body.
WITH_BODY = (b"POST /v1/token", b"POST /v2/realtime/token")
LENGTH = re.compile(rb"\r\nContent-Length:[ \t]*(\d+)[ \t]*(?=\r\n)", re.IGNORECASE)
LARGEST = 64 * 1024  # bytes, of head and body


class BodyTaken:
    """The first bytes of a connection: takes the body of its request out, and keeps it."""

    def __init__(self) -> None:
        self.body = b""
        self._held = b""
        self._is_done = False

    def feed(self, data: bytes) -> bytes:
        """What of the bytes so far, and these, is for the library."""
        if self._is_done:
            return data
        self._held += data
        starts = (start[: len(self._held)] for start in WITH_BODY)
        if not self._held.startswith(tuple(starts)) or len(self._held) > LARGEST:
            return self.rest()
        head, ended, body = self._held.partition(b"\r\n\r\n")
        length = LENGTH.search(head + ended)
        if not ended or (length and len(body) < int(length[1])):
            return b""
        if length:
            size = int(length[1])
            self.body, self._held = body[:size], LENGTH.sub(b"", head + ended) + body[size:]
        return self.rest()

    def rest(self) -> bytes:
        """What was held back: no more is looked at."""
        held, self._held, self._is_done = self._held, b"", True
        return held
