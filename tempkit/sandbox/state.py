"""State: what the sessions and the routes of one sandbox share. No I/O."""

import threading
from collections.abc import Callable, Sequence

from tempkit.protocol.recording import Recording
from tempkit.sandbox.faults import Armed, Faults, SpeedyClock
from tempkit.sandbox.journal import Journal
from tempkit.sandbox.rules.ledger import Ledger
from tempkit.sandbox.rules.switches import Switches


class State:
    """Tokens, journal, faults and the clock by which sessions age."""

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
        self.journal = Journal()
        self.open_sessions = 0
        self._sessions = 0
        self._lock = threading.Lock()
        self.ledger = Ledger(switches)
        self.faults = faults

    @property
    def faults(self) -> Faults:
        """What goes wrong from now on; setting it starts its counts anew."""
        return self.armed.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self.armed = Armed(faults)
        self.clock.run_at(faults.clock_speed)

    def reset(self) -> None:
        """Start over: no faults, an empty journal, every token unknown; open sessions go on."""
        self.ledger = Ledger(self.switches)
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
