"""Tunnel: a session's socket in the kernel, for a browser that cannot reach the service itself."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress

from tempkit.config import Settings
from tempkit.errors import ServiceUnreachable, SessionClosed, TempkitError, TokenRefused, defect
from tempkit.protocol.close_codes import CloseCode
from tempkit.protocol.messages import CHUNK_MILLISECONDS
from tempkit.protocol.parameters import SessionParameters
from tempkit.sound.samples import AudioFormat
from tempkit.streaming.link import Link
from tempkit.streaming.retry import Reconnect
from tempkit.tokens import TemporaryToken

log = logging.getLogger(__name__)

POLICY = Reconnect()
IDLE_SECONDS = 30.0  # without a message of the browser: its page is gone
LONGEST_QUEUE = 4000  # messages: more than a browser keeps, which is 300 s in 100 ms pieces

Tell = Callable[..., None]  # tell(kind, **fields): a message to the browser about this tunnel


class Tunnel:
    """Opens a link with a token of its own and passes messages on both ways, until it is closed.

    That happens in threads of its own. ``tell`` gets "opened" or "refused" first, then each
    "message", and "closed" at the end.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        parameters: SessionParameters,
        mint: Callable[[], TemporaryToken],
        tell: Tell,
    ) -> None:
        self.name = name
        self._settings = settings
        self._parameters = parameters
        self._mint = mint
        self._tell = tell
        self._audio = AudioFormat(parameters.sample_rate, "pcm_s16le")
        self._queue: queue.Queue[str | bytes | None] = queue.Queue(LONGEST_QUEUE)
        self._closing = threading.Event()
        threading.Thread(target=self._run, name="tempkit tunnel", daemon=True).start()

    def send(self, data: str | bytes) -> None:
        """Pass a message on to the service, later; an empty one says that the page is there.

        Too many of them end the tunnel. Raises ValueError for one longer than the service takes.
        """
        most = self._audio.size(CHUNK_MILLISECONDS[1])
        if len(data) > most:
            raise ValueError(f"a message may have at most {most} bytes, not {len(data)}")
        try:
            self._queue.put_nowait(data)
        except queue.Full:
            self.close()

    def close(self) -> None:
        """Close the link, whatever still waits for it; returns at once."""
        self._closing.set()
        with suppress(queue.Full):  # or else nobody waits
            self._queue.put_nowait(None)

    def _run(self) -> None:
        try:
            token = self._mint()
            token.spend()
            query = self._parameters.client_query()
            link = Link.open(self._settings, query, token, POLICY.pong_seconds)
        except Exception as error:  # also a defect: the browser waits for a word
            self._tell("refused", **refusal(error))
            return
        self._tell("opened")
        name = "tempkit tunnel reader"
        threading.Thread(target=self._read, args=(link,), name=name, daemon=True).start()
        with closing(link), suppress(SessionClosed):  # the reader says so
            self._write(link)

    def _write(self, link: Link) -> None:
        due = 0.0
        while True:
            try:
                data = self._queue.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                log.warning("closing a tunnel: its page sent nothing for %s s", IDLE_SECONDS)
                return
            # What waited while a cell kept the kernel busy comes at once, and the service refuses
            # that.
            now = time.monotonic()
            if data is None or self._closing.wait(max(0.0, due - now)):
                return
            if isinstance(data, bytes):
                due = max(now, due) + self._audio.seconds(len(data)) / POLICY.replay_rate
            if data:
                link.send(data)

    def _read(self, link: Link) -> None:
        code: int = CloseCode.ABNORMAL
        reason = ""
        try:
            while True:
                text = link.receive()
                self._tell("message", text=text if isinstance(text, str) else text.decode())
        except SessionClosed as closed:
            if not self._closing.is_set():  # by us: 1000 would tell the browser that all is said
                code, reason = closed.code, closed.reason
        finally:
            self.close()
            self._tell("closed", code=code, reason=reason)


def refusal(error: Exception) -> dict[str, str | int]:
    """What a browser is told about an error: its text, and the status that it stands for."""
    if not isinstance(error, TempkitError):
        log.error("a session failed: %s", defect(error))
        return {"message": "something failed in the kernel; its log says what", "status": 500}
    if isinstance(error, TokenRefused):
        return {"message": str(error), "status": error.status}
    is_transient = isinstance(error, (ServiceUnreachable, SessionClosed))
    return {"message": str(error), "status": 503 if is_transient else 400}
