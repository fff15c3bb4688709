"""The sandbox's temporary tokens: issue, redeem, expire. No I/O; every method takes the time.

A token carries its own expiry and cap under a signature, so an expired one is still told from a
made-up one, and only the spent ones have to be remembered.
"""

import base64
import hashlib
import hmac
import json
import secrets
import threading

from tempkit.protocol.close_codes import CloseCode
from tempkit.protocol.parameters import MAX_SESSION_DURATION_SECONDS
from tempkit.sandbox.rules import Switches, Violation

PREFIX = "sandbox-"  # marks a temporary token; anything else in its place is taken for a key

MISSING = "Unauthorized Connection: Missing Authorization header"
INVALID = "Unauthorized Connection: Invalid API key"
EXPIRED = "Unauthorized Connection: Signature has expired"
TOO_MANY = "Unauthorized Connection: Too many concurrent sessions"
SPENT = "Unauthorized Connection: Token has already been used"  # our words: the service is lenient


class Refused(Violation):
    """A credential opens no session; the text is the service's."""

    def __init__(self, text: str) -> None:
        super().__init__(CloseCode.REFUSED, text)


class Ledger:
    """The tokens and keys that open a session."""

    def __init__(self, switches: Switches = Switches()) -> None:  # noqa: B008 - it is frozen
        self._switches = switches
        # By the account that is charged, a key's digest: when sessions opened in the last minute.
        self._opened: dict[str, list[float]] = {}
        self._secret = secrets.token_bytes(32)
        self._spent: dict[str, float] = {}  # nonce -> expiry
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
        nonce, account = secrets.token_hex(8), self._account(key)
        expires_at, cap = now + expires_in_seconds, max_session_duration_seconds
        claims = json.dumps([expires_at, cap, nonce, account, is_reusable])
        body = base64.urlsafe_b64encode(claims.encode()).decode()
        return f"{PREFIX}{body}.{self._sign(body)}"

    def admit(self, now: float, token: str | None, authorization: str | None) -> int:
        """The longest duration, in seconds, of the session that these credentials open.

        A token may come in either place, a key in the header only. Raises Refused.
        """
        credential = token or authorization
        if not credential:
            raise Refused(MISSING)
        if credential.startswith(PREFIX):
            return self._redeem(now, credential)
        if token or not self.accepts_key(credential):
            raise Refused(INVALID)
        with self._lock:
            self._count(now, self._account(credential))
        return MAX_SESSION_DURATION_SECONDS[1]

    def _redeem(self, now: float, token: str) -> int:
        body, _, signature = token.removeprefix(PREFIX).partition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(body).encode()):
            raise Refused(INVALID)
        expires_at, cap, nonce, account, is_reusable = json.loads(base64.urlsafe_b64decode(body))
        # "The token expires after expires_in_seconds": it opens no session from then on.
        if now >= expires_at:
            raise Refused(EXPIRED)
        with self._lock:
            self._spent = {n: until for n, until in self._spent.items() if until > now}
            # "Each token can be used for one session"; those of the token host open "more than one
            # session until the window ends".
            if self._switches.single_use and not is_reusable and nonce in self._spent:
                raise Refused(SPENT)
            self._count(now, account)
            self._spent[nonce] = expires_at
        return int(cap)

    def _count(self, now: float, account: str) -> None:
        # "The limit is new sessions per minute", each key's own, "charged to the key that minted
        # the token"; what it answers with says "concurrent".
        most = self._switches.sessions_per_minute
        if most is None:
            return
        opened = [at for at in self._opened.get(account, ()) if at > now - 60]
        if len(opened) >= most:
            raise Refused(TOO_MANY)
        self._opened[account] = [*opened, now]

    def _account(self, key: str) -> str:
        return self._sign(f"key {key}")[:16]

    def _sign(self, body: str) -> str:
        return hmac.new(self._secret, body.encode(), hashlib.sha256).hexdigest()
