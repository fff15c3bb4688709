"""Transcript: what was said in a session, turn by turn."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from tempkit.protocol.messages import Json, Turn, Word, dump
from tempkit.protocol.parameters import US_MODELS, SessionParameters
from tempkit.streaming import captions


@dataclass
class Transcript:
    """What was said: the turns of a session by ``turn_order``, the last message of each.

    ``str(transcript)`` is the text of the turns that have ended, a line each. As a sequence, it
    consists of those turns.
    """

    settled: int = 0  # the first turn that may still change
    _turns: dict[int, Turn] = field(default_factory=dict)
    _open: set[int] = field(default_factory=set)  # asked with every chunk, among thousands of turns

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns that have ended, in order."""
        return tuple(turn for turn in self._in_order() if turn.end_of_turn)

    @property
    def text(self) -> str:
        """The text of the turns that have ended, on one line."""
        return " ".join(turn.transcript for turn in self.turns)

    @property
    def partial(self) -> str:
        """The text so far of the turn that is still open, or an empty string."""
        return " ".join(turn.text for turn in self._open_turns())

    @property
    def words(self) -> tuple[Word, ...]:
        """Every word of the turns that have ended, with its times."""
        return tuple(word for turn in self.turns for word in turn.words)

    @property
    def spans(self) -> tuple[tuple[float, float, str, str], ...]:
        """Start and end (seconds of the audio), text and language of each turn that has ended.

        The language is "" if the service does not give it.
        """
        return tuple((*_times(turn), turn.transcript, turn.language_code) for turn in self.turns)

    @property
    def open_from(self) -> float | None:
        """When the turn that is still open began, in seconds; None if there is none."""
        return next((_times(turn)[0] for turn in self._open_turns() if turn.words), None)

    def add(self, turn: Turn) -> bool:
        """Add a Turn message, which replaces earlier ones of its turn. False if it says less.

        An end of turn without words takes back a partial; a partial never replaces a final, nor
        an unformatted final a formatted one.
        """
        before = self._turns.get(turn.turn_order)
        if before is not None and before.end_of_turn:
            form, form_before = _form(turn), _form(before)
            is_same = (form, turn.transcript) == (form_before, before.transcript)
            if form < form_before or is_same or not turn.transcript:
                return False
        elif turn.end_of_turn and not turn.transcript:
            self._turns.pop(turn.turn_order, None)
            self._open.discard(turn.turn_order)
            return True
        self._turns[turn.turn_order] = turn
        if turn.end_of_turn:
            self._open.discard(turn.turn_order)
        else:
            self._open.add(turn.turn_order)
        return True

    def settle(self, turn: Turn, parameters: SessionParameters) -> int | None:
        """Up to when, in ms, the text is settled; None if this message settles nothing.

        A turn is settled by its last form, or by a later turn.
        """
        # On US models format_turns brings each final once more, formatted.
        is_twice = parameters.format_turns and parameters.speech_model in US_MODELS
        settled = turn.turn_order + (_form(turn) >= (2 if is_twice else 1))
        if settled <= self.settled:
            return None
        turns = [turn for order, turn in self._turns.items() if self.settled <= order < settled]
        self.settled = settled
        return max((word.end for turn in turns for word in turn.words), default=None)

    def to_srt(self) -> str:
        """The turns that have ended, as SubRip captions."""
        return captions.to_srt(self.turns)

    def to_vtt(self) -> str:
        """The turns that have ended, as WebVTT captions."""
        return captions.to_vtt(self.turns)

    def turns_from(self, order: int, *, is_over: bool = False) -> tuple[Turn, ...]:
        """The turns from ``order`` on that are settled; once all ``is_over``, every one."""
        settled = math.inf if is_over else self.settled
        return tuple(turn for turn in self.turns if order <= turn.turn_order < settled)

    def to_dict(self) -> dict[str, Json]:
        """A dict for JSON: the ``text``, and ``turns``, each as the service's own message."""
        return {"text": self.text, "turns": [json.loads(dump(turn)) for turn in self.turns]}

    def words_table(self) -> list[dict[str, str | int | float]]:
        """A row for each word of the turns that have ended; pass it to ``pandas.DataFrame``.

        ``turn`` is the ``turn_order``; times are seconds of the audio.
        """
        return [
            {
                "turn": turn.turn_order,
                "text": word.text,
                "start_seconds": word.start / 1000,
                "end_seconds": word.end / 1000,
                "confidence": word.confidence,
            }
            for turn in self.turns
            for word in turn.words
        ]

    def __len__(self) -> int:
        return len(self.turns)

    def __iter__(self) -> Iterator[Turn]:
        return iter(self.turns)

    def __getitem__(self, index: int) -> Turn:
        return self.turns[index]

    def __str__(self) -> str:
        return "\n".join(turn.transcript for turn in self.turns)

    def __repr__(self) -> str:
        return f"<Transcript, {len(self.turns)} turns, {len(self.words)} words>"

    def _repr_html_(self) -> str:
        from tempkit import pictures

        return pictures.transcript(self.spans, self.partial)

    # Both read copies: a session's thread adds turns meanwhile.
    def _in_order(self) -> Iterator[Turn]:
        turns = dict(self._turns)
        return (turns[order] for order in sorted(turns))

    def _open_turns(self) -> list[Turn]:
        found = (self._turns.get(order) for order in sorted(self._open))
        return [turn for turn in found if turn and not turn.end_of_turn]


def _form(turn: Turn) -> int:
    """How far a turn has come: partial, final, formatted."""
    return turn.end_of_turn + (turn.end_of_turn and turn.turn_is_formatted)


def _times(turn: Turn) -> tuple[float, float]:
    """From when to when a turn was said, in seconds."""
    if not turn.words:
        return 0.0, 0.0
    return turn.words[0].start / 1000, turn.words[-1].end / 1000
