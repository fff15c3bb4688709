"""The sandbox's temporary tokens: issue, redeem, expire. No I/O; every method takes the time."""

import secrets
import threading
from dataclasses import dataclass

from tempkit.protocol.close_codes import CloseCode
from tempkit.protocol.parameters import MAX_SESSION_DURATION_SECONDS
from tempkit.sandbox.rules import Switches, Violation

PREFIX = "sandbox-"  # marks a temporary token; anything else in its place is taken for a key
MOST = 100_000  # tokens that are remembered, the newest

MISSING = "Unauthorized Connection: Missing Authorization header"
INVALID = "Unauthorized Connection: Invalid API key"
EXPIRED = "Unauthorized Connection: Signature has expired"
TOO_MANY = "Unauthorized Connection: Too many concurrent sessions"
SPENT = "Unauthorized Connection: Token has already been used"  # our words: the service is lenient


class Refused(Violation):
    """A credential opens no session; the text is the service's."""

    def __init__(self, text: str) -> None:
        super().__init__(CloseCode.REFUSED, text)


@dataclass(repr=False)
class _Token:
    expires_at: float
    longest: int  # seconds of the session that it opens
    key: str  # whose session that is
    is_reusable: bool
    is_spent: bool = False


class Ledger:
    """The tokens and keys that open a session."""

    def __init__(self, switches: Switches = Switches()) -> None:  # noqa: B008 - it is frozen
        self._switches = switches
        self._tokens: dict[str, _Token] = {}
        self._opened: dict[str, list[float]] = {}  # by key: the sessions of the last minute
        self._lock = threading.Lock()

    def accepts_key(self, key: str) -> bool:
        """Whether a raw API key may take tokens and open sessions.

        A scheme word such as ``Bearer`` in front of it is no key.
        """
        shaped = key.isascii() and key.isprintable() and " " not in key and key != ""
        keys = self._switches.api_keys
        return shaped and (keys is None or key in keys)

    def issue(
        self,
        now: float,
        expires_in_seconds: int,
        max_session_duration_seconds: int = MAX_SESSION_DURATION_SECONDS[1],
        *,
        key: str = "",
        is_reusable: bool = False,
    ) -> str:
        """A new token, good for one session that opens within ``expires_in_seconds``, or for many.

        The session counts as one of ``key``'s.
        """
        token, expires_at = PREFIX + secrets.token_hex(16), now + expires_in_seconds
        with self._lock:
            self._tokens[token] = _Token(expires_at, max_session_duration_seconds, key, is_reusable)
            if len(self._tokens) > MOST:
                del self._tokens[next(iter(self._tokens))]
        return token

    def admit(self, now: float, token: str | None, authorization: str | None) -> int:
        """The longest duration, in seconds, of the session that these credentials open.

        A token may come in either place, a key in the header only. Raises Refused.
        """
        credential = token or authorization
        if not credential:
            raise Refused(MISSING)
        with self._lock:
            if credential.startswith(PREFIX):
                return self._redeem(now, credential)
            if token or not self.accepts_key(credential):
                raise Refused(INVALID)
            self._count(now, credential)
        return MAX_SESSION_DURATION_SECONDS[1]

    def _redeem(self, now: float, text: str) -> int:
        token = self._tokens.get(text)
        if token is None:
            raise Refused(INVALID)
        # "The token expires after expires_in_seconds": it opens no session from then on.
        if now >= token.expires_at:
            raise Refused(EXPIRED)
        # "Each token can be used for one session"; those of the token host open "more than one
        # session until the window ends".
        if token.is_spent and self._switches.single_use and not token.is_reusable:
            raise Refused(SPENT)
        self._count(now, token.key)
        token.is_spent = True
        return token.longest

    def _count(self, now: float, key: str) -> None:
        # "The limit is new sessions per minute", each key's own, "charged to the key that minted
        # the token"; what it answers with says "concurrent".
        most = self._switches.sessions_per_minute
        if most is None:
            return
        recent = {who: [at for at in all_ if at > now - 60] for who, all_ in self._opened.items()}
        self._opened = {who: times for who, times in recent.items() if times}
        if len(self._opened.get(key, ())) >= most:
            raise Refused(TOO_MANY)
        self._opened.setdefault(key, []).append(now)
