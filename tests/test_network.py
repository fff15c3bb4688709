"""One way out: the token request and the WebSocket take the same proxy and trust the same CAs."""

import logging
import os
import ssl
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import certifi
import pytest
import trustme

from tempkit import (
    ConfigurationError,
    Sandbox,
    ServiceUnreachable,
    Settings,
    connect,
    generate_temp_token,
    http_client,
    network,
)
from tempkit.network import route_to
from tempkit.sandbox import Scripted
from tests.conftest import KEY, SCRIPT
from tests.proxies import REFUSED, Proxy
from tests.test_main import run
from tests.words import SAMPLE

NAME = "service.invalid"  # which nobody but the proxy can find
OUTSIDE = Settings(KEY, f"https://{NAME}", timeout=5)
HERE = "http://{proxy}"  # stands for the proxy's host and port
LOGIN = "http://ann:hush@{proxy}"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, authority: Path) -> Iterator[None]:
    """No proxy in the environment, whatever the developer has; the sandbox's CA is trusted."""
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    forget()
    yield
    forget()


def forget() -> None:
    """Close what is kept: it would go on by the way that it was opened."""
    network.trusted.cache_clear()
    for kept in http_client._idle.values():
        while kept:
            kept.pop().close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authority") / "ca.pem"


@pytest.fixture(scope="module")
def context(authority: Path) -> ssl.SSLContext:
    issuer = trustme.CA()
    issuer.cert_pem.write_to_path(str(authority))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0
    issuer.issue_cert(NAME, "127.0.0.1", "0.0.0.0").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def sandbox_by_tls(context: ssl.SSLContext) -> Iterator[Sandbox]:
    with Sandbox(Scripted(SCRIPT), ssl=context, realtime=False) as sandbox:
        yield sandbox


@pytest.fixture
def proxy(sandbox_by_tls: Sandbox) -> Iterator[Proxy]:
    with Proxy(sandbox_by_tls.port) as proxy:
        yield proxy


@pytest.fixture
def open_session(sandbox_by_tls: Sandbox) -> Callable[[Settings], None]:
    """Opens a session, and asks nobody but this machine for its token."""

    def open_session(settings: Settings) -> None:
        token = generate_temp_token(settings=sandbox_by_tls.settings)
        with connect(settings, token=token, reconnect=False) as session:
            session.terminate()

    return open_session


def ask_token(settings: Settings) -> None:
    generate_temp_token(settings=settings)


def set_all(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], proxy: Proxy) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value.replace("{proxy}", f"127.0.0.1:{proxy.port}"))


