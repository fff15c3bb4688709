"""Responder: what a connection asked is answered by a site, as bytes on that connection."""

import time
from email.utils import formatdate
from urllib.parse import unquote

from tempkit.connection import Connection, State
from tempkit.guard import Request
from tempkit.http1 import Head, render_head
from tempkit.site import Answer, Site


class Responder:
    """Answers the request that a connection holds."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._date = (0, "")

    def is_at_hand(self, connection: Connection) -> bool:
        """Whether the answer waits for nobody."""
        asked = connection.asked
        return not isinstance(asked, Head) or self._site.is_at_hand(_path(asked))

    def answer(self, connection: Connection) -> None:
        """Answer; the connection's state says how it goes on. Raises OSError."""
        asked, connection.asked = connection.asked, None
        assert asked is not None
        if isinstance(asked, Head):
            head, answer = asked, self._site.answer(_request(asked, connection))
        else:
            head, answer = None, self._site.unreadable(asked.status, connection.client)
        is_sent = self._send(connection, answer, head)
        connection.was_answered = True
        connection.ends = head is None or not head.keeps_alive
        if is_sent and not connection.ends:
            return
        has_more = head is None or head.has_body or connection.read
        connection.state = State.WRITING if has_more or not is_sent else State.DONE

    def _send(self, connection: Connection, answer: Answer, head: Head | None) -> bool:
        """Whether all of the answer is on its way. Raises OSError."""
        start, body = self._render(answer, head), answer.body
        if head is not None and head.method == "HEAD":
            return connection.send(start)
        if isinstance(body, bytes):
            return connection.send(start, body)
        pieces = body.pieces()
        return connection.send(start, next(pieces), pieces)

    def _render(self, answer: Answer, head: Head | None) -> bytes:
        second = int(time.time())
        if self._date[0] != second:
            self._date = (second, formatdate(second, usegmt=True))
        headers = [*answer.headers, ("Date", self._date[1])]
        if answer.status not in (204, 304):
            headers.append(("Content-Length", str(len(answer.body))))
        return render_head(answer.status, headers, head is not None and head.keeps_alive)


def _path(head: Head) -> str:
    return unquote(head.target.partition("?")[0])


def _request(head: Head, connection: Connection) -> Request:
    query = head.target.partition("?")[2]
    return Request(
        head.method, _path(head), query, head.headers, connection.client, connection.is_secure
    )
