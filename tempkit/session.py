"""The client half of a streaming session, without I/O: the transcript, and how it all ended."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tempkit.errors import SessionClosed
from tempkit.messages import Begin, CloseCode, Error, ServerMessage, Termination, Turn, Word, load


@dataclass
class Transcript:
    """What was said: the turns of a session by ``turn_order``, the last message of each.

    ``str(transcript)`` is the text of the turns that are over, a line each.
    """

    _turns: dict[int, Turn] = field(default_factory=dict)

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns that are over, in order."""
        return tuple(turn for turn in self._in_order() if turn.end_of_turn)

    @property
    def text(self) -> str:
        """All that was said in turns that are over, on one line."""
        return " ".join(turn.transcript for turn in self.turns)

    @property
    def partial(self) -> str:
        """What the turn that is still open says so far, or an empty string."""
        return " ".join(turn.text for turn in self._in_order() if not turn.end_of_turn)

    @property
    def words(self) -> tuple[Word, ...]:
        """Every word of the turns that are over, with its times."""
        return tuple(word for turn in self.turns for word in turn.words)

    def add(self, turn: Turn) -> None:
        """Take in a Turn message: it replaces what its turn said before.

        An end of turn without words takes back a partial one; a plain final never replaces a
        formatted one.
        """
        before = self._turns.get(turn.turn_order)
        if turn.end_of_turn and not turn.transcript:
            if before is not None and not before.end_of_turn:
                del self._turns[turn.turn_order]
            return
        if before is not None and before.end_of_turn and not turn.end_of_turn:
            return
        if before is not None and before.turn_is_formatted and not turn.turn_is_formatted:
            return
        self._turns[turn.turn_order] = turn

    def __str__(self) -> str:
        return "\n".join(turn.transcript for turn in self.turns)

    def _in_order(self) -> Iterator[Turn]:
        return (self._turns[order] for order in sorted(self._turns))


class ClientSession:
    """What a client knows of its session; feed it every message that comes in."""

    def __init__(self) -> None:
        self.transcript = Transcript()
        self.begin: Begin | None = None
        self.termination: Termination | None = None
        self._error: Error | None = None

    def receive(self, text: str | bytes) -> ServerMessage:
        """The message, after it has been taken in. Raises ProtocolError."""
        message = load(text)
        if isinstance(message, Begin):
            self.begin = message
        elif isinstance(message, Turn):
            self.transcript.add(message)
        elif isinstance(message, Termination):
            self.termination = message
        elif isinstance(message, Error):
            self._error = message
        return message

    def closed(self, code: int, reason: str) -> SessionClosed | None:
        """What the close of the connection means: None after a Termination or a plain 1000."""
        if self._error is not None:
            # The close reason says nothing, the Error before it says it all.
            code, reason = self._error.error_code, self._error.error
        elif self.termination is not None or code == CloseCode.ENDED:
            return None
        return SessionClosed(code, reason, CloseCode.advice_for(code))
