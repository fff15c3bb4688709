"""Sandbox: a local stand-in for the streaming service. One port, GET /v3/token and /v3/ws.

It needs the ``sandbox`` extra, and says so if that is missing; importing this module does not.
"""

import time
from collections.abc import Callable
from pathlib import Path
from ssl import SSLContext
from typing import ClassVar

from tempkit.config import Settings
from tempkit.errors import BadType, ConfigurationError, ProtocolError, expect, require
from tempkit.protocol.recording import Recording
from tempkit.sandbox.faults import Faults
from tempkit.sandbox.hearing.recognizer import Recognizer, Scripted
from tempkit.sandbox.rules import Switches
from tempkit.sandbox.state import Entry, State
from tempkit.serving import Engine, Report, Service

__all__ = ["Faults", "Sandbox", "Scripted", "load_recognizer"]

KEY = "sandbox"  # what this process's own settings use as a key; any other is as good
LONGEST = 200  # characters of a line in a report
# What hears needs of the extra, whoever recognises.
MODULES = ("numpy", "soxr")


class Sandbox(Service):
    """A stand-in for the streaming service on this machine: ``with Sandbox() as sandbox: ...``.

    Point anything at it with ``sandbox.settings``, or with its ``url`` and any key. ``recognizer``
    None recognises real English speech; ``Scripted([...])`` returns given words. ``api_keys`` None
    accepts any key. ``faults`` makes things go wrong, ``journal`` says what happened. With ``ssl``
    it serves https and wss.

    Audio is processed at the speed of speech, as by the service: sent at once, it still takes
    about its playing time. ``realtime`` False processes it as fast as it arrives, for tests.
    ``sessions_per_minute`` (per key) and ``most_ahead_seconds`` (how far audio may be ahead of
    real time) are limits, off by default. Where the documentation and the live service disagree,
    ``single_use``, ``one_final``, ``formatted_partials`` and ``documented_token_errors`` choose;
    ``cors`` lets pages from any origin ask for tokens, which the documentation does not mention.
    With ``warnings`` False, only the journal says what has no effect.

    ``replay`` names a session recording made by ``connect(record=...)``: what the service said
    then is replayed to clients that send similar audio, and nothing is recognised.

    Raises ConfigurationError if the extra, the model files or the recording are missing.
    """

    kind: ClassVar[str] = "sandbox"
    default_port: ClassVar[int] = 0

    def __init__(
        self,
        recognizer: Recognizer | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        api_keys: frozenset[str] | None = Switches.api_keys,
        faults: Faults = Faults(),  # noqa: B008 - it is frozen
        ssl: SSLContext | None = None,
        realtime: bool = Switches.realtime,
        sessions_per_minute: int | None = Switches.sessions_per_minute,
        most_ahead_seconds: float | None = Switches.most_ahead_seconds,
        single_use: bool = Switches.single_use,
        one_final: bool = Switches.one_final,
        formatted_partials: bool = Switches.formatted_partials,
        documented_token_errors: bool = Switches.documented_token_errors,
        cors: bool = Switches.cors,
        warnings: bool = Switches.warnings,
        replay: str | Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(host, port, ssl)
        _check(recognizer, faults, api_keys)
        self._recognizer = recognizer
        switches = Switches(
            api_keys=api_keys,
            realtime=realtime,
            sessions_per_minute=sessions_per_minute,
            most_ahead_seconds=most_ahead_seconds,
            single_use=single_use,
            one_final=one_final,
            formatted_partials=formatted_partials,
            documented_token_errors=documented_token_errors,
            cors=cors,
            warnings=warnings,
        )
        self._state = State(switches, faults, clock, _read(replay) if replay else ())

    @property
    def settings(self) -> Settings:
        """The settings for using this running sandbox."""
        return Settings(api_key=min(self._state.switches.api_keys or {KEY}), base_url=self.url)

    @property
    def faults(self) -> Faults:
        """What goes wrong from now on; setting it restarts its counts."""
        return self._state.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._state.faults = faults

    @property
    def journal(self) -> list[Entry]:
        """What was asked and answered, oldest first, without keys and tokens."""
        return self._state.journal.entries[:]

    @property
    def link(self) -> str:
        """The address of the sandbox's own page. Raises ConfigurationError while it is stopped."""
        return f"{self.url}/sandbox"

    def report(self, most: int = 8) -> Report:
        """How many sessions are open, and the newest ``most`` lines of the journal."""
        count = len(self._state.open_sessions)
        line = f"{super().report().line}, {count} session{'' if count == 1 else 's'} open"
        if faults := str(self.faults):
            line += f", faults: {faults}"
        rows = tuple(_row(entry) for entry in reversed(self.journal[-most:]))
        return Report(line, ("time", "session", "what", "of it"), rows)

    def reset(self) -> None:
        """Start over: no faults, an empty journal, every token unknown; open sessions go on."""
        self._state.reset()

    def _bind(self, port: int) -> Engine:
        _require(*MODULES)
        from tempkit.sandbox.wire.engine import WireEngine

        if self._recognizer is None:  # a replay does not ask it
            is_replay = bool(self._state.recordings)
            self._recognizer = Scripted(["-"]) if is_replay else load_recognizer()
        return WireEngine(self._state, self._recognizer, self.host, port, self._tls)


def _check(recognizer: object, faults: object, api_keys: object) -> None:
    expect("faults", faults, Faults)
    expect("api_keys", api_keys, frozenset, set, None)
    if recognizer is not None and not hasattr(recognizer, "listen"):
        given = type(recognizer).__name__
        raise BadType(f"recognizer must be like Scripted([...]), not {given}")


def _row(entry: Entry) -> tuple[str, ...]:
    """A line of the journal, short enough to be read."""
    at = time.strftime("%H:%M:%S", time.localtime(entry.at))
    session = str(entry.session) if entry.session else ""
    plain = {k: v for k, v in entry.detail.items() if isinstance(v, (str, int, float)) and v != ""}
    text = plain.get("transcript") or ", ".join(f"{name}={value}" for name, value in plain.items())
    return at, session, f"{entry.kind} {entry.name}", str(text)[:LONGEST]


def _read(path: str | Path) -> list[Recording]:
    try:
        return Recording.read(Path(path).read_text(encoding="utf-8").splitlines())
    except (OSError, ProtocolError) as error:
        raise ConfigurationError(f"{path} cannot be replayed: {error}") from None


def load_recognizer() -> Recognizer:
    """The real recogniser. Raises ConfigurationError, saying what to install."""
    _require(*MODULES, "onnxruntime")
    from tempkit.sandbox.hearing.moonshine import Moonshine

    return Moonshine.load()


def _require(*modules: str) -> None:
    for module in modules:
        require(module, "sandbox", "the sandbox")
