"""Microphone: speak to a notebook, read the words in Python."""

import json
import logging
import os
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anywidget
import traitlets

from tempkit.config import HOW_TO_MAKE, Settings, default_settings
from tempkit.errors import BadType, ProtocolError, TempkitError, expect, unfailing
from tempkit.protocol.messages import Json, Turn, dump, load_object
from tempkit.protocol.parameters import (
    HOW_TO_ASK,
    MAX_SESSION_DURATION_SECONDS,
    SAMPLE_RATE,
    SessionParameters,
    check_whole_number,
)
from tempkit.server.addresses import is_remote
from tempkit.sound.clip import Clip
from tempkit.streaming.client import connect
from tempkit.streaming.stream import Stream
from tempkit.streaming.transcript import Transcript
from tempkit.tokens import TemporaryToken, generate_temp_token
from tempkit.widgets.cells import end_with_cell
from tempkit.widgets.modules import as_one, styles
from tempkit.widgets.tunnel import Tunnel, refusal

log = logging.getLogger(__name__)

MAX_SECONDS = (1, 10_000)
MARGIN_SECONDS = 90  # a session may last longer than a recording, or it would be renewed before
OVER = ("idle", "failed")
MOST_AT_ONCE = 8  # tokens and tunnels: a page wants one, and a few may be ending
TOO_MANY = {"message": "too many sessions at once for this widget", "status": 429}


