"""Addresses behind proxies, and who is let in there; what a request looks like is written out."""

import json
import sys
import threading
from collections.abc import Iterator
from types import ModuleType

import pytest

from tempkit import Settings, TokenServer
from tempkit.server.addresses import (
    PREFIX_VARIABLE,
    PUBLIC_VARIABLE,
    Place,
    colab_place,
    context_path,
    hub_place,
    launcher,
)
from tempkit.server.guard import Guard
from tests.talking import raw

PATH = "/user/alice/proxy/8000/"


@pytest.mark.parametrize(
    ("prefix", "public", "place"),
    [
        (None, None, None),
        ("", "", None),
        (None, "https://hub.example/user/alice/", None),
        ("/user/alice/", None, Place(PATH)),
        ("/user/alice", "", Place(PATH)),
        ("/user/alice/", "https://hub.example/user/alice/",
         Place(f"https://hub.example{PATH}", "hub.example")),
        ("/user/alice/", "http://Hub.example:8080/user/alice",
         Place(f"http://Hub.example:8080{PATH}", "hub.example")),
        ("/user/alice/", "https://alice.hub.example/user/alice/",
         Place(f"https://alice.hub.example{PATH}", "alice.hub.example")),
        ("/user/alice/", "https://hub.example/outer/user/alice/",
         Place(f"https://hub.example/outer{PATH}", "hub.example")),
        ("/user/alice/", "https://hub.example/",
         Place(f"https://hub.example{PATH}", "hub.example")),
        ("/binder/user/a%40b-x1/gpu/", "https://[2001:db8::7]:8443/",
         Place("https://[2001:db8::7]:8443/binder/user/a%40b-x1/gpu/proxy/8000/", "2001:db8::7")),
        ("/user/alice/", "hub.example", Place(PATH)),
        ("/user/alice/", "ftp://hub.example/", Place(PATH)),
        ("/user/alice/", "https://alice:word@hub.example/", Place(PATH)),
        ("/user/alice/", "https://[2001:db8::7/", Place(PATH)),
        ("/user/alice/", "https://hub.example:port/", Place(PATH)),
        ("/user/alice/", "https:///user/alice/", Place(PATH)),
    ],
)  # fmt: skip
def test_on_a_hub_the_address_is_the_hubs(prefix: str, public: str, place: Place | None):
    given = {PREFIX_VARIABLE: prefix, PUBLIC_VARIABLE: public}
    variables = {name: value for name, value in given.items() if value is not None}
    assert hub_place(variables, 8000) == place


@pytest.mark.parametrize(
    "context",
    ["/user/alice/proxy/8000", "/proxy/8000", "/user/alice/proxy/127.0.0.1:8000",
     "/user/alice/tempkit", "/tempkit", "/user/a@b.example/x%20y/proxy/8000"],
)  # fmt: skip
def test_the_path_that_the_proxy_took_off_is_known(context: str):
    assert context_path({"x-proxycontextpath": context}) == context


@pytest.mark.parametrize(
    "context",
    ["", "/", "user/proxy/8000", "//evil.example/proxy/8000", "/user//proxy/8000",
     "https://evil.example/proxy/8000", "/user/../proxy/8000", "/%2e%2E/proxy/8000", "/./tempkit",
     "/user/alice/proxy/8000/", "/a b/proxy/8000", "/a;Path=//proxy/8000", "/a\\b/proxy/8000",
     "/a?b/proxy/8000", "/a#b/proxy/8000", "/%/proxy/8000", "/%zz/proxy/8000", "/\u00e9/proxy/8000",
     "/proxy/8000, /proxy/9", '/"/proxy/8000', "/<script>/proxy/8000", "/proxy/8000\n",
     "/a" * 600 + "/proxy/8000"],
)  # fmt: skip
def test_what_is_no_plain_path_is_as_if_no_proxy_had_said_it(context: str):
    assert context_path({"x-proxycontextpath": context}) is None


@pytest.fixture
def server(settings: Settings) -> Iterator[TokenServer]:
    with TokenServer(settings, port=0) as server:
        yield server


