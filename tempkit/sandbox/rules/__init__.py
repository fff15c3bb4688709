"""What the service does, without I/O: who gets in, what a turn says, when a session ends."""

from dataclasses import dataclass

from tempkit.protocol.close_codes import CloseCode


class Violation(Exception):  # noqa: N818 - it ends a session, it is not reported
    """A rule was broken: the close code and the text of the Error message."""

    def __init__(self, code: CloseCode, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Switches:
    """What ``Sandbox`` was made with, handed down whole to whatever asks for a part of it."""

    api_keys: frozenset[str] | None = None  # None lets in any key that has the shape of one
    realtime: bool = True  # audio is heard at the pace at which it sounds
    sessions_per_minute: int | None = None  # of one key, its tokens' among them
    most_ahead_seconds: float | None = None  # of audio before real time
    single_use: bool = True  # of a token, as documented; the live service was seen to be lenient
    one_final: bool = False  # of a US turn, formatted from its first message on: newer pages
    formatted_partials: bool = True  # of U3, as was seen; the documentation says it of finals
    documented_token_errors: bool = False
    warnings: bool = True  # what has no effect is said in a Warning, not in the journal alone
    cors: bool = False
