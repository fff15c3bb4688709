"""TranscriptView: watch a stream at work in a notebook."""

import threading
from collections.abc import Callable
from contextlib import closing
from typing import Self
from weakref import WeakSet

from ipywidgets import HTML, VBox

import tempkit.pictures as pictures
from tempkit.errors import BadType, BadValue, TempkitError, unfailing
from tempkit.protocol.messages import Termination
from tempkit.streaming.session import Message, Reconnected, Reconnecting
from tempkit.streaming.stream import Stream
from tempkit.streaming.transcript import Transcript
from tempkit.widgets.arrivals import Arrivals
from tempkit.widgets.cells import close, end_with_cell, head_line, shown, text_below, tick

OnMessage = Callable[[Message], object]

DRAW_SECONDS = 0.1
NOTES = 6  # the latest of what is said about the connection
CLOSED_EARLY = (
    "the session was closed too early, so words may be missing; call view.wait() inside "
    "its `with`, or leave out the `with`: the stream closes the session by itself"
)

_watched: WeakSet[Stream] = WeakSet()


class TranscriptView:
    """A stream's text as it arrives: ``TranscriptView().watch(session.stream(chunks))``.

    As the last value of a cell, it shows the words, which of them may still change, when they
    were said, how far the audio has got, and a button that stops it. It works in the background,
    one stream at a time: calling ``watch`` or running the cell again stops the previous one. Put
    ``widget`` into a layout of your own.
    """

    def __init__(self) -> None:
        self._watching: _Watching | None = None
        self._state = HTML(pictures.block(pictures.muted("nothing to watch yet")))
        head, self._button = head_line(self._state, self.stop)
        self._button.disabled = True
        texts = [text_below() for _ in range(4)]
        self._line, self._final, self._partial, self._notes = texts
        self.widget = VBox([head, *texts])
        end_with_cell(self.close)

    @property
    def transcript(self) -> Transcript:
        """What was said so far."""
        return self._watching.stream.transcript if self._watching else Transcript()

    @property
    def is_stopped(self) -> bool:
        """Whether the stream was stopped, by the button or by ``stop``."""
        return self._watching is not None and self._watching.stream.is_stopped

    def watch(self, stream: Stream, on_message: OnMessage | None = None) -> Self:
        """Take over a stream, show its text, and return at once.

        ``on_message`` is called with each message, in the thread that reads them; what it raises
        ends the stream.
        """
        if not isinstance(stream, Stream):
            raise BadType("watch() takes what session.stream(...) returns")
        if stream in _watched:
            raise BadValue("this stream already has a view; display that one again")
        _watched.add(stream)
        self.stop()
        self._watching = watching = _Watching(stream, on_message)
        self._button.disabled = False
        tick(lambda: self._draw(watching), DRAW_SECONDS)
        return self

    def stop(self) -> None:
        """End the audio here; the words of what was sent still come."""
        self._button.disabled = True
        if self._watching is not None:
            self._watching.stream.stop()

    def wait(self, timeout_seconds: float = 600.0) -> Transcript:
        """The transcript, once the stream has ended.

        Raises what the stream raised, and TimeoutError. While a cell waits here, some versions of
        ipykernel pass on a click on Stop only afterwards; interrupting the kernel always stops
        the stream.
        """
        if self._watching is None:
            raise BadValue("there is nothing to wait for; call watch(session.stream(...)) first")
        try:
            if not self._watching.ended.wait(timeout_seconds):
                text = f"the stream is still running after {timeout_seconds:g} s"
                raise TimeoutError(f"{text}; wait longer, or stop() it")
        except KeyboardInterrupt:
            self.stop()
            raise
        if self._watching.error is not None:
            raise self._watching.error
        return self.transcript

    def timeline(self) -> Arrivals:
        """A picture of when each text arrived, how far the audio was then, and any losses."""
        return self._watching.arrivals if self._watching else Arrivals()

    def close(self) -> None:
        """Stop, and take the view off the page."""
        self.stop()
        close(self.widget)

    def _draw(self, watching: "_Watching") -> bool:
        """Show what is new; whether there is more to come."""
        if watching is not self._watching:
            return False
        has_ended = watching.ended.is_set()  # before looking: what came by then is drawn
        stream, transcript = watching.stream, self.transcript
        spans, partial, at = transcript.spans, transcript.partial, stream.sent_seconds
        total = max(10.0, at) if stream.total_seconds is None else stream.total_seconds
        open_from = transcript.open_from if partial else None
        self._state.value = pictures.heading(*watching.state())
        self._line.value = pictures.timeline(spans, total, at, open_from)
        self._final.value = pictures.turns(spans) if spans else ""
        self._partial.value = pictures.partial(partial) if partial else ""
        self._notes.value = pictures.block(*map(pictures.muted, watching.notes[-NOTES:]))
        if has_ended:
            self._button.disabled = True
        return not has_ended

    def _repr_mimebundle_(self, **given: object) -> object:
        return shown(self.widget, repr(self), **given)

    @unfailing
    def __repr__(self) -> str:
        text = str(self.transcript)
        return f"<TranscriptView, {len(self.transcript.turns)} turns>\n{text}".rstrip()


