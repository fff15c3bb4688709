from collections.abc import Callable

import pytest

from tempkit import ConfigurationError
from tempkit.server.guard import Guard, Rate, Refusal, Request

SECRET = "a-secret-of-a-server_0"
PAGE = {"host": "localhost:8000"}
TOO_MANY = Refusal(429, "rate_limited", "wait", 13)


class Counting:
    """A counter that lets ``places`` through."""

    def __init__(self, places: int = 99) -> None:
        self.places = places
        self.clients: list[str] = []

    def take(self, client: str) -> Refusal | None:
        self.clients.append(client)
        return None if len(self.clients) <= self.places else TOO_MANY


def request(
    method: str = "GET", query: str = "", client: str = "127.0.0.1", **headers: str | None
) -> Request:
    given = PAGE | {name.replace("_", "-"): value for name, value in headers.items()}
    present = {name: value for name, value in given.items() if value is not None}
    return Request(method, "/token", query, present, client)


def ask(guard: Guard, request: Request, counter: Counting | None = None) -> Refusal | None:
    """Why there is no token for a request."""
    return guard.check(request, mints=True) or guard.admit(request, counter)[1]


def code(mints: bool = True, guard: Guard = Guard(), **changes: str | None) -> str | None:
    refusal = guard.check(request(**changes), mints=mints)
    return refusal.code if refusal else None


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8000", "LOCALHOST:8000", "127.0.0.1", "127.0.0.1:9", "127.8.8.8:1",
     "[::1]", "[::1]:8000", "[::ffff:127.0.0.1]:8000", "app.localhost:8000"],
)  # fmt: skip
@pytest.mark.parametrize("client", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_loopback_names_are_let_in_from_this_machine(host: str, client: str):
    assert code(host=host, client=client) is None


@pytest.mark.parametrize("client", ["192.0.2.7", "2001:db8::7", "::ffff:192.0.2.7", ""])
def test_a_loopback_name_from_elsewhere_is_not_believed(client: str):
    assert code(client=client) == "unknown_host"
    assert code(client=client, guard=Guard(allowed_hosts=frozenset({"localhost"}))) is None


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example",
     "", None, "[::1", "10.0.0.1", "0.0.0.0", "localhost@evil.example", "::1",
     "evil.example@localhost", "localhost#evil.example", "localhost/", "localhost?", "[::::1]",
     "localhost:port", "localhost\\@evil.example", "localhost,evil.example", "local host"],
)  # fmt: skip
@pytest.mark.parametrize("mints", [True, False])
def test_other_names_are_kept_out_of_the_page_and_of_the_tokens(host: str | None, mints: bool):
    assert code(mints, host=host) == "unknown_host"
    assert code(mints, host=host, guard=Guard(access_secret=SECRET)) == "unknown_host"


def test_a_named_host_is_let_in():
    guard = Guard(allowed_hosts=frozenset({"hub.example"}))
    assert code(guard=guard, host="hub.example:443", client="192.0.2.7") is None
    assert code(guard=guard, host="other.example") == "unknown_host"


def test_a_rebound_name_is_kept_out_although_origin_and_host_agree():
    assert code(host="evil.example", origin="http://evil.example") == "unknown_host"


def test_another_name_is_let_in_with_the_secret_in_the_address_or_the_cookie():
    guard = Guard(access_secret=SECRET)
    cookie = f"other=1; {guard.cookie_name}={SECRET}; more=2"
    assert code(guard=guard, host="hub.example", query=f"a=1&access={SECRET}") is None
    assert code(guard=guard, host="hub.example", cookie=cookie) is None
    assert code(guard=guard, client="192.0.2.7", cookie=cookie) is None


@pytest.mark.parametrize(
    "changes",
    [{"query": "access="}, {"query": f"access={SECRET[:-1]}"}, {"query": f"access={SECRET}x"},
     {"query": f"excess={SECRET}"}, {"query": "access=\u00e9"}, {"cookie": f"access={SECRET}"},
     {"cookie": "tempkit-00000000="}, {"authorization": SECRET}],
)  # fmt: skip
def test_another_secret_lets_nobody_in(changes: dict[str, str]):
    assert code(guard=Guard(access_secret=SECRET), host="hub.example", **changes) == "unknown_host"
    assert code(guard=Guard(), host="hub.example", **changes) == "unknown_host"


def test_not_even_the_secret_lets_in_a_host_that_can_be_read_in_two_ways():
    guard = Guard(access_secret=SECRET, allowed_hosts=frozenset({"hub.example"}))
    assert code(guard=guard, host="x@hub.example", query=f"access={SECRET}") == "unknown_host"
    assert code(guard=guard, host="my_app.hub.example.:80", query=f"access={SECRET}") is None


def test_two_secrets_have_two_cookies():
    names = {Guard(access_secret=SECRET + end).cookie_name for end in ("a", "b")}
    assert len(names) == 2


@pytest.mark.parametrize(
    "secret", ["", "short", "with spaces in the middle", "query&part=of-a-url"]
)
def test_a_secret_that_can_be_guessed_or_breaks_an_address_is_refused(secret: str):
    with pytest.raises(ConfigurationError, match="an access secret has at least 16") as caught:
        Guard(access_secret=secret)
    assert not secret or secret not in str(caught.value)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "odd"])
