"""State: what the sessions and the routes of one sandbox share. No I/O."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import count

from tempkit.protocol.recording import Recording
from tempkit.sandbox.faults import Faults, SpeedyClock
from tempkit.sandbox.journal import Journal
from tempkit.sandbox.rules import Switches
from tempkit.sandbox.rules.ledger import Ledger


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
        self.journal = Journal()
        self.ledger = Ledger(switches)
        self.numbers = count(1)  # of the sessions
        self.open_sessions: set[int] = set()
        self.faults = faults

    @property
    def faults(self) -> Faults:
        """What goes wrong from now on; setting it starts its counts anew."""
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
