"""Dialer: opens a session's connections, each with a temporary token of its own."""

import time
from collections.abc import Mapping

from tempkit.config import Settings
from tempkit.errors import ServiceUnreachable, SessionClosed
from tempkit.protocol.close_codes import CloseCode
from tempkit.protocol.messages import Begin
from tempkit.streaming.link import Link, LinkClosed
from tempkit.streaming.recorder import Recorder
from tempkit.streaming.session import ClientSession
from tempkit.tokens import TemporaryToken, generate_temp_token

USED = "already been used"  # in the service's words


class Dialer:
    """Opens links and waits until a session has begun on them.

    ``token`` is for the first link; without one, and for every later link, a new one is taken.
    """

    def __init__(
        self,
        settings: Settings,
        token: str | None,
        pong_seconds: float,
        recorder: Recorder | None = None,
    ) -> None:
        self._settings = settings
        self._given = token
        self._token = ""  # of the latest link
        self._is_own = True  # nobody else can have used it
        self._pong_seconds = pong_seconds
        self._recorder = recorder

    def open(self, query: Mapping[str, str]) -> Link:
        """A link on which nothing was said yet.

        Raises TempkitError, and ValueError for a TemporaryToken that was used before.
        """
        self._is_own = self._given is None
        self._token = self._given or generate_temp_token(settings=self._settings)
        self._given = None
        if isinstance(self._token, TemporaryToken):
            self._token.spend()
        link = Link.open(self._settings, query, self._token, self._pong_seconds)
        if self._recorder is not None:
            link.tells = self._recorder.begin(query)
        return link

    def await_begin(self, link: Link, half: ClientSession) -> Begin:
        """The Begin that the service sends first. Raises TempkitError, with the link closed."""
        try:
            return _begin(link, half, self._settings.timeout)
        except BaseException as error:  # Ctrl-C, too
            link.close()
            if isinstance(error, SessionClosed):
                self._note(error)
            raise

    def was_sent_twice(self, refused: SessionClosed) -> bool:
        """Whether the network used up the token before the service answered us."""
        return self._is_own and USED in refused.reason

    def _note(self, closed: SessionClosed) -> None:
        if isinstance(self._token, TemporaryToken) and closed.code == CloseCode.REFUSED:
            self._token.refuse(closed.reason)


def _begin(link: Link, half: ClientSession, timeout: float) -> Begin:
    deadline = time.monotonic() + timeout
    try:
        while half.begin is None:
            half.receive(link.receive(deadline - time.monotonic()))
    except TimeoutError:
        text = f"the service opened the connection but sent no Begin within {timeout:g} s"
        raise ServiceUnreachable(text, may_pass=True) from None
    except LinkClosed as closed:
        refused = half.closed(closed.code, closed.reason)
        assert refused is not None  # no Termination can have come
        raise refused from None
    return half.begin
