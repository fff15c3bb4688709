"""State: what the sessions and the routes of one sandbox share. No I/O."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from tempkit.sandbox.faults import Armed, Faults, SpeedyClock
from tempkit.sandbox.journal import Journal
from tempkit.sandbox.rules.ledger import Ledger


@dataclass(frozen=True)
class Admission:
    """Who gets in: see ``Sandbox`` for what each of these means."""

    api_keys: frozenset[str] | None = None
    single_use: bool = True
    sessions_per_minute: int | None = None
    documented_token_errors: bool = False
    cors: bool = False


class State:
    """Tokens, journal, faults and the clock by which sessions age."""

    def __init__(
        self,
        admission: Admission,
        faults: Faults,
        clock: Callable[[], float],
        *,
        realtime: bool = True,
    ) -> None:
        self.admission = admission
        self.realtime = realtime
        self.clock = SpeedyClock(clock)
        self.journal = Journal()
        self.open_sessions = 0
        self._sessions = 0
        self._lock = threading.Lock()
        self._renew()
        self.faults = faults

    @property
    def faults(self) -> Faults:
        """What goes wrong from now on; setting it starts its counts anew."""
        return self.armed.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self.armed = Armed(faults)
        self.clock.speed = faults.clock_speed

    def reset(self) -> None:
        """Start over: no faults, an empty journal, every token unknown; open sessions go on."""
        self._renew()
        self.faults = Faults()
        self.journal.clear()

    def enter(self) -> int:
        """A session opens; gives its number."""
        with self._lock:
            self._sessions += 1
            self.open_sessions += 1
            return self._sessions

    def leave(self) -> None:
        """A session is over."""
        with self._lock:
            self.open_sessions -= 1

    def _renew(self) -> None:
        a = self.admission
        self.ledger = Ledger(a.api_keys, a.single_use, a.sessions_per_minute)
