"""Temporary tokens, a token server, streaming speech-to-text, and an offline sandbox.

generate_temp_token, TemporaryToken     a token that opens one streaming session
TokenServer                             a page that streams speech, and GET /token
Settings, default_settings              which service to use and with which key, or a sandbox
transcribe, Clip, Transcript            from a recording or an array to text
connect, StreamingSession               a session: audio out, messages in
SessionParameters, Reconnect            its options, and what to do when the connection is lost
Begin, SpeechStarted, Turn, Word,       messages from the service
Termination, Unknown
Reconnecting, Reconnected               messages about the connection
Sandbox                                 a local stand-in for the service

TempkitError is the base of ConfigurationError, AudioError, ServiceUnreachable, TokenRefused,
SessionClosed (with a CloseCode) and ProtocolError.

tempkit.server          Guard, Rate, Request: who may have a token, and how often
tempkit.wsgi            the same server for granian or gunicorn
tempkit.sandbox         Faults, Scripted: what goes wrong in a test, and what it hears
tempkit.widgets         Microphone, TokenView, TranscriptView: for notebooks
tempkit.evaluation      evaluate: transcribe many recordings at once
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str
    from tempkit.config import Settings, default_settings
    from tempkit.errors import (
        AudioError,
        ConfigurationError,
        ProtocolError,
        ServiceUnreachable,
        SessionClosed,
        TempkitError,
        TokenRefused,
    )
    from tempkit.protocol.close_codes import CloseCode
    from tempkit.protocol.messages import Begin, SpeechStarted, Termination, Turn, Unknown, Word
    from tempkit.protocol.parameters import SessionParameters
    from tempkit.sandbox import Sandbox
    from tempkit.server import TokenServer
    from tempkit.sound.clip import Clip
    from tempkit.streaming.client import StreamingSession, connect, transcribe
    from tempkit.streaming.retry import Reconnect
    from tempkit.streaming.session import Reconnected, Reconnecting
    from tempkit.streaming.transcript import Transcript
    from tempkit.tokens import TemporaryToken, generate_temp_token

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
    "config": ("Settings", "default_settings"),
    "errors": (
        *("AudioError", "ConfigurationError", "ProtocolError", "ServiceUnreachable"),
        *("SessionClosed", "TempkitError", "TokenRefused"),
    ),
    "protocol.close_codes": ("CloseCode",),
    "protocol.messages": ("Begin", "SpeechStarted", "Termination", "Turn", "Unknown", "Word"),
    "protocol.parameters": ("SessionParameters",),
    "sandbox": ("Sandbox",),
    "server": ("TokenServer",),
    "streaming.client": ("StreamingSession", "connect", "transcribe"),
    "sound.clip": ("Clip",),
    "streaming.retry": ("Reconnect",),
    "streaming.session": ("Reconnected", "Reconnecting"),
    "streaming.transcript": ("Transcript",),
    "tokens": ("TemporaryToken", "generate_temp_token"),
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("tempkit")
    for module, names in _HOMES.items():
        if name in names:
            found = globals()[name] = getattr(import_module(f"tempkit.{module}"), name)
            return found
    raise AttributeError(f"module 'tempkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