# The variables, which of them names the proxy, and the login that it gets.
THROUGH = {
    "with a scheme": ({"HTTPS_PROXY": HERE}, "HTTPS_PROXY", ""),
    "without a scheme": ({"HTTPS_PROXY": "{proxy}"}, "HTTPS_PROXY", ""),
    "with a slash and spaces": ({"HTTPS_PROXY": f" {HERE}/ "}, "HTTPS_PROXY", ""),
    "in capitals": ({"HTTPS_PROXY": "HTTP://{proxy}"}, "HTTPS_PROXY", ""),
    "in lower case": ({"https_proxy": HERE}, "https_proxy", ""),
    "twice": ({"https_proxy": HERE, "HTTPS_PROXY": "http://127.0.0.1:9"}, "https_proxy", ""),
    "for everything": ({"ALL_PROXY": HERE}, "ALL_PROXY", ""),
    "for https first": ({"ALL_PROXY": "ftp://no", "HTTPS_PROXY": HERE}, "HTTPS_PROXY", ""),
    "with a login": ({"HTTPS_PROXY": LOGIN}, "HTTPS_PROXY", "ann:hush"),
    "with a login and no scheme": ({"HTTPS_PROXY": "ann:hush@{proxy}"}, "HTTPS_PROXY", "ann:hush"),
    "with a user alone": ({"HTTPS_PROXY": "http://hush@{proxy}"}, "HTTPS_PROXY", "hush:"),
    "with an encoded login": (
        {"HTTPS_PROXY": "http://a%40b:hush%2F%23%3A%C3%BC@{proxy}"}, "HTTPS_PROXY", "a@b:hush/#:ü"
    ),
    "SOCKS": ({"ALL_PROXY": "socks5://{proxy}"}, "ALL_PROXY", ""),
    "SOCKS with a login": ({"ALL_PROXY": "socks5h://ann:hush@{proxy}"}, "ALL_PROXY", "ann:hush"),
    "not for a like name": ({"HTTPS_PROXY": HERE, "NO_PROXY": "vice.invalid"}, "HTTPS_PROXY", ""),
    "not for its other port": ({"HTTPS_PROXY": HERE, "NO_PROXY": f"{NAME}:1"}, "HTTPS_PROXY", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", THROUGH)
def test_both_go_through_the_proxy(
    case: str,
    proxy: Proxy,
    open_session: Callable[[Settings], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    variables, named, login = THROUGH[case]
    set_all(monkeypatch, variables, proxy)
    with caplog.at_level(logging.DEBUG):
        ask_token(OUTSIDE)
        open_session(OUTSIDE)
    assert proxy.asked == [(f"{NAME}:443", login)] * 2
    for is_websocket in (False, True):
        route = route_to(OUTSIDE, is_websocket=is_websocket)
        assert route.variable == named
        assert "hush" not in repr(route)
    assert "hush" not in caplog.text


DIRECT = {
    "nothing set": {},
    "http alone": {"HTTP_PROXY": HERE},
    "an empty variable": {"HTTPS_PROXY": ""},
    "an empty one in lower case": {"HTTPS_PROXY": HERE, "https_proxy": ""},
    "not for the name": {"HTTPS_PROXY": HERE, "NO_PROXY": NAME},
    "not for it among others": {"ALL_PROXY": HERE, "NO_PROXY": f"a.example , {NAME.upper()}"},
    "not for its domain": {"HTTPS_PROXY": HERE, "NO_PROXY": "invalid"},
    "not for its suffix": {"HTTPS_PROXY": HERE, "no_proxy": ".invalid"},
    "not for a pattern": {"HTTPS_PROXY": HERE, "NO_PROXY": "*.invalid"},
    "not for its port": {"HTTPS_PROXY": HERE, "NO_PROXY": f"{NAME}:443"},
    "for nothing": {"HTTPS_PROXY": HERE, "NO_PROXY": "localhost,*"},
}


@pytest.mark.parametrize("case", DIRECT)
def test_both_go_directly(
    case: str,
    proxy: Proxy,
    open_session: Callable[[Settings], None],
    monkeypatch: pytest.MonkeyPatch,
):
    set_all(monkeypatch, DIRECT[case], proxy)
    for attempt in (ask_token, open_session):
        with pytest.raises(ServiceUnreachable, match="cannot be reached: ") as caught:
            attempt(OUTSIDE)  # a name that is nowhere
        assert "proxy" not in str(caught.value)
    assert proxy.asked == []


@pytest.mark.parametrize("exception", ["0.0.0.0", "0.0.0.0/8", "0.0.0.0:{port}", "10.0.0.0/8"])
def test_an_address_may_be_in_a_network_that_needs_no_proxy(
    exception: str,
    proxy: Proxy,
    sandbox_by_tls: Sandbox,
    open_session: Callable[[Settings], None],
    monkeypatch: pytest.MonkeyPatch,
):
    # This machine, too, but by an address that is not loopback.
    settings = Settings(KEY, f"https://0.0.0.0:{sandbox_by_tls.port}", timeout=5)
    no_proxy = exception.replace("{port}", str(sandbox_by_tls.port))
    set_all(monkeypatch, {"ALL_PROXY": HERE, "NO_PROXY": f"::1/128,{no_proxy}"}, proxy)
    ask_token(settings)
    open_session(settings)
    assert len(proxy.asked) == (2 if exception.startswith("10.") else 0)


def test_a_websocket_may_have_a_proxy_of_its_own(
    proxy: Proxy, open_session: Callable[[Settings], None], monkeypatch: pytest.MonkeyPatch
):
    set_all(monkeypatch, {"WSS_PROXY": HERE, "HTTPS_PROXY": "http://127.0.0.1:9"}, proxy)
    open_session(OUTSIDE)
    assert len(proxy.asked) == 1
    with pytest.raises(ServiceUnreachable, match="through the proxy in HTTPS_PROXY"):
        ask_token(OUTSIDE)


def test_a_service_on_this_machine_is_asked_directly(
    proxy: Proxy,
    sandbox_by_tls: Sandbox,
    open_session: Callable[[Settings], None],
    monkeypatch: pytest.MonkeyPatch,
):
    set_all(monkeypatch, {"ALL_PROXY": HERE, "WSS_PROXY": HERE}, proxy)
    open_session(sandbox_by_tls.settings)
    assert proxy.asked == []


UNREADABLE = {
    "a bad port": "http://ann:hush@127.0.0.1:eighty",
    "a port too high": "127.0.0.1:65536",
    "port 0": "127.0.0.1:0",
    "half a bracket": "http://ann:hush@[::1:80",
    "no IPv6 address": "http://ann:hush@[::1::]:80",
    "a raw @": "http://ann:hu@hush@{proxy}",
    "a raw /": "http://ann:hu/hush@{proxy}",
    "a raw #": "http://ann:hush#1@{proxy}",
    "a raw ?": "http://ann:hush?@{proxy}",
    "a raw %": "http://ann:hush%zz@{proxy}",
    "half a character": "http://ann:hush%C3@{proxy}",
    "more than ASCII": "http://ann:hüsh-hush@{proxy}",
    "a space": "http://ann:hush hush@{proxy}",
    "no host": "http://ann:hush@:8080",
    "a scheme alone": "http://",
    "TLS to the proxy itself": "https://ann:hush@{proxy}",
    "an unknown scheme": "ftp://ann:hush@{proxy}",
    "SOCKS 4": "socks4://ann:hush@{proxy}",
    "more than ASCII for SOCKS": "socks5://ann:hush%C3%BC@{proxy}",
    "a path": "http://ann:hush@{proxy}/hush",
    "an empty label": "http://ann:hush@a..b:80",
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_an_address_that_is_none_is_named_by_its_variable(
    case: str,
    proxy: Proxy,
    open_session: Callable[[Settings], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    set_all(monkeypatch, {"HTTPS_PROXY": UNREADABLE[case]}, proxy)
    for attempt in (ask_token, open_session):
        with caplog.at_level(logging.DEBUG), pytest.raises(ConfigurationError) as caught:
            attempt(OUTSIDE)
        assert "HTTPS_PROXY" in str(caught.value)
        assert "http://[user:password@]host:port" in str(caught.value)
        assert "hush" not in str(caught.value) + repr(caught.value) + caplog.text
    assert proxy.asked == []


@pytest.mark.parametrize("helper", ["socksio", "python_socks"])
def test_without_its_helper_a_socks_proxy_is_an_error_that_says_what_to_install(
    helper: str,
    proxy: Proxy,
    open_session: Callable[[Settings], None],
    monkeypatch: pytest.MonkeyPatch,
):
    set_all(monkeypatch, {"ALL_PROXY": "socks5://ann:hush@{proxy}"}, proxy)
    monkeypatch.setitem(sys.modules, helper, None)  # as if it were not installed
    for attempt in (ask_token, open_session):
        with pytest.raises(ConfigurationError, match=rf"ALL_PROXY .* {helper}; .*python-socks"):
            attempt(OUTSIDE)


# What the proxy says, the scheme of its address, and what the error says about it.
REFUSING = {
    "an unknown login": (REFUSED % b"407 hush", "http", "answered 407; check the login in HTTPS"),
    "not there": (REFUSED % b"403 hush", "http", "answered 403; check HTTPS_PROXY"),
    "a gateway in trouble": (REFUSED % b"502 hush", "http", "answered 502; check HTTPS_PROXY"),
    "no HTTP": (b"hush ann:hush\r\n\r\n", "http", "HTTPS_PROXY: the connection ended"),
    "a tunnel to nowhere": (b"HTTP/1.1 200 OK\r\n\r\n", "http", "proxy in HTTPS_PROXY: "),
    "nothing": (b"", "http", r"HTTPS_PROXY: no answer within 0\.3 s"),
    "nothing in SOCKS": (b"", "socks5", r"HTTPS_PROXY: no answer within 0\.3 s"),
    "no to SOCKS": (b"\5\2\0\1" + bytes(6), "socks5", "refused; check the login in HTTPS_PROXY"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSING)
def test_a_proxy_that_refuses_is_named(
    case: str,
    sandbox_by_tls: Sandbox,
    open_session: Callable[[Settings], None],
    monkeypatch: pytest.MonkeyPatch,
):
    refusal, scheme, said = REFUSING[case]
    settings = Settings(KEY, OUTSIDE.base_url, timeout=0.3 if refusal == b"" else 5)
    with Proxy(sandbox_by_tls.port, refusal) as proxy:
        set_all(monkeypatch, {"HTTPS_PROXY": f"{scheme}://ann:hush@{{proxy}}"}, proxy)
        for attempt in (ask_token, open_session):
            with pytest.raises(ServiceUnreachable, match=said) as caught:
                attempt(settings)
            assert "through the proxy in HTTPS_PROXY" in str(caught.value)
            assert "hush" not in str(caught.value)
            assert str(proxy.port) not in str(caught.value)


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_that_is_not_there_is_named(
    scheme: str, open_session: Callable[[Settings], None], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://ann:hush@127.0.0.1:9")
    for attempt in (ask_token, open_session):
        with pytest.raises(ServiceUnreachable, match="proxy in ALL_PROXY: Connection") as caught:
            attempt(OUTSIDE)
        assert "127.0.0.1" not in str(caught.value)


# What SSL_CERT_FILE names, what certifi brings, and what is said where neither vouches.
VOUCHING = {
    "SSL_CERT_FILE": ("authority", "another", ""),
    "certifi, where the system has none": ("missing", "authority", ""),
    "neither": ("another", "authority", "set SSL_CERT_FILE to its certificate"),
    "nobody": ("missing", "another", "SSL_CERT_FILE does not name a file"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system's store is asked")
@pytest.mark.parametrize("case", VOUCHING)
def test_both_trust_the_same_people(
    case: str,
    authority: Path,
    tmp_path: Path,
    sandbox_by_tls: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
):
    named, brought, said = VOUCHING[case]
    files = {"authority": authority, "another": tmp_path / "ca.pem", "missing": tmp_path / "no"}
    trustme.CA().cert_pem.write_to_path(str(files["another"]))
    token = generate_temp_token(settings=sandbox_by_tls.settings)
    forget()
    monkeypatch.setenv("SSL_CERT_FILE", str(files[named]))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))  # no names as OpenSSL gives them
    monkeypatch.setattr(certifi, "where", lambda: str(files[brought]))

    def open_session(settings: Settings) -> None:
        with connect(settings, token=token, reconnect=False) as session:
            session.terminate()

    for attempt in (ask_token, open_session):
        if not said:
            attempt(sandbox_by_tls.settings)
            continue
        with pytest.raises(ServiceUnreachable, match="certificate is not trusted") as caught:
            attempt(sandbox_by_tls.settings)
        assert said in str(caught.value)


def test_check_opens_a_session_and_names_the_proxy_in_use(proxy: Proxy):
    done = run(
        "check",
        ASSEMBLYAI_API_KEY=KEY,
        ASSEMBLYAI_BASE_URL=OUTSIDE.base_url,
        HTTPS_PROXY=f"http://ann:hush@127.0.0.1:{proxy.port}",
    )
    assert "issues tokens and opens sessions through the proxy in HTTPS_PROXY\n" in done.stdout
    assert [name for name, _ in proxy.asked] == [f"{NAME}:443"] * 2
    assert "hush" not in done.stdout + done.stderr


def test_a_stream_behind_a_failing_proxy_ends_in_one_line():
    done = run(
        "stream",
        str(SAMPLE),
        ASSEMBLYAI_API_KEY=KEY,
        ASSEMBLYAI_BASE_URL=OUTSIDE.base_url,
        HTTPS_PROXY="http://ann:hush@127.0.0.1:9",
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("tempkit: the streaming service at https://service.invalid cannot be")
    assert "the proxy in HTTPS_PROXY: Connection refused" in line
