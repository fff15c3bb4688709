"""Journal: what a sandbox was asked and what it answered, without keys and tokens. No I/O."""

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

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
        said.pop("type", None)  # of a message: its name says it
        return said


class Journal:
    """The entries, oldest first; safe to copy while sessions write."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._size = 0
        self._lock = threading.Lock()

    def add(
        self, at: float, session: int, kind: str, name: str, said: Mapping[str, Json] | str
    ) -> None:
        """Write an entry, of an object or its JSON; of a very long one only the length."""
        text = said if isinstance(said, str) else json.dumps(said)
        if len(text) > MOST:
            text = json.dumps({"characters": len(text)})
        with self._lock:
            self.entries.append(Entry(at, session, kind, name, text))
            self._size += len(text)
            while len(self.entries) > LENGTH or self._size > SIZE:
                self._size -= len(self.entries.pop(0).text)


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
