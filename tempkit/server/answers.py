"""Answer: what a site says to a request, whoever carries it."""

import json
from typing import NamedTuple

from tempkit.server.files import Content

Headers = tuple[tuple[str, str], ...]
UNSTORED = ("Cache-Control", "no-store")


class Answer(NamedTuple):
    """An HTTP answer; ``headers`` do not hold the length, nor what concerns the connection."""

    status: int
    headers: Headers
    body: bytes | Content

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
    return Answer(status, headers, f"{int(status)} {text}\n".encode())