def ask(
    server: TokenServer, path: str = "/token", host: str = "hub.example", **headers: str
) -> tuple[int, dict[str, str], str]:
    """The status, headers and body for a request of this machine by a name."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    answer = raw(server.port, "\r\n".join([*lines, "", ""]).encode())
    head, _, body = answer.decode().partition("\r\n\r\n")
    status, *fields = head.split("\r\n")
    return int(status.split()[1]), dict(field.split(": ", 1) for field in fields), body


FORWARDED = {
    "X_ProxyContextPath": "/user/alice/proxy/8000",
    "X_Forwarded_Prefix": "/user/alice/proxy/8000",
    "X_Forwarded_Context": "/user/alice/proxy/8000",
    "X_Forwarded_Host": "localhost",
    "X_Forwarded_For": "127.0.0.1",
    "X_Forwarded_Proto": "https",
    "Forwarded": "host=localhost;for=127.0.0.1",
}


def test_headers_of_a_proxy_open_no_door(server: TokenServer):
    for path in ("/", "/token"):
        status, _, body = ask(server, path, **FORWARDED, X_Tempkit_Access="a-guess-of-someone")
        assert status == 403
        assert "server.browser_url" in body
    foreign = {"Origin": "https://evil.example"}
    assert ask(server, host="localhost", **FORWARDED, **foreign)[0] == 403
    assert ask(server, host="localhost", **FORWARDED, Sec_Fetch_Site="cross-site")[0] == 403


def test_a_proxy_that_shows_the_secret_itself_is_let_in(server: TokenServer):
    shown = {"X_Tempkit_Access": server.access_secret, "Origin": "https://hub.example"}
    status, _, body = ask(server, **FORWARDED, **shown)
    assert status == 200
    assert server.access_secret not in body
    assert ask(server, "/", **FORWARDED, **shown)[0] == 200
    # It says which proxy asks, not which page.
    assert ask(server, **shown | {"Origin": "https://evil.example"})[0] == 403


def test_the_sandboxs_socket_is_beside_the_token_by_whatever_name_and_path_one_came(
    server: TokenServer,
):
    shown = {"X_Tempkit_Access": server.access_secret}
    for headers in (shown, FORWARDED | shown):
        _, fields, body = ask(server, **headers)
        answer = json.loads(body)
        assert answer["websocket_url"] == "v3/ws"
        assert answer["service"] == "sandbox"
        policy = fields["Content-Security-Policy"]
        assert "connect-src 'self' ws://hub.example wss://hub.example wss://streaming" in policy


def test_a_host_that_is_none_comes_into_no_policy(settings: Settings):
    odd = "*; script-src *"
    with TokenServer(settings, port=0) as server:
        shown = {"X_Tempkit_Access": server.access_secret}
        _, headers, _ = ask(server, host=odd, **FORWARDED, **shown)
    assert "*;" not in headers["Content-Security-Policy"]


def test_the_real_services_address_is_absolute_everywhere():
    real = Settings("0" * 31)
    with TokenServer(real, port=0) as server:
        policy = ask(server, "/", host="localhost", **FORWARDED)[1]["Content-Security-Policy"]
    assert "wss://localhost wss://streaming.assemblyai.com " in policy


def test_behind_the_proxy_the_cookie_is_for_this_server_alone(server: TokenServer):
    address = f"/?a=1&access_key={server.access_secret}"
    status, headers, _ = ask(server, address, **FORWARDED)
    assert (status, headers["Location"]) == (303, "./?a=1")
    name = server._site.guard.cookie_name
    assert headers["Set-Cookie"].startswith(
        f"{name}={server.access_secret}; Path=/user/alice/proxy/8000; HttpOnly; SameSite=Lax;"
    )
    assert headers["Set-Cookie"].endswith("; Secure")
    assert "; Path=/; " in ask(server, address)[1]["Set-Cookie"]
    odd = {"X_ProxyContextPath": "/a; Domain=example", "X_Forwarded_Proto": "http, https"}
    assert "; Path=/; " in (cookie := ask(server, address, **odd)[1]["Set-Cookie"])
    assert "Domain" not in cookie
    assert "Secure" not in cookie


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_on_a_hub_that_says_its_name_the_address_needs_no_secret(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(PREFIX_VARIABLE, "/user/alice/")
    monkeypatch.setenv(PUBLIC_VARIABLE, "https://hub.example/user/alice/")
    guard = Guard(allowed_hosts=frozenset({"other.example"}))
    with TokenServer(settings, port=0, guard=guard) as server:
        address = f"https://hub.example/user/alice/proxy/{server.port}/"
        assert server.browser_url == address
        assert said(capsys) == [
            f"Server is running at http://localhost:{server.port}",
            f"In your browser it is at {address}",
        ]
        assert [ask(server, host=name)[0] for name in ("hub.example", "other.example")] == [200] * 2
        assert ask(server, host="evil.example")[0] == 403


def test_on_a_hub_that_others_reach_the_port_of_the_secret_is_needed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(PREFIX_VARIABLE, "/user/alice/")
    monkeypatch.setenv(PUBLIC_VARIABLE, "https://hub.example/user/alice/")
    with TokenServer(settings, host="0.0.0.0", port=0) as server:
        address = f"https://hub.example/user/alice/proxy/{server.port}/"
        assert server.browser_url == f"{address}?access_key={server.access_secret}"
        assert ask(server)[0] == 403


def test_where_the_proxy_is_missing_it_is_said(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(PREFIX_VARIABLE, "/user/alice/")
    monkeypatch.setitem(sys.modules, "jupyter_server_proxy", None)  # as if it were not installed
    with TokenServer(settings, port=0) as server:
        path = f"/user/alice/proxy/{server.port}/?access_key={server.access_secret}"
        assert server.browser_url == path
        first, second, third = said(capsys)
        assert first == f"Server is running at http://localhost:{server.port}"
        assert second.endswith(f" this hub's own address, then {path}")
        assert "jupyter-server-proxy" in third


@pytest.fixture
def colab(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A stand-in for Colab's module: no Colab was asked."""
    output = ModuleType("google.colab.output")
    output.asked = []
    output.answer = "https://8000-x1.prod.colab.dev"

    def eval_js(script: str, ignore_result: bool = False, timeout_sec: float | None = None) -> str:
        output.asked.append((script, timeout_sec))
        if isinstance(output.answer, Exception):
            raise output.answer
        return output.answer

    output.eval_js = eval_js
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    monkeypatch.setitem(sys.modules, "google.colab.output", output)
    return output


