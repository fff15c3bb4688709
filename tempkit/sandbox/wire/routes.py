"""The HTTP routes of a sandbox: the service's token route, and the sandbox's own. No I/O."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import NamedTuple
from urllib.parse import urlsplit

from tempkit.config import is_loopback
from tempkit.errors import ProtocolError
from tempkit.protocol.messages import Json, parse_object
from tempkit.protocol.parameters import (
    EXPIRES_IN_SECONDS,
    MAX_SESSION_DURATION_SECONDS,
    check_whole_number,
)
from tempkit.sandbox.faults import PLAIN, WAYS, WHAT, Faults
from tempkit.sandbox.rules.opening import read_query
from tempkit.sandbox.state import State, harmless

PAGE = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
LIMITS = {
    "expires_in_seconds": EXPIRES_IN_SECONDS,
    "max_session_duration_seconds": MAX_SESSION_DURATION_SECONDS,
}
USUAL = {"expires_in_seconds": 60, "max_session_duration_seconds": 10_800}
OTHER_PRODUCTS = ("tts", "agents")
TOKEN = "/v3/token"
UNIFIED_TOKEN = "/v1/token"  # of the token host
TOKENS = (TOKEN, UNIFIED_TOKEN)
OLD_TOKEN = "/v2/realtime/token"
WEBSOCKET = "/v3/ws"
OLD_WEBSOCKET = "/v2/realtime/ws"


@dataclass(frozen=True, repr=False)  # it may hold a credential
class HttpRequest:
    """An HTTP request; ``peer`` is the address that it came from."""

    method: str
    target: str
    headers: Mapping[str, str]
    peer: str
    body: bytes = b""

    @property
    def path(self) -> str:
        """The path without the query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        """The parameters in the address."""
        return read_query(self.target.partition("?")[2])

    @property
    def opens_socket(self) -> bool:
        """Whether it asks for a socket; the example of the self-hosted service does so at /."""
        is_upgrade = self.headers.get("Upgrade", "").lower() == "websocket"
        return self.path == WEBSOCKET or (self.path == "/" and is_upgrade)


class HttpAnswer(NamedTuple):
    """An HTTP answer."""

    status: int
    body: bytes = b""
    kind: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


def answer(request: HttpRequest, state: State, url: str) -> HttpAnswer:
    """What a request that opens no WebSocket is answered with; ``url`` is the sandbox's own."""
    given = _answer(request, state, url)
    if not request.path.startswith("/sandbox"):
        detail: dict[str, Json] = {"status": given.status}
        detail |= {name: harmless(v) for name, v in request.query.items() if name in LIMITS}
        name = f"{request.method} {harmless(request.path)}"
        state.journal.add(state.clock(), 0, "request", name, detail)
    return given


def _answer(request: HttpRequest, state: State, url: str) -> HttpAnswer:
    if request.body and request.path not in (UNIFIED_TOKEN, OLD_TOKEN):
        return NO_REQUEST
    if request.path in TOKENS:
        status = state.faults.token_status
        if status is not None and state.is_hit("token_failures"):
            return _json(status, {"error": "A simulated fault"})
        return (_token if request.path == TOKEN else _unified_token)(request, state)
    if request.path == OLD_TOKEN:
        return _json(404, {"error": "This route is gone; tokens come from GET /v3/token"})
    if request.path == OLD_WEBSOCKET:
        return HttpAnswer(410, b"Deprecated endpoint", "text/plain")
    # A wrong path is answered with 403 and nothing else; so are the sandbox's own to strangers.
    if not is_from_here(request):
        return HttpAnswer(403)
    match request.method, request.path:
        case "GET", "/sandbox":
            return _page(state, url)
        case "GET", "/sandbox/journal":
            names, entries = ("at", "session", "kind", "name", "detail"), state.journal.entries[:]
            return _json(200, [{n: getattr(entry, n) for n in names} for entry in entries])
        case "POST", "/sandbox/faults":
            try:
                state.faults = Faults.from_query(request.query)
            except ValueError as error:
                return _json(422, {"error": str(error)})
            return _json(200, state.faults.given)
        case "POST", "/sandbox/reset":
            state.reset()
            return _json(200, {})
    return HttpAnswer(403)


def _token(request: HttpRequest, state: State) -> HttpAnswer:
    """What the service's token route answers, pages of other origins included by a switch."""
    headers = (("Access-Control-Allow-Origin", "*"),) if state.switches.cors else ()
    if request.method == "OPTIONS" and headers:
        allowed = ("Access-Control-Allow-Headers", "Authorization")
        return HttpAnswer(204, headers=(*headers, allowed))
    if request.method != "GET":
        return HttpAnswer(405, headers=(("Allow", "GET"),))
    return _given_token(request, state)._replace(headers=headers)


