"""State: what the sessions and the routes of one sandbox share, its journal too. No I/O."""

import json
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from tempkit.protocol.messages import Json
from tempkit.protocol.parameters import ALIASES, RULES, SECRET
from tempkit.protocol.recording import Recording
from tempkit.sandbox.faults import Faults
from tempkit.sandbox.rules import Switches
from tempkit.sandbox.rules.ledger import Ledger

LENGTH, SIZE = 5_000, 2_000_000  # of the journal: entries, characters in all; the oldest go first
MOST = 100_000  # characters in an entry
HARMLESS = re.compile(r"[A-Za-z0-9_.-]{0,20}(/[A-Za-z0-9_.-]{0,20})*")


class State:
    """Tokens, journal, faults, open sessions and the clock by which they age."""

    def __init__(
        self,
        switches: Switches,
        faults: Faults,
        clock: Callable[[], float],
        recordings: Sequence[Recording] = (),
    ) -> None:
        self.switches = switches
        self.recordings = recordings  # which sessions are played from, where there are any
        self.clock = SpeedyClock(clock)
        self.numbers = count(1)  # of the sessions
        self.open_sessions: set[int] = set()
        self.reset()
        self.faults = faults

    @property
    def faults(self) -> Faults:
        """What goes wrong from now on; setting it restarts its counts."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._faults = faults
        self._hits: defaultdict[str, count[int]] = defaultdict(count)  # of what faults count
        self.clock.run_at(faults.clock_speed)

    def is_hit(self, counted: str) -> bool:
        """Whether the next of these, such as ``sessions``, is hit: all are unless a number says."""
        most: int | None = getattr(self.faults, counted)
        return most is None or next(self._hits[counted]) < most

    def reset(self) -> None:
        """Start over: no faults, an empty journal, every token unknown; open sessions go on."""
        self.ledger = Ledger(self.switches)
        self.faults = Faults()
        self.journal = Journal()


class SpeedyClock:
    """A clock that can be made to run faster from now on; it never jumps."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.speed = 1.0  # its seconds for one of the real clock's
        self._then = self._since = 0.0  # what it said, and the real one, when the speed changed

    def __call__(self) -> float:
        """The time now."""
        return self._then + self.speed * (self._clock() - self._since)

    def run_at(self, speed: float) -> None:
        """Change the speed."""
        now = self._clock()
        self._then += self.speed * (now - self._since)
        self._since, self.speed = now, speed


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
    """What was asked and answered, oldest first, without keys and tokens."""

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
    known = {k: v for k, v in given.items() if ALIASES.get(k, k) in RULES and k not in SECRET}
    ignored: list[Json] = [harmless(k) for k in given if k not in (*known, "type", *SECRET)]
    return known | ({"ignored": ignored} if ignored else {})


def harmless(text: str) -> str:
    """A name or path from outside, unless it is long or odd enough to hold a secret."""
    return text if HARMLESS.fullmatch(text) else "(not shown)"