def test_a_page_of_another_site_gets_no_token_but_may_link_to_the_page(site: str):
    assert code(sec_fetch_site=site) == "cross_site"
    assert code(mints=False, sec_fetch_site=site) is None


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://localhost:9999", "", "localhost:8000",
     "chrome-extension://localhost:8000", "file://localhost:8000", "://localhost:8000"],
)  # fmt: skip
def test_a_foreign_origin_gets_no_token(origin: str):
    assert code(origin=origin) == "cross_site"


@pytest.mark.parametrize("site", ["same-origin", "none", None])
def test_the_servers_own_page_gets_its_token(site: str | None):
    assert code(sec_fetch_site=site, origin="http://localhost:8000") is None


def test_a_configured_origin_gets_a_token():
    guard = Guard(allowed_origins=frozenset({"https://app.example"}))
    assert code(guard=guard, origin="https://app.example", sec_fetch_site="cross-site") is None
    assert code(guard=guard, origin="https://app.example.evil") == "cross_site"
    assert code(guard=guard, sec_fetch_site="cross-site") == "cross_site"


def test_who_is_unknown_to_the_authorisation_gets_no_token():
    def authorize(request: Request) -> str | None:
        return {"Bearer ann": "ann"}.get(request.headers.get("authorization", ""))

    guard, counter = Guard(authorize=authorize), Counting()
    refusal = ask(guard, request(authorization="Bearer eve"), counter)
    assert refusal is not None
    assert (refusal.status, refusal.code, counter.clients) == (401, "unauthorized", [])
    assert ask(guard, request(authorization="Bearer ann"), counter) is None
    assert counter.clients == ["id ann"]


@pytest.mark.parametrize("known", [None, "", False])
def test_only_a_name_is_an_identity(known: object):
    guard = Guard(authorize=lambda request: known)
    assert ask(guard, request()) == Refusal(401, "unauthorized", "sign in first")
    with pytest.raises(TypeError, match="identity that authorize returns takes a string, not bool"):
        ask(Guard(authorize=lambda request: True), request())


def test_too_many_tokens_of_an_address_are_refused_as_the_counter_says():
    counter = Counting(places=1)
    assert [ask(Guard(), request(), counter) for _ in range(2)] == [None, TOO_MANY]
    assert counter.clients == ["127.0.0.1"] * 2


def test_the_refusals_come_in_the_order_that_is_promised():
    asked: list[str] = []

    def authorize(request: Request) -> str | None:
        asked.append("authorisation")
        return request.headers.get("authorization")

    guard, counter = Guard(authorize=authorize), Counting(places=0)
    wrong: dict[str, str | None] = {
        "host": "evil.example",
        "method": "POST",
        "origin": "http://evil.example",
        "authorization": None,
    }
    right = {"host": PAGE["host"], "method": "GET", "origin": None, "authorization": "ann"}
    codes = []
    for name in (*right, None):
        refusal = ask(guard, request(**wrong), counter)  # type: ignore[arg-type]
        assert refusal is not None
        codes.append(refusal.code)
        if name is not None:
            wrong[name] = right[name]
    assert codes == ["unknown_host", "method", "cross_site", "unauthorized", "rate_limited"]
    assert (asked, counter.clients) == (["authorisation"] * 2, ["id ann"])


def test_the_environment_describes_a_guard():
    guard = Guard.from_variables(
        {
            "TEMPKIT_ALLOWED_HOSTS": "A.example, b.example,",
            "TEMPKIT_ALLOWED_ORIGINS": "https://a.example",
            "TEMPKIT_ACCESS_SECRET": SECRET,
            "TEMPKIT_RATE_CLIENT": "5",
            "TEMPKIT_RATE_STORAGE": "redis://:hush@127.0.0.1:6379",
            "TEMPKIT_RATE_WHEN_DOWN": "allow",
            "OTHER": "1",
        }
    )
    assert guard.allowed_hosts == {"a.example", "b.example"}
    assert guard.allowed_origins == {"https://a.example"}
    assert guard.rate == Rate(5, 10, 120, "redis://:hush@127.0.0.1:6379", "allow")
    assert Guard.from_variables({}) == Guard()
    assert Guard.from_variables({"ALLOWED_HOSTS": "other.example", "RATE_CLIENT": "5"}) == Guard()
    assert SECRET not in repr(guard)
    assert "hush" not in repr(guard)


@pytest.mark.parametrize(
    "make",
    [lambda: Guard.from_variables({"TEMPKIT_RATE_CLIENT": "many"}),
     lambda: Guard.from_variables({"TEMPKIT_RATE_BURST": "0"}),
     lambda: Guard.from_variables({"TEMPKIT_RATE_WHEN_DOWN": "perhaps"}),
     lambda: Rate(overall=-1)],
)  # fmt: skip
def test_a_value_that_cannot_be_one_is_named(make: Callable[[], object]):
    with pytest.raises(ConfigurationError, match=r"rate|RATE|when_down"):
        make()


def test_a_request_shows_neither_its_headers_nor_its_query():
    shown = repr(request(query="access=hush", cookie="hush"))
    assert "hush" not in shown
    assert "/token" in shown


@pytest.mark.parametrize("origin", ["localhost:3000", "app.example.com", "https://app.example/"])
def test_an_origin_that_no_browser_sends_is_refused_at_once(origin: str):
    with pytest.raises(ConfigurationError, match=r"such as https://app\.example\.com, not"):
        Guard.from_variables({"TEMPKIT_ALLOWED_ORIGINS": origin})
