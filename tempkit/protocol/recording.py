"""A session's frames in both directions with their times, as JSON lines. No I/O.

The first line is ``{"recording": 1, "query": {...}}``, each other one a frame: ``at`` (seconds from
the opening), ``by`` (client or service), and ``text``, ``audio`` (base64), ``audio_bytes`` (where
the sound itself was left out) or ``code`` and ``reason`` of a close. No secret is in it.
"""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

from tempkit.errors import ProtocolError
from tempkit.protocol.messages import Json, parse_object

VERSION = 1
SECRET = ("token", "webhook_auth_header_value", "webhook_url", "llm_gateway")
Side = Literal["client", "service"]


class Close(NamedTuple):
    """How a connection was closed; 1006 stands for no close at all."""

    code: int
    reason: str


@dataclass(frozen=True)
class Frame:
    """One frame: text, audio, the size of audio that was not kept, or a close."""

    at: float
    by: Side
    data: str | bytes | int | Close

    def line(self, *, keeps_audio: bool = True) -> str:
        """The frame as a line, without its line end."""
        head: dict[str, Json] = {"at": round(self.at, 4), "by": self.by}
        data = len(self.data) if isinstance(self.data, bytes) and not keeps_audio else self.data
        if isinstance(data, str):
            return json.dumps(head | {"text": data})
        if isinstance(data, bytes):
            return json.dumps(head | {"audio": base64.b64encode(data).decode()})
        if isinstance(data, Close):
            return json.dumps(head | {"code": data.code, "reason": data.reason})
        return json.dumps(head | {"audio_bytes": data})

    @classmethod
    def read(cls, line: str) -> Self:
        """The frame in a line. Raises ProtocolError when it is none."""
        found = parse_object(line)
        try:
            at, by = float(str(found["at"])), found["by"]
            if by not in ("client", "service"):
                raise ValueError(by)
            data: str | bytes | int | Close
            if "text" in found:
                data = str(found["text"])
            elif "audio" in found:
                data = base64.b64decode(str(found["audio"]), validate=True)
            elif "audio_bytes" in found:
                data = int(str(found["audio_bytes"]))
            else:
                data = Close(int(str(found["code"])), str(found["reason"]))
        except (LookupError, ValueError):
            raise ProtocolError(f"this line is no frame of a recording: {line:.80}") from None
        return cls(at, "client" if by == "client" else "service", data)


@dataclass(frozen=True)
class Recording:
    """One session: what it was opened with, and its frames in their order."""

    query: Mapping[str, str]
    frames: tuple[Frame, ...]

    @classmethod
    def read(cls, lines: Iterable[str]) -> Self:
        """The recording in these lines. Raises ProtocolError when it is none."""
        given: Iterator[str] = (line for line in lines if line.strip())
        head = parse_object(next(given, "{}"))
        query = head.get("query")
        if head.get("recording") != VERSION or not isinstance(query, dict):
            raise ProtocolError(f"not a recording of a session, of version {VERSION}")
        frames = tuple(Frame.read(line) for line in given)
        return cls({name: str(value) for name, value in query.items()}, frames)


def head_line(query: Mapping[str, str]) -> str:
    """The first line of a recording, without what is secret in the query."""
    kept: dict[str, Json] = {k: v for k, v in query.items() if k not in SECRET}
    return json.dumps({"recording": VERSION, "query": kept})