def test_in_colab_the_browser_is_asked_and_not_for_ever(colab: ModuleType):
    place = Place("https://8000-x1.prod.colab.dev/", "8000-x1.prod.colab.dev", False)
    assert colab_place(8000) == place
    assert colab.asked == [("google.colab.kernel.proxyPort(8000)", 5)]
    found = []
    thread = threading.Thread(target=lambda: found.append(colab_place(8000)))
    thread.start()
    thread.join(5)
    assert found == [None]


@pytest.mark.parametrize(
    "answer",
    [
        TimeoutError(),
        None,
        "",
        7,
        "http://x.colab.dev",
        "https://a@x.example",
        "javascript:alert(1)",
    ],
)
def test_without_an_address_of_colab_there_is_none(colab: ModuleType, answer: object):
    colab.answer = answer
    assert colab_place(8000) is None


def test_a_colab_that_cannot_be_asked_with_a_bound_is_not_asked(colab: ModuleType):
    colab.eval_js = lambda script, ignore_result=False: "https://x.colab.dev"
    assert colab_place(8000) is None


def test_in_colab_the_page_is_let_in_by_its_name_and_the_sandboxs_silence_is_said(
    colab: ModuleType, settings: Settings, capsys: pytest.CaptureFixture[str]
):
    with TokenServer(settings, port=0) as server:
        assert server.browser_url == "https://8000-x1.prod.colab.dev/"
        assert ask(server, host="8000-x1.prod.colab.dev")[0] == 200
        assert "Colab does not pass on WebSockets" in said(capsys)[-1]


def test_elsewhere_the_address_is_the_printed_one(server: TokenServer):
    assert server.browser_url == f"http://localhost:{server.port}"


def test_the_tiles_secret_is_in_its_environment_and_header_alone():
    tile, other = launcher(), launcher()
    secret = tile["environment"]["TEMPKIT_ACCESS_SECRET"]
    assert tile["request_headers_override"] == {"x-tempkit-access": secret}
    assert Guard(access_secret=secret)
    assert secret not in f"{tile['command']} {tile['launcher_entry']}"
    assert other["environment"] != tile["environment"]


def test_a_browser_is_said_to_be_here_only_when_that_is_certain(
    server: TokenServer, monkeypatch: pytest.MonkeyPatch
):
    def is_here(host: str, **headers: str) -> bool:
        shown = {"X_Tempkit_Access": server.access_secret}
        return json.loads(ask(server, host=host, **shown, **headers)[2])["is_here"]

    here = f"localhost:{server.port}"
    assert is_here(here)
    assert is_here(f"127.0.0.1:{server.port}")
    assert not is_here("localhost:1")  # a forwarded port
    assert not is_here(f"phone.example:{server.port}")
    for name in ("SSH_CONNECTION", "KUBERNETES_SERVICE_HOST", PREFIX_VARIABLE):
        with monkeypatch.context() as remote:
            remote.setenv(name, "something")
            assert not is_here(here)
