"""From what was heard to the messages of a turn, in the form of each model family."""

from collections.abc import Iterator

from tempkit.messages import Known, Silence, SpeechStarted, Turn, Word
from tempkit.parameters import SessionParameters
from tempkit.sandbox.heard import Heard, HeardWord, Quiet, plain


class TurnMessages:
    """Numbers the turns of a session and says what each of them says so far."""

    def __init__(self, parameters: SessionParameters, *, is_u3: bool, one_final: bool) -> None:
        self.parameters = parameters
        self.turn_order = 0
        self._is_u3 = is_u3
        self._one_final = one_final
        self._has_started = False
        self._uttered = ""  # what the open turn's last complete utterance said

    def about(self, heard: Heard | Quiet) -> Iterator[Known]:
        """The messages that pass on what was heard."""
        if isinstance(heard, Quiet):
            # U3: "about every 1 s of silence with acknowledge_silence=true".
            yield Silence(heard.start, heard.end)
            return
        if heard.end_of_turn or self.parameters.include_partial_turns is not False:
            yield from self._u3_messages(heard) if self._is_u3 else self._us_messages(heard)
        if heard.end_of_turn:
            self.turn_order += 1
            self._has_started = False
            self._uttered = ""

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
        # "utterance: filled on a short pause, then empty on the later end-of-turn message if
        # nothing new was said"; the formatted final repeats none.
        utterance = ""
        if not is_formatted and (heard.is_utterance or heard.end_of_turn):
            said = " ".join(word.text for word in words)
            utterance = "" if said == self._uttered else said
            self._uttered = said
        return Turn(
            turn_order=self.turn_order,
            turn_is_formatted=is_formatted,
            end_of_turn=heard.end_of_turn,
            transcript=text,
            end_of_turn_confidence=round(heard.confidence, 4),
            words=words,
            utterance=utterance,
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
