"""Journal: what a sandbox was asked and what it answered, without keys and tokens. No I/O."""

import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import overload

from tempkit.protocol.messages import Json
from tempkit.protocol.parameters import ALIASES, RULES, SECRET

LENGTH, SIZE = 5_000, 2_000_000  # entries, characters in all; the oldest go first
MOST = 100_000  # characters in an entry
HARMLESS = re.compile(r"[A-Za-z0-9_.-]{0,20}(/[A-Za-z0-9_.-]{0,20})*")


@dataclass(frozen=True)
class Entry:
    """One thing that happened: ``kind`` is request, opened, received, sent, note, fault or closed.

    ``at`` is Unix seconds by the sandbox's clock, ``session`` counts from 1 and is 0 for requests.
    """

    at: float
    session: int
    kind: str
    name: str
    text: str = field(repr=False)  # the detail as JSON, a tenth of the room

    @property
    def detail(self) -> dict[str, Json]:
        """What else there is to say, by name."""
        said: dict[str, Json] = json.loads(self.text)
        return said


class Journal(Sequence[Entry]):
    """The entries, oldest first; safe to read while sessions write."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._size = 0
        self._lock = threading.Lock()

    def add(
        self, at: float, session: int, kind: str, name: str, detail: Mapping[str, Json]
    ) -> None:
        """Write an entry; of a very long one only the length."""
        text = json.dumps(detail)
        if len(text) > MOST:
            text = json.dumps({"characters": len(text)})
        with self._lock:
            self._entries.append(Entry(at, session, kind, name, text))
            self._size += len(text)
            while len(self._entries) > LENGTH or self._size > SIZE:
                self._size -= len(self._entries.pop(0).text)

    def clear(self) -> None:
        """Forget every entry."""
        with self._lock:
            self._entries.clear()
            self._size = 0

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        return self._entries[index]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries[:])

    def __repr__(self) -> str:
        """How many entries there are."""
        return f"<Journal of {len(self)} entries>"


def shown(given: Mapping[str, Json]) -> dict[str, Json]:
    """The session parameters in a query or message, and the names of what is none of them.

    A value is shown only where the documentation says that the name holds no secret.
    """
    known: dict[str, Json] = {}
    ignored: list[Json] = []
    for name, value in given.items():
        if ALIASES.get(name, name) in RULES and name not in SECRET:
            known[name] = value
        elif name not in ("type", *SECRET):
            ignored.append(harmless(name))
    return known | ({"ignored": ignored} if ignored else {})


def harmless(text: str) -> str:
    """A name or path from outside, unless it is long or odd enough to hold a secret."""
    return text if HARMLESS.fullmatch(text) else "(not shown)"
