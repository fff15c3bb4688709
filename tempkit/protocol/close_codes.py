"""The close codes of a session's WebSocket, what each asks of a client, and what to tell people.

Source: AssemblyAI's session errors for 3005 and above, RFC 6455 and its registry for the rest.
"""

from enum import Enum, IntEnum

from tempkit.errors import SessionClosed

INACTIVE = "inactivity"  # a word of the reason that comes with 3006 when nothing was sent for long
SILENT = "send audio continuously, even silence, or call keep_alive() while there is none"
PASSING = (502, 503, 504)  # HTTP: what a gateway answers while the service behind it restarts


class Then(Enum):
    """What a client does about a session that it did not end itself."""

    END = "end"  # the next one would end in the same way
    RENEW = "renew"  # another one at once
    BACK_OFF = "back off"  # another one after a pause that grows
    BACK_OFF_TWICE = "back off twice"  # the same, but not for ever
    CROWDED = "crowded"  # another one when there may be a place again


class CloseCode(IntEnum):
    """How a session was closed: ``then`` is what a client does next, ``advice`` is for people."""

    then: Then
    advice: str

    def __new__(cls, code: int, then: Then, advice: str) -> "CloseCode":
        """A member is an int that carries both."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.then = then
        member.advice = advice
        return member

    # 1000 is an end only as the answer to our own Terminate: balancers close with it, too.
    ENDED = 1000, Then.BACK_OFF, "open a new session with a fresh token"
    GOING_AWAY = 1001, Then.BACK_OFF, "the service is restarting; open a new session"
    NOT_WEBSOCKET = 1002, Then.END, "the two sides disagree about the WebSocket protocol"
    NOT_TAKEN = 1003, Then.END, "send audio as binary messages and commands as text"
    NO_CODE = 1005, Then.BACK_OFF, "a server in between closed the connection; open a new session"
    ABNORMAL = 1006, Then.BACK_OFF, "check the network and open a new session"
    NOT_TEXT = 1007, Then.END, "send commands as UTF-8 text"
    REFUSED = 1008, Then.END, "check the key or get a fresh token; each token opens one session"
    TOO_BIG = 1009, Then.END, "send smaller messages"
    NO_EXTENSION = 1010, Then.END, "the service does not support that WebSocket extension"
    INTERNAL = 1011, Then.BACK_OFF, "the service failed; wait a moment, then open a new session"
    RESTARTING = 1012, Then.BACK_OFF, "the service is restarting; open a new session"
    BUSY = 1013, Then.BACK_OFF, "the service is busy; wait a moment, then open a new session"
    BAD_GATEWAY = 1014, Then.BACK_OFF, "a server in between failed; open a new session"
    CANCELLED = 3005, Then.BACK_OFF, "the service failed mid-session; open a new session"
    BAD_INPUT = 3006, Then.END, "correct the parameter or message that it names"
    BAD_AUDIO = 3007, Then.END, "send 50 to 1000 ms of audio at a time, no faster than real time"
    EXPIRED = 3008, Then.RENEW, "the session reached its maximum duration; open a new one"
    TOO_MANY = 3009, Then.CROWDED, "too many sessions at once; close some or wait a minute"

    def error(self, reason: str) -> SessionClosed:
        """The error to raise for a session that ended like this."""
        return SessionClosed(self, reason, self.advice)

    @classmethod
    def then_for(cls, code: int) -> Then:
        """What to do about any close code, known or not."""
        if known := cls._named(code):
            return known.then
        # 4000 to 4999 are for private use: proxies and balancers close with them.
        return Then.BACK_OFF if 4000 <= code <= 4999 else Then.BACK_OFF_TWICE

    @classmethod
    def advice_for(cls, code: int, reason: str = "") -> str:
        """What to tell people about any close code, known or not; ``reason`` is the service's."""
        if code == cls.BAD_INPUT and INACTIVE in reason.lower():
            return SILENT
        known = cls._named(code)
        return known.advice if known else "this code is not documented; open a new session"

    @classmethod
    def _named(cls, code: int) -> "CloseCode | None":
        return next((member for member in cls if member == code), None)
