"""tempkit: temporary tokens, a token server, streaming speech-to-text, and an offline sandbox."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tempkit.audio import Clip
    from tempkit.client import StreamingSession, connect, transcribe
    from tempkit.config import Settings
    from tempkit.defaults import default_settings
    from tempkit.errors import (
        AudioError,
        ConfigurationError,
        ProtocolError,
        ServiceUnreachable,
        SessionClosed,
        TempkitError,
        TokenRefused,
    )
    from tempkit.messages import (
        Begin,
        CloseCode,
        SpeechStarted,
        Termination,
        Turn,
        Unknown,
        Word,
    )
    from tempkit.parameters import SessionParameters
    from tempkit.retry import Reconnect
    from tempkit.sandbox import Sandbox
    from tempkit.server import TokenServer
    from tempkit.session import Reconnected, Reconnecting
    from tempkit.tokens import TemporaryToken, generate_temp_token
    from tempkit.transcript import Transcript

__all__ = [
    "AudioError",
    "Begin",
    "Clip",
    "CloseCode",
    "ConfigurationError",
    "ProtocolError",
    "Reconnect",
    "Reconnected",
    "Reconnecting",
    "Sandbox",
    "ServiceUnreachable",
    "SessionClosed",
    "SessionParameters",
    "Settings",
    "SpeechStarted",
    "StreamingSession",
    "TempkitError",
    "TemporaryToken",
    "Termination",
    "TokenRefused",
    "TokenServer",
    "Transcript",
    "Turn",
    "Unknown",
    "Word",
    "connect",
    "default_settings",
    "generate_temp_token",
    "transcribe",
]

# A name is imported when it is first asked for: a start of the token server, which somebody waits
# for, should not wait for the client and the sandbox too.
_HOMES = {
    "audio": ("Clip",),
    "client": ("StreamingSession", "connect", "transcribe"),
    "config": ("Settings",),
    "defaults": ("default_settings",),
    "errors": (
        *("AudioError", "ConfigurationError", "ProtocolError", "ServiceUnreachable"),
        *("SessionClosed", "TempkitError", "TokenRefused"),
    ),
    "messages": ("Begin", "CloseCode", "SpeechStarted", "Termination", "Turn", "Unknown", "Word"),
    "parameters": ("SessionParameters",),
    "retry": ("Reconnect",),
    "sandbox": ("Sandbox",),
    "server": ("TokenServer",),
    "session": ("Reconnected", "Reconnecting"),
    "tokens": ("TemporaryToken", "generate_temp_token"),
    "transcript": ("Transcript",),
}


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names:
            found = globals()[name] = getattr(import_module(f"tempkit.{module}"), name)
            return found
    raise AttributeError(f"module 'tempkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
