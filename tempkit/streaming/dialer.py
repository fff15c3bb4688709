"""Dialer: opens a session's connections, each with a temporary token of its own."""

import time

from tempkit.config import Settings
from tempkit.errors import ProtocolError, ServiceUnreachable, SessionClosed
from tempkit.protocol.messages import Begin, CloseCode
from tempkit.protocol.parameters import SessionParameters
from tempkit.streaming.link import Link, LinkClosed
from tempkit.streaming.session import ClientSession
from tempkit.tokens import TemporaryToken, generate_temp_token


class Dialer:
    """Opens links and waits until a session has begun on them.

    ``token`` is for the first link; without one, and for every later link, a new one is taken.
    """

    def __init__(self, settings: Settings, token: str | None, pong_seconds: float) -> None:
        self._settings = settings
        self._given = token
        self._token = ""  # of the latest link
        self._pong_seconds = pong_seconds

    def open(self, parameters: SessionParameters) -> Link:
        """A link on which nothing was said yet.

        Raises TempkitError, and ValueError for a TemporaryToken that was used before.
        """
        self._token = self._given or generate_temp_token(settings=self._settings)
        self._given = None
        if isinstance(self._token, TemporaryToken):
            self._token.spend()
        return Link.open(self._settings, parameters, self._token, self._pong_seconds)

    def await_begin(self, link: Link, half: ClientSession) -> Begin:
        """The Begin that the service sends first. Raises TempkitError, with the link closed."""
        try:
            return _begin(link, half, self._settings.timeout)
        except BaseException as error:  # Ctrl-C, too
            link.close()
            if isinstance(error, SessionClosed):
                self._note(error)
            raise

    def _note(self, closed: SessionClosed) -> None:
        if isinstance(self._token, TemporaryToken) and closed.code == CloseCode.REFUSED:
            self._token.refuse(closed.reason)


def _begin(link: Link, half: ClientSession, timeout: float) -> Begin:
    deadline = time.monotonic() + timeout
    try:
        while half.begin is None:
            half.receive(link.receive(deadline - time.monotonic()))
    except TimeoutError:
        text = f"opened the connection but sent no Begin within {timeout:g} s"
        raise ServiceUnreachable(f"the service {text}") from None
    except LinkClosed as closed:
        raise half.closed(closed.code, closed.reason) or ProtocolError(
            "the service closed the session before it began"
        ) from None
    return half.begin
