"""The HTTP routes of a sandbox: the service's token route, and the sandbox's own. No I/O."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
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
from tempkit.sandbox.state import State
from tempkit.sandbox.wire.page import PAGE

LIMITS = {
    "expires_in_seconds": EXPIRES_IN_SECONDS,
    "max_session_duration_seconds": MAX_SESSION_DURATION_SECONDS,
}
USUAL = {"expires_in_seconds": 60, "max_session_duration_seconds": 10_800}
OTHER_PRODUCTS = ("tts", "agents")
TOKEN = "/v3/token"
UNIFIED_TOKEN = "/v1/token"  # of the token host
OLD_TOKEN = "/v2/realtime/token"
WEBSOCKET = "/v3/ws"
OLD_WEBSOCKET = "/v2/realtime/ws"
ANY_ORIGIN = (("Access-Control-Allow-Origin", "*"),)


@dataclass(frozen=True)
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
    if request.body and request.path not in (UNIFIED_TOKEN, OLD_TOKEN):
        return NO_REQUEST
    if request.path == TOKEN:
        return _answer_token(request, state)
    if request.path == UNIFIED_TOKEN:
        return _answer_unified_token(request, state)
    if request.path == OLD_TOKEN:
        return _json(404, {"error": "This route is gone; tokens come from GET /v3/token"})
    if request.path == OLD_WEBSOCKET:
        return HttpAnswer(410, b"Deprecated endpoint", "text/plain")
    own = {
        ("GET", "/sandbox"): lambda: _page(state, url),
        ("GET", "/sandbox/journal"): lambda: _json(200, state.journal.as_json()),
        ("GET", "/sandbox/faults"): lambda: _json(200, dict(state.faults.given())),
        ("POST", "/sandbox/faults"): lambda: _arm(request, state),
        ("POST", "/sandbox/reset"): lambda: _reset(state),
    }.get((request.method, request.path))
    # A wrong path is answered with 403 and nothing else; so are the sandbox's own to strangers.
    return own() if own and is_from_here(request) else HttpAnswer(403)


def _answer_token(request: HttpRequest, state: State) -> HttpAnswer:
    """What the service's token route answers, pages of other origins included by a switch."""
    if (status := state.armed.token_status()) is not None:
        return _json(status, {"error": "A fault that was asked for"})
    if state.switches.cors and request.method == "OPTIONS":
        return HttpAnswer(
            204, headers=(*ANY_ORIGIN, ("Access-Control-Allow-Headers", "Authorization"))
        )
    if request.method != "GET":
        return HttpAnswer(405, headers=(("Allow", "GET"),))
    given = _token(request, state)
    return given._replace(headers=ANY_ORIGIN) if state.switches.cors else given


def _answer_unified_token(request: HttpRequest, state: State) -> HttpAnswer:
    """What the token host answers: a token for as many sessions as open within its window.

    Its page could be read in part only: what is not known of it is taken and has no effect.
    """
    if (status := state.armed.token_status()) is not None:
        return _json(status, {"error": "A fault that was asked for"})
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
        return _json(400, {"error": f"the sandbox has streaming alone, not {product}"})
    expires, longest = (int(str(value)) for value in given.values())
    token = state.ledger.issue(state.clock(), expires, longest, key=key, is_reusable=True)
    return _json(200, {"token": token, "expires_in_seconds": expires})


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
    return all(_leads_here(name) for name in names)


def _leads_here(address: str) -> bool:
    try:
        return is_loopback(urlsplit(address).hostname or "")
    except ValueError:
        return False


def _token(request: HttpRequest, state: State) -> HttpAnswer:
    query, documented = request.query, state.switches.documented_token_errors
    authorization = request.headers.get("Authorization")
    # Unlike on the socket, "Bearer <key>" was seen to be taken here.
    key = None if authorization is None else authorization.removeprefix("Bearer ")
    if key is None and documented:
        return _json(401, {"error": "Missing Authorization header"})
    if key is not None and not state.ledger.accepts_key(key):
        return _json(401, {"error": "Invalid API key"})
    problems = _problems(query)
    if problems and documented:
        return _json(400, {"error": "Invalid parameters", "details": problems})
    if key is None:
        problems.append(_problem("missing", "header", "authorization"))
    if problems or key is None:
        return _json(422, {"detail": problems})
    asked = [int(query[name]) for name in LIMITS if name in query]
    token = state.ledger.issue(state.clock(), *asked, key=key)
    return _json(200, {"token": token, "expires_in_seconds": asked[0]})


def _problems(query: Mapping[str, str]) -> list[Json]:
    """What is wrong with the parameters of a token request."""
    problems: list[Json] = [
        problem
        for name, (low, high) in LIMITS.items()
        if name in query and (problem := _range_problem(name, query[name], low, high))
    ]
    if "expires_in_seconds" not in query:
        problems.insert(0, _problem("missing", "query", "expires_in_seconds"))
    return problems


def _problem(kind: str, *place: Json, **more: Json) -> dict[str, Json]:
    given: dict[str, Json] = {"type": kind, "loc": [*place], "msg": "Field required", "input": None}
    return given | more


def _range_problem(name: str, text: str, low: int, high: int) -> dict[str, Json] | None:
    """What a range check says about a value of the query, None when it is fine."""
    try:
        value = int(text)
    except ValueError:
        said = "Input should be a valid integer, unable to parse string as an integer"
        return _problem("int_parsing", "query", name, msg=said, input=text)
    if value < low:
        said = f"Input should be greater than or equal to {low}"
        return _problem("greater_than_equal", "query", name, msg=said, input=text, ctx={"ge": low})
    if value > high:
        said = f"Input should be less than or equal to {high}"
        return _problem("less_than_equal", "query", name, msg=said, input=text, ctx={"le": high})
    return None


def _arm(request: HttpRequest, state: State) -> HttpAnswer:
    try:
        state.faults = Faults.from_query(request.query)
    except ValueError as error:
        return _json(422, {"error": str(error)})
    return _json(200, dict(state.faults.given()))


def _reset(state: State) -> HttpAnswer:
    state.reset()
    return _json(200, {})


def _page(state: State, url: str) -> HttpAnswer:
    socket = "ws" + url.removeprefix("http")
    per_minute = state.switches.sessions_per_minute
    text = PAGE.format(
        url=escape(url),
        socket=escape(socket),
        host=escape(urlsplit(url).netloc),
        sessions=state.open_sessions,
        entries=len(state.journal),
        faults=escape(", ".join(f"{k}={v}" for k, v in state.faults.given().items()) or "none"),
        ways=", ".join(WAYS),
        whats="".join(f"<li><code>{name}</code> {what}</li>" for name, what in WHAT.items()),
        faults_alone=", ".join(PLAIN),
        per_minute="any number of" if per_minute is None else per_minute,
        keys="Takes any key" if state.switches.api_keys is None else "Takes the keys it was given",
        pace="at the pace at which it sounds" if state.switches.realtime else "as fast as it comes",
        uses="one session" if state.switches.single_use else "any number of sessions",
    )
    return HttpAnswer(200, text.encode(), "text/html; charset=utf-8")


def _json(status: int, body: Json) -> HttpAnswer:
    return HttpAnswer(status, json.dumps(body).encode())


EXAMPLE = "POST /sandbox/faults?cut_after_received=20"
NO_BODY = f"the sandbox reads plain requests without a body; faults come in the query: {EXAMPLE}"
NO_REQUEST = _json(400, {"error": NO_BODY})