class _Watching:
    """A stream that is read to its end, in a thread of its own."""

    def __init__(self, stream: Stream, on_message: OnMessage | None) -> None:
        self.stream = stream
        self._on_message = on_message
        self.error: BaseException | None = None
        self.notes: list[str] = []
        self.arrivals = Arrivals()
        self.ended = threading.Event()
        self._is_complete = False
        threading.Thread(target=self._run, name="tempkit watch", daemon=True).start()

    def state(self) -> tuple[str, str, str]:
        """How it goes: a word, its colour, and what there is to say of that."""
        stream, error, total = self.stream, self.error, self.stream.total_seconds
        far = f"{stream.sent_seconds:.1f}{'' if total is None else f' of {total:.1f}'} s"
        if error is not None:
            what = "" if isinstance(error, TempkitError) else f"{type(error).__name__}: "
            return "Failed", pictures.BAD, pictures.bad(f"{what}{error}")
        if not self.ended.is_set():
            if self.arrivals.is_lost:
                return "Connection lost", pictures.MUTED, pictures.muted(f"{far}, trying again")
            if stream.is_stopped:
                waits = pictures.muted(f"{far}, waiting for the last words")
                return "Stopping", pictures.MUTED, waits
            return "Listening", pictures.LIVE, pictures.muted(far)
        if not self._is_complete:
            return "Closed", pictures.MUTED, pictures.bad(CLOSED_EARLY)
        count = len(stream.transcript.words)
        said = pictures.muted(f"{far}, {count} word{'' if count == 1 else 's'}")
        return "Stopped" if stream.is_stopped else "Finished", pictures.MUTED, said

    def _run(self) -> None:
        try:
            with closing(self.stream):
                for message in self.stream:
                    self._note(message)
                    self.arrivals.note(message, self.stream.sent_seconds)
                    if self._on_message is not None:
                        self._on_message(message)
        except BaseException as error:
            self.error = error
        finally:
            self.ended.set()

    def _note(self, message: Message) -> None:
        note = ""
        if isinstance(message, Reconnecting) and not self.arrivals.is_lost:
            reason, _, _ = message.reason.partition(";")  # the advice is being followed
            kept = f"{message.seconds_at_risk:.1f} s without final text are kept"
            note = f"the connection was lost ({reason}); {kept}"
        elif isinstance(message, Reconnected):
            note = f"reconnected after {message.gap_seconds:.1f} s; "
            note += f"resending {message.replayed_seconds:.1f} s"
            note += f", {message.lost_seconds:.1f} s are lost" if message.lost_seconds else ""
        elif isinstance(message, Termination):
            self._is_complete = True
        if note:
            self.notes.append(f"{pictures.clock(self.stream.sent_seconds)} {note}")