def _given_token(request: HttpRequest, state: State) -> HttpAnswer:
    query, documented = request.query, state.switches.documented_token_errors
    authorization = request.headers.get("Authorization")
    # Unlike on the socket, "Bearer <key>" was seen to be taken here.
    key = None if authorization is None else authorization.removeprefix("Bearer ")
    if key is None and documented:
        return _json(401, {"error": "Missing Authorization header"})
    if key is not None and not state.ledger.accepts_key(key):
        return _json(401, {"error": "Invalid API key"})
    asked = {name: query[name] for name in LIMITS if name in query}
    problems = [] if "expires_in_seconds" in asked else [_missing("query", "expires_in_seconds")]
    problems += filter(None, (_problem(name, text, *LIMITS[name]) for name, text in asked.items()))
    if problems and documented:
        return _json(400, {"error": "Invalid parameters", "details": problems})
    if key is None:
        problems.append(_missing("header", "authorization"))
    if problems or key is None:
        return _json(422, {"detail": problems})
    return _granted(state, [int(text) for text in asked.values()], key)


def _granted(state: State, asked: list[int], key: str, *, is_reusable: bool = False) -> HttpAnswer:
    token = state.ledger.issue(state.clock(), *asked, key=key, is_reusable=is_reusable)
    return _json(200, {"token": token, "expires_in_seconds": asked[0]})


def _missing(*place: str) -> dict[str, object]:
    return {"type": "missing", "loc": place, "msg": "Field required", "input": None}


def _problem(name: str, text: str, low: int, high: int) -> dict[str, object] | None:
    """What a range check says about a value of the query, None when it is fine."""
    given = {"loc": ["query", name], "input": text}
    try:
        value = int(text)
    except ValueError:
        said = "Input should be a valid integer, unable to parse string as an integer"
        return {"type": "int_parsing", "msg": said, **given}
    if low <= value <= high:
        return None
    side, sign, limit = ("greater", "ge", low) if value < low else ("less", "le", high)
    said = f"Input should be {side} than or equal to {limit}"
    return {"type": f"{side}_than_equal", "msg": said, "ctx": {sign: limit}, **given}


def _unified_token(request: HttpRequest, state: State) -> HttpAnswer:
    """What the token host answers: a token for as many sessions as open within its window.

    Its page could be read in part only: what is not known of it is taken and has no effect.
    """
    if request.method != "POST":
        return HttpAnswer(405, headers=(("Allow", "POST"),))
    key = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not state.ledger.accepts_key(key):
        return _json(401, {"error": "Invalid API key" if key else "Missing Authorization header"})
    try:
        asked = parse_object(request.body.decode(errors="replace") or "{}")
        given = {name: asked.get(name, usual) for name, usual in USUAL.items()}
        for name, value in given.items():
            check_whole_number(name, value, LIMITS[name])
    except (ProtocolError, ValueError) as error:
        return _json(400, {"error": str(error)})
    if (product := asked.get("product", "")) in OTHER_PRODUCTS:
        return _json(400, {"error": f"the sandbox offers only streaming, not {product}"})
    return _granted(state, [int(str(n)) for n in given.values()], key, is_reusable=True)


def is_from_here(request: HttpRequest) -> bool:
    """Whether a request comes from this machine, and from no page of another host.

    A page that a browser on this machine shows could reach loopback too: by a name of its own that
    leads here (its Host tells), or across sites (its Origin tells).
    """
    names = [f"//{request.headers.get('Host', '')}", f"//{request.peer}"]
    if ":" in request.peer:
        names[1] = f"//[{request.peer}]"
    if (origin := request.headers.get("Origin")) is not None:
        names.append(origin)
    try:
        return all(is_loopback(urlsplit(name).hostname or "") for name in names)
    except ValueError:  # no address
        return False


def _page(state: State, url: str) -> HttpAnswer:
    socket = "ws" + url.removeprefix("http")
    text = PAGE.substitute(
        url=escape(url),
        socket=escape(socket),
        host=escape(urlsplit(url).netloc),
        sessions=len(state.open_sessions),
        entries=len(state.journal.entries),
        faults=escape(str(state.faults) or "none"),
        ways=", ".join(WAYS),
        whats="".join(f"<li><code>{name}</code> {what}</li>" for name, what in WHAT.items()),
        faults_alone=", ".join(PLAIN),
        pace="at the speed of speech" if state.switches.realtime else "as fast as it arrives",
    )
    return HttpAnswer(200, text.encode(), "text/html; charset=utf-8")


def _json(status: int, body: object) -> HttpAnswer:
    return HttpAnswer(status, json.dumps(body).encode())


EXAMPLE = "POST /sandbox/faults?cut_after_received=20"
NO_BODY = f"send a plain request without a body; faults go in the query: {EXAMPLE}"
NO_REQUEST = _json(400, {"error": NO_BODY})
