"""From what was heard to the messages of a turn, in the form of each model family."""

from collections.abc import Iterator

from tempkit.messages import Known, SpeechStarted, Turn, Word
from tempkit.parameters import SessionParameters
from tempkit.sandbox.turns import Heard, HeardWord, plain


class TurnMessages:
    """Numbers the turns of a session and says what each of them says so far."""

    def __init__(self, parameters: SessionParameters, *, is_u3: bool, one_final: bool) -> None:
        self.parameters = parameters
        self.turn_order = 0
        self._is_u3 = is_u3
        self._one_final = one_final
        self._has_started = False

    def about(self, heard: Heard) -> Iterator[Known]:
        """The messages that pass on what was heard."""
        if heard.end_of_turn or self.parameters.include_partial_turns is not False:
            yield from self._u3_messages(heard) if self._is_u3 else self._us_messages(heard)
        if heard.end_of_turn:
            self.turn_order += 1
            self._has_started = False

    def _us_messages(self, heard: Heard) -> Iterator[Turn]:
        # US: the transcript holds final words only; with format_turns a formatted final follows the
        # plain one (older documentation) or takes its place (newer).
        formats = heard.end_of_turn and self.parameters.format_turns
        if not (formats and self._one_final):
            yield self._us_turn(heard, is_formatted=False)
        if formats:
            yield self._us_turn(heard, is_formatted=True)

    def _us_turn(self, heard: Heard, *, is_formatted: bool) -> Turn:
        words = tuple(_word(w, is_formatted, is_final=w.is_final) for w in heard.words)
        words = tuple(word for word in words if word.text)
        text = " ".join(word.text for word in words if word.word_is_final)
        return Turn(
            turn_order=self.turn_order,
            turn_is_formatted=is_formatted,
            end_of_turn=heard.end_of_turn,
            transcript=text,
            end_of_turn_confidence=round(heard.confidence, 4),
            words=words,
            utterance=text if heard.end_of_turn and not is_formatted else "",
        )

    def _u3_messages(self, heard: Heard) -> Iterator[Known]:
        # U3: SpeechStarted comes with a turn's first message; partials are formatted, may change.
        if not self._has_started:
            self._has_started = True
            yield SpeechStarted(heard.speech_start, heard.speech_confidence)
        words = tuple(_word(w, True, is_final=heard.end_of_turn) for w in heard.words)
        text = " ".join(word.text for word in words)
        yield Turn(
            turn_order=self.turn_order,
            turn_is_formatted=True,
            end_of_turn=heard.end_of_turn,
            transcript=text,
            end_of_turn_confidence=1.0 if heard.end_of_turn else 0.0,
            words=words,
            utterance=text if heard.end_of_turn else "",
        )


def _word(heard: HeardWord, is_formatted: bool, *, is_final: bool) -> Word:
    text = heard.spoken.text if is_formatted else plain(heard.spoken.text)
    confidence = min(1.0, round(heard.spoken.confidence, 4))
    return Word(text, heard.start, heard.end, confidence, is_final)
