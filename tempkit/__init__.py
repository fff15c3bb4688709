"""tempkit: temporary tokens, a token server, streaming speech-to-text, and an offline sandbox."""

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
