"""Faults: what goes wrong in a sandbox on demand. No I/O: when to do what; the shell does it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from tempkit.errors import BadValue, unfailing
from tempkit.protocol.close_codes import CloseCode
from tempkit.protocol.parameters import Rule

DAY, MOST = 86_400, 10**9
# ABNORMAL stands for no close at all, NO_CODE for one without a code.
SENDABLE = (*range(1000, 1004), *range(CloseCode.NO_CODE, 1015), *range(3000, 5000))

# What a fault does, in the order in which those of one moment happen. The last four go on.
WHAT = {
    "say": "sends message as text",
    "say_binary": "sends message in a binary frame",
    "stall": "stops handling and answering all but pings for stall_seconds",
    "cancel": "sends the service's own Error 3005",
    "terminate": "sends an unrequested Termination and closes with 1000",
    "close": "closes with close_code; 1005 sends no code, 1006 drops the connection",
    "cut": "drops the connection",
    "stop_answering": "sends nothing but heartbeats from then on, not even a Termination",
    "stop_heartbeats": "sends no more heartbeats",
    "stop_upload": "loses all that the client sends, without recognising or acknowledging it",
    "stop_reading": "reads one more message off the socket and then nothing, not even pings",
}
# What its moment is counted in.
WAYS = {
    "sent": Rule(int, 0, MOST),  # messages, Begin is the first
    "received": Rule(int, 0, MOST),  # messages
    "seconds": Rule(float, 0, DAY),
    "audio_seconds": Rule(float, 0, DAY),  # received
}
MOMENTS = {f"{what}_after_{way}": rule for what in WHAT for way, rule in WAYS.items()}


def _fault(kind: type, low: float, high: float, default: float | str | None = None) -> Any:  # noqa: ANN401
    return field(default=default, metadata={"rule": Rule(kind, low, high)})


@dataclass(frozen=True, init=False, repr=False)
class Faults:
    """What goes wrong: ``Sandbox(faults=Faults(close_after_received=20, close_code=1012))``.

    Faults in a session are named ``<what>_after_<way>``. ``tempkit.sandbox.faults.WHAT`` lists
    them; each happens after that many messages have been ``sent`` (Begin is the first) or
    ``received``, or that many ``seconds`` or ``audio_seconds`` have passed. ``sessions`` says how
    many of the next sessions are hit (None: all). Raises ValueError for an unknown fault and,
    naming the range, for a bad value.
    """

    given: Mapping[str, Any]  # what it was made with, by name

    message: str = _fault(str, 0, 100_000, "not JSON")
    close_code: int = _fault(int, SENDABLE[0], SENDABLE[-1], 1000)
    stall_seconds: float = _fault(float, 0, DAY, 3600)
    slow_begin_seconds: float = _fault(float, 0, DAY, 0)
    slow_termination_seconds: float = _fault(float, 0, DAY, 0)  # the last words are late, too
    sessions: int | None = _fault(int, 0, MOST)

    # The next so many WebSockets are cut before they open, or answered with an HTTP status.
    refuse_connections: int = _fault(int, 0, MOST, 0)
    refuse_status: int | None = _fault(int, 400, 599)

    token_delay_seconds: float = _fault(float, 0, DAY, 0)
    token_status: int | None = _fault(int, 400, 599)
    token_failures: int | None = _fault(int, 0, MOST)  # with token_status: how many, None all

    clock_speed: float = _fault(float, 1, 100_000, 1)  # how fast tokens and sessions age

    def __init__(self, **given: float | str | None) -> None:
        """Check every value that was given."""
        known = {name: value for name, value in given.items() if value is not None}
        for name, value in known.items():
            _rule(name).check(name, value)
        vars(self).update(known, given=known)
        if self.close_code not in SENDABLE:
            allowed = "1000 to 1003, 1005 to 1014 or 3000 to 4999"
            raise BadValue(f"close_code takes {allowed}, not {self.close_code}")

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Self:
        """The faults in a query. Raises ValueError for an unknown name or a bad value."""
        return cls(**{name: _read(name, text) for name, text in query.items()})

    def __str__(self) -> str:
        """What it was made with, as on a command line; nothing for none."""
        return ", ".join(f"{name}={value}" for name, value in self.given.items())

    @unfailing
    def __repr__(self) -> str:
        """What it was made with."""
        return f"Faults({', '.join(f'{name}={value!r}' for name, value in self.given.items())})"


PLAIN = {each.name: each.metadata["rule"] for each in fields(Faults) if each.metadata}


def _rule(name: str) -> Rule:
    rules: dict[str, Rule] = MOMENTS | PLAIN
    if name not in rules:
        moments = f"{'|'.join(WHAT)} + _after_ + {'|'.join(WAYS)}"
        raise BadValue(f"there is no fault {name!r:.40}; use {moments}, {', '.join(PLAIN)}")
    return rules[name]


def _read(name: str, text: str) -> float | str:
    kind = _rule(name).kind
    try:
        value: float | str = kind(text)
    except ValueError:
        said = "a whole number" if kind is int else "a number"
        raise BadValue(f"{name} takes {said}, not {text!r:.40}") from None
    return value


class Progress:
    """One session's way to its faults: tell it of each message, ask it what is due."""

    def __init__(self, faults: Faults, now: float) -> None:
        self.faults = faults
        self.reached = dict.fromkeys(WAYS, 0.0)
        self.happened: set[str] = set()
        self._begun_at = now
        parts = (name.partition("_after_") for name in MOMENTS if name in faults.given)
        self._moments = [(what, way, faults.given[what + by + way]) for what, by, way in parts]

    def due(self, now: float) -> Iterator[str]:
        """What goes wrong now; each does so once."""
        self.reached["seconds"] = now - self._begun_at
        for what, way, at in self._moments:
            if self.reached[way] >= at and what not in self.happened:
                self.happened.add(what)
                yield what