class Microphone(anywidget.AnyWidget):
    """A microphone with a start/stop button; make it the last value of a cell to show it.

    The browser streams to the service with a temporary token from this kernel; if it cannot reach
    the service, such as a sandbox on another machine, the sound goes through the kernel.
    ``transcript`` and ``turns`` have what was said since Start was pressed, ``state`` and
    ``error`` what the browser last reported. ``settings`` None uses ``default_settings()``. A
    recording ends after ``max_seconds``, or with its view: when its cell is run again, its output
    is cleared or the kernel restarts.

    A cell never waits for you to speak: read ``turns`` in a later one, or use ``on_turn``.
    """

    _esm = as_one("widget/widget.js")
    _css = styles()

    _service_url = traitlets.Unicode().tag(sync=True)
    _is_remote = traitlets.Bool().tag(sync=True)
    _max_seconds = traitlets.Int().tag(sync=True)
    state = traitlets.Unicode("idle", read_only=True)
    error = traitlets.Unicode("", read_only=True)
    _tunnel: Tunnel | None = None  # the latest
    _playing: Stream | None = None  # a clip

    def __init__(
        self,
        settings: Settings | None = None,
        parameters: SessionParameters | None = None,
        *,
        max_seconds: int = 600,
    ) -> None:
        expect("settings", settings, Settings, None, advice=HOW_TO_MAKE)
        expect("parameters", parameters, SessionParameters, None, advice=HOW_TO_ASK)
        self._lock = threading.Lock()
        self._run = ""  # the browser's name for the recording
        self._transcript = Transcript()
        self._told = 0  # the first turn that the callbacks have not got
        self._callbacks: dict[object, Callable[[Turn], object]] = {}
        self._free = threading.Semaphore(MOST_AT_ONCE)
        check_whole_number("max_seconds", max_seconds, MAX_SECONDS)
        self._settings = settings or default_settings()
        self._parameters = replace(parameters or SessionParameters(), encoding="pcm_s16le")
        super().__init__(
            _service_url=self._settings.websocket_url,
            _is_remote=is_remote(os.environ),
            _max_seconds=max_seconds,
        )
        self.on_msg(self._receive)
        end_with_cell(self.close)  # views in other cells, too

    @property
    def transcript(self) -> Transcript:
        """What was said since Start was pressed, on one clock even across reconnections."""
        return self._transcript

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns that have ended, in order."""
        return self._transcript.turns

    def on_turn(self, callback: Callable[[Turn], object]) -> Callable[[], object]:
        """Call ``callback`` once with each turn that has ended; returns a function to end that.

        It runs in the thread that serves the widget: with some versions of ipykernel while a cell
        runs, with others afterwards. It should be short; what it raises is logged.
        """
        if not callable(callback):
            raise BadType("on_turn() takes a function that receives a turn")
        key = object()
        self._callbacks[key] = callback
        return lambda: self._callbacks.pop(key, None)

    def play(self, clip: Clip) -> Transcript:
        """Transcribe a clip in place of the microphone, at the speed of speech.

        The kernel streams it, without a browser; interrupting the kernel stops it. Views and
        callbacks get the words, too. Raises what ``connect`` and ``stream`` raise.
        """
        expect("clip", clip, Clip)
        run = f"clip {uuid.uuid4().hex}"
        parameters = replace(self._parameters, sample_rate=clip.sample_rate)
        self._start(run)
        self._show(run, "starting")
        error = ""
        try:
            with connect(self._settings, parameters) as session:
                self._playing = stream = session.stream(clip.chunks())
                self._show(run, "live")
                for message in stream:
                    if run != self._run:  # Start was pressed
                        stream.stop()
                    elif isinstance(message, Turn):
                        turn = json.loads(dump(message))
                        self._take(run, turn)
                        self._show(run, "live", turn=turn)
        except TempkitError as failure:
            error = str(failure)
            raise
        finally:
            self._playing = None
            self._show(run, "failed" if error else "idle", error)
        return session.transcript

    def _show(self, run: str, state: str, error: str = "", turn: Json = None) -> None:
        self._change(run, state, error)
        if run == self._run:
            self.send({"kind": "played", "run": run, "state": state, "error": error, "turn": turn})

    def stop(self) -> None:
        """Stop the recording; returns at once, while the last words and "idle" come later."""
        if self._playing is not None:
            self._playing.stop()
        elif self.state not in OVER:
            self.send({"kind": "stop", "run": self._run, "message": ""})

    def close(self) -> None:
        """Remove the widget and end its recording."""
        self.stop()
        self._close_tunnel()
        self.layout.close()
        super().close()

    @unfailing
    def __repr__(self) -> str:
        said = self._transcript.text
        return f"<Microphone, {self.state}{f': {said}' if said else ''}>"

    def _receive(self, _: object, content: object, buffers: list[memoryview]) -> None:
        steps: dict[str, Callable[..., None]] = {
            "start": self._start,
            "state": self._change,
            "turn": self._take,
            "token": self._grant,
            "open": self._open_tunnel,
            "audio": self._pass_on,
            "text": self._pass_on,
            "alive": self._pass_on,  # with nothing in it
            "close": self._close_tunnel,
            "stop": self.stop,  # the clip that is played
        }
        fields = dict(content) if isinstance(content, dict) else {}
        step = steps.get(str(fields.pop("kind", "")))
        if step is None:
            log.warning("the widget got a message of an unknown kind")
            return
        if buffers:
            fields["audio"] = bytes(buffers[0])
        try:
            step(**fields)
        except (TypeError, ValueError, ProtocolError, traitlets.TraitError) as error:
            log.warning("the widget got an invalid message: %s", type(error).__name__)

    def _start(self, run: str) -> None:
        if self.state not in OVER:
            # The widget is shown in another page, too, which may be gone: the newest one records.
            text = "The widget is now recording on another page."
            self.send({"kind": "stop", "run": self._run, "message": text})
        with self._lock:
            self._run = run
            self._transcript = Transcript()
            self._told = 0
        self._close_tunnel()
        self._change(run, "starting", "")

    def _change(self, run: str, state: str, error: str) -> None:
        if run != self._run:
            return
        self.set_trait("error", error)
        self.set_trait("state", state)
        if state in OVER:
            self._close_tunnel()
            self._tell_callbacks(is_over=True)

    def _take(self, run: str, turn: dict[str, Any]) -> None:
        message = load_object(turn)
        if run != self._run or not isinstance(message, Turn):
            return
        with self._lock:
            self._transcript.add(message)
            self._transcript.settle(message, self._parameters)
        self._tell_callbacks(is_over=False)

    def _tell_callbacks(self, *, is_over: bool) -> None:
        """Pass on each turn in its last form, which the plain one before the formatted is not."""
        with self._lock:
            new = self._transcript.turns_from(self._told, is_over=is_over)
            if new:
                self._told = new[-1].turn_order + 1
        for message in new:
            for callback in tuple(self._callbacks.values()):
                try:
                    callback(message)
                except Exception:
                    log.exception("an on_turn callback failed")

    def _mint(self) -> TemporaryToken:
        longest = min(MAX_SESSION_DURATION_SECONDS[1], self._max_seconds + MARGIN_SECONDS)
        return generate_temp_token(max_session_duration_seconds=longest, settings=self._settings)

    def _teller(self, id: str) -> Callable[..., None] | None:  # noqa: A002 - the field's name
        """What answers a wish for a token or a tunnel; None, and refused, while there are many."""

        def tell(kind: str, **fields: object) -> None:
            if kind in ("grant", "refused", "closed"):  # it is over
                self._free.release()
            self.send({"kind": kind, "id": id, **fields})

        if self._free.acquire(blocking=False):
            return tell
        self.send({"kind": "refused", "id": id, **TOO_MANY})
        return None

    def _grant(self, id: str) -> None:  # noqa: A002
        # Never in the thread of the messages: the others would wait for the network.
        if tell := self._teller(id):
            name = "tempkit token"
            threading.Thread(target=self._answer, args=(tell,), name=name, daemon=True).start()

    def _answer(self, tell: Callable[..., None]) -> None:
        try:
            token = self._mint()
        except Exception as error:  # also a defect: the browser waits for a word
            tell("refused", **refusal(error))
            return
        tell(
            "grant",
            token=str(token),
            expires_in_seconds=token.expires_in_seconds,
            websocket_url=self._settings.websocket_url,
            parameters=self._parameters.query(),
        )

    def _open_tunnel(self, id: str, sample_rate: int) -> None:  # noqa: A002
        check_whole_number("sample_rate", sample_rate, SAMPLE_RATE)
        parameters = replace(self._parameters, sample_rate=sample_rate)
        self._close_tunnel()  # one microphone, one session
        if tell := self._teller(id):
            self._tunnel = Tunnel(id, self._settings, parameters, self._mint, tell)

    def _pass_on(self, id: str, audio: bytes = b"", text: str = "") -> None:  # noqa: A002
        if not isinstance(text, str):
            raise BadType("text must be a string")
        tunnel = self._tunnel
        if tunnel is not None and tunnel.name == id:
            tunnel.send(text or audio)

    def _close_tunnel(self, id: str | None = None) -> None:  # noqa: A002
        """Close the tunnel, if there is one, and of that name if one is given."""
        tunnel = self._tunnel
        if tunnel is not None and id in (None, tunnel.name):
            self._tunnel = None
            tunnel.close()
