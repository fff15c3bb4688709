"""From what was heard to the messages of a turn, in the form of each model family."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from tempkit.protocol.messages import Known, Silence, SpeechStarted, Turn, Word
from tempkit.protocol.parameters import U3_MODELS, US_MODELS, SessionParameters
from tempkit.sandbox.hearing.recognizer import SpokenWord
from tempkit.sandbox.hearing.turns import Heard
from tempkit.sandbox.rules import Switches


class TurnMessages:
    """Numbers the turns of a session and says what each of them says so far."""

    def __init__(self, parameters: SessionParameters, switches: Switches) -> None:
        self.parameters = parameters
        self._is_english = parameters.speech_model == US_MODELS[0]
        self.is_u3 = parameters.speech_model in U3_MODELS
        self.turn_order = 0
        self._switches = switches
        self._start_turn()

    def _start_turn(self) -> None:
        self._has_started = False
        self._uttered = ""  # what the open turn's last complete utterance said
        self._written: list[str] = []  # its final words, as they were formatted

    def about(self, found: Iterable[Heard | Silence]) -> Iterator[Known]:
        """The messages that pass on what was heard."""
        for heard in found:
            if isinstance(heard, Silence):
                yield heard
                continue
            yield from self._about(heard)
            if heard.end_of_turn:
                self.turn_order += 1
                self._start_turn()

    def _about(self, heard: Heard) -> Iterator[Known]:
        asked = self.parameters
        sends_partials = asked.include_partial_turns
        if sends_partials is None:  # "by default unless redact_pii"
            sends_partials = not asked.redact_pii
        if not (heard.end_of_turn or sends_partials):
            return
        # "language_detection": finals say the language, which the English model does not.
        says_language = heard.end_of_turn and asked.language_detection and not self._is_english
        for message in self._u3_messages(heard) if self.is_u3 else self._us_messages(heard):
            if says_language and isinstance(message, Turn):
                message = replace(message, language_code="en", language_confidence=1.0)
            yield message

    def _us_messages(self, heard: Heard) -> Iterator[Turn]:
        # US: the transcript holds final words only; with format_turns a formatted final follows the
        # plain one (older documentation), or every message is formatted (newer).
        formats = bool(self.parameters.format_turns)
        yield self._us_turn(heard, is_formatted=formats and self._switches.one_final)
        if formats and heard.end_of_turn and not self._switches.one_final:
            yield self._us_turn(heard, is_formatted=True)

    def _us_turn(self, heard: Heard, *, is_formatted: bool) -> Turn:
        words = tuple(_word(w, is_formatted, is_final=w.is_final) for w in heard.words)
        words = tuple(word for word in words if word.text)
        if is_formatted and self._switches.one_final:
            words = self._unchanged(words)
        text = " ".join(word.text for word in words if word.word_is_final)
        # "utterance: filled on a short pause, then empty on the later end-of-turn message if
        # nothing new was said"; the second final repeats none.
        utterance, is_repeated = "", is_formatted and not self._switches.one_final
        if not is_repeated and (heard.is_utterance or heard.end_of_turn):
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

    def _unchanged(self, words: tuple[Word, ...]) -> tuple[Word, ...]:
        # "Final words never change": not by a comma either that what follows them brings along.
        known = self._written
        texts = [*known, *(word.text for word in words[len(known) :])]
        self._written = [t for t, word in zip(texts, words, strict=False) if word.word_is_final]
        return tuple(replace(word, text=text) for word, text in zip(words, texts, strict=False))

    def _u3_messages(self, heard: Heard) -> Iterator[Known]:
        # U3: SpeechStarted comes with a turn's first message; partials may change. They were seen
        # to say turn_is_formatted, while "turn_is_formatted equals end_of_turn" is documented.
        if not self._has_started:
            self._has_started = True
            yield SpeechStarted(heard.speech_start, heard.speech_confidence)
        words = tuple(_word(w, True, is_final=heard.end_of_turn) for w in heard.words)
        text = " ".join(word.text for word in words)
        yield Turn(
            turn_order=self.turn_order,
            turn_is_formatted=heard.end_of_turn or self._switches.formatted_partials,
            end_of_turn=heard.end_of_turn,
            transcript=text,
            end_of_turn_confidence=1.0 if heard.end_of_turn else 0.0,
            words=words,
            utterance=text if heard.end_of_turn else "",
        )


def _word(heard: SpokenWord, is_formatted: bool, *, is_final: bool) -> Word:
    text = heard.text if is_formatted else heard.plain
    confidence = min(1.0, round(heard.confidence, 4))
    return Word(text, heard.start, heard.end, confidence, is_final)
