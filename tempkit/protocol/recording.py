"""A session's frames in both directions with their times, as JSON lines. No I/O.

Of each connection the first line is ``{"recording": 1, "query": {...}}``, each other one a frame:
``at`` (seconds from the opening), ``by`` (client or service), and ``text``, ``audio`` (base64),
``audio_bytes`` (where the sound itself was left out) or ``code`` and ``reason`` of a close. No
secret is in it.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self, get_args

from tempkit.errors import ProtocolError
from tempkit.protocol.messages import Json, parse_object
from tempkit.protocol.parameters import SECRET

VERSION = 1
NO_RECORDING = f"not a session recording of version {VERSION}"
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
        found: dict[str, Any] = parse_object(line)
        data: str | bytes | int | Close
        try:
            if "text" in found:
                data = str(found["text"])
            elif "audio" in found:
                data = base64.b64decode(found["audio"], validate=True)
            elif "audio_bytes" in found:
                data = int(found["audio_bytes"])
            else:
                data = Close(int(found["code"]), str(found["reason"]))
            if found["by"] not in get_args(Side):
                raise ValueError(found["by"])
            return cls(float(found["at"]), found["by"], data)
        except (LookupError, TypeError, ValueError):
            raise ProtocolError(f"this line is not a recorded frame: {line:.80}") from None


@dataclass(frozen=True)
class Recording:
    """One connection: what it was opened with, and its frames in their order."""

    query: Mapping[str, str]
    frames: tuple[Frame, ...]

    @classmethod
    def read(cls, lines: Iterable[str]) -> list[Self]:
        """The connections in these lines, one or more. Raises ProtocolError when there are none."""
        found: list[tuple[dict[str, str], list[Frame]]] = []
        for line in filter(str.strip, lines):
            if line.startswith('{"recording"'):
                found.append((_read_head(line), []))
            elif found:
                found[-1][1].append(Frame.read(line))
            else:
                break
        if not found:
            raise ProtocolError(NO_RECORDING)
        return [cls(query, tuple(frames)) for query, frames in found]


def _read_head(line: str) -> dict[str, str]:
    head = parse_object(line)
    query = head.get("query")
    if head["recording"] != VERSION or not isinstance(query, dict):
        raise ProtocolError(NO_RECORDING)
    return {name: str(value) for name, value in query.items()}


def head_line(query: Mapping[str, str]) -> str:
    """The first line of a recording, without what is secret in the query."""
    kept: dict[str, Json] = {k: v for k, v in query.items() if k not in SECRET}
    return json.dumps({"recording": VERSION, "query": kept})
