"""One probe put to one endpoint: what was sent and what came back, as the frames of a recording."""

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import httpx
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tempkit.protocol.close_codes import CloseCode
from tempkit.protocol.recording import Close, Frame

BYTES_A_SECOND = 32_000  # 16 kHz, 16 bits
PATIENCE_SECONDS = 30.0  # for a close, after everything was sent


@dataclass(frozen=True)
class Endpoint:
    """Something that speaks the protocol, and a key for it; ``realtime`` paces what is sent."""

    name: str
    url: str
    key: str
    realtime: bool

    def token(self, seconds: int = 60, **more: int) -> str:
        """A temporary token."""
        query = {"expires_in_seconds": seconds} | more
        return str(self.ask("GET", "/v3/token", query).json()["token"])

    def ask(
        self, method: str, path: str, query: dict[str, int], *, key: str | None = ""
    ) -> httpx.Response:
        """The answer to a request; ``key`` None sends none, a text another one."""
        headers = {} if key is None else {"Authorization": key or self.key}
        return httpx.request(method, f"{self.url}{path}", params=query, headers=headers, timeout=30)


class Seen:
    """What came of a session, in the words of the table."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.frames = frames
        theirs = [frame for frame in frames if frame.by == "service"]
        self.close = next((f.data for f in theirs if isinstance(f.data, Close)), None)
        self.messages = [(f.at, json.loads(f.data)) for f in theirs if isinstance(f.data, str)]

    def all(self, kind: str) -> list[dict]:
        """The messages of a type."""
        return [message for _, message in self.messages if message.get("type") == kind]

    def types(self) -> str:
        """The types that came, each run of one once, and the close."""
        kinds = [str(message.get("type")) for _, message in self.messages]
        runs = [k for k, before in zip(kinds, ["", *kinds], strict=False) if k != before]
        return ", ".join([*runs, self.closed()])

    def closed(self) -> str:
        """The close code, and its reason."""
        if self.close is None:
            return "still open"
        code, reason = self.close
        return "dropped" if code == CloseCode.ABNORMAL else f"close {code} {reason}".strip()

    def refusal(self) -> str:
        """The Error's code and text, and the close."""
        errors = [f"{e.get('error_code')}: {e.get('error')}" for e in self.all("Error")]
        return "; ".join([*errors, self.closed()])

    def finals(self) -> str:
        """How turns end: p with a plain final, F with a formatted one, pF with both, 0 empty."""
        found: dict[int, str] = {}
        for turn in self.all("Turn"):
            if turn["end_of_turn"]:
                mark = "F" if turn["turn_is_formatted"] else "p"
                order = turn["turn_order"]
                found[order] = found.get(order, "") + (mark if turn["transcript"] else "0")
        return ", ".join(sorted(set(found.values()))) or "none"

    def seconds_from(self, text: str, kind: str) -> float | None:
        """How long after a text was sent the first message of a type came."""
        sent = [f.at for f in self.frames if f.by == "client" and f.data == text]
        came = [at for at, m in self.messages if m.get("type") == kind]
        return came[0] - sent[0] if sent and came else None


class Talk:
    """One socket session with an endpoint."""

    def __init__(self, endpoint: Endpoint, query: dict[str, str], key: str | None) -> None:
        self._url = f"ws{endpoint.url.removeprefix('http')}/v3/ws?{urlencode(query)}"
        self._headers = {} if key is None else {"Authorization": key}
        self._paced = endpoint.realtime
        self._begun = time.monotonic()
        self._closed = threading.Event()
        self.frames: list[Frame] = []

    def hold(self, steps: Sequence[str | bytes | float]) -> Seen:
        """Send what is to be sent, with pauses in seconds between, and wait for the close."""
        try:
            connection = connect(self._url, additional_headers=self._headers, open_timeout=30)
        except InvalidStatus as refused:
            self._keep("service", Close(CloseCode.ABNORMAL, f"HTTP {refused.response.status_code}"))
            return Seen(self.frames)
        with connection:
            reader = threading.Thread(target=self._read, args=(connection,))
            reader.start()
            for step in steps:
                self._take(connection, step)
            self._closed.wait(PATIENCE_SECONDS)
            connection.close()
            reader.join()
        return Seen(self.frames)

    def _take(self, connection: ClientConnection, step: str | bytes | float) -> None:
        if isinstance(step, float):
            self._closed.wait(step)
            return
        try:
            self._keep("client", step)
            connection.send(step)
        except ConnectionClosed:
            return
        if isinstance(step, bytes) and self._paced:
            self._closed.wait(len(step) / BYTES_A_SECOND)

    def _read(self, connection: ClientConnection) -> None:
        try:
            while True:
                self._keep("service", connection.recv())
        except ConnectionClosed as closed:
            if closed.rcvd and not closed.rcvd_then_sent:
                return  # nobody but this side closed it
            code, reason = (
                (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (CloseCode.ABNORMAL, "")
            )
            self._keep("service", Close(code, reason))
        finally:
            self._closed.set()

    def _keep(self, by: str, data: str | bytes | Close) -> None:
        at = time.monotonic() - self._begun
        self.frames.append(Frame(at, "client" if by == "client" else "service", data))
