import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest

from tempkit import ConfigurationError, Sandbox, Settings, TokenServer, connect
from tempkit.server.guard import Guard
from tests.conftest import KEY
from tests.doubles import AnsweringService
from tests.talking import raw


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "public"
    (root / "sub").mkdir(parents=True)
    (root / "index.html").write_text("<!doctype html><p>here")
    (root / "code.js").write_text("export const a = 1;")
    (root / ".hidden").write_text("hidden")
    (root / "sub" / "inner.txt").write_text("inner")
    (tmp_path / "secret.txt").write_text("outside")
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    return root


@pytest.fixture
def server(settings: Settings, folder: Path) -> Iterator[TokenServer]:
    with TokenServer(settings, port=0, directory=folder) as server:
        yield server


@pytest.fixture
def client(server: TokenServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        yield client


def test_a_token_of_the_server_opens_a_session(client: httpx.Client, settings: Settings):
    answer = client.get("/token")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.json()
    assert body["expires_in_seconds"] == 60
    assert body["websocket_url"] == "v3/ws"  # on this server's own port
    with connect(settings, token=body["token"]) as session:
        assert session.id


def test_whom_one_would_talk_to_is_told_without_a_token(client: httpx.Client, sandbox: Sandbox):
    answer = client.get("/service")
    assert answer.json() == {"websocket_url": "v3/ws", "service": "sandbox", "is_here": True}
    assert answer.headers["Cache-Control"] == "no-store"
    assert [entry for entry in sandbox.journal if entry.name == "GET /v3/token"] == []
    with TokenServer(Settings("any"), port=0) as server:
        told = httpx.get(f"{server.url}/service", trust_env=False).json()
    assert told == {
        "websocket_url": "wss://streaming.assemblyai.com/v3/ws",
        "service": "assemblyai",
        "is_here": False,
    }


def test_every_answer_carries_another_token(client: httpx.Client):
    assert len({client.get("/token").json()["token"] for _ in range(5)}) == 5


@pytest.mark.parametrize(
    ("status", "code"), [(401, "refused_by_service"), (200, "unexpected_answer")]
)
def test_a_failed_mint_is_the_published_500_with_code_and_hint(
    service: AnsweringService, folder: Path, status: int, code: str
):
    service.status, service.body = status, json.dumps({"error": f"bad {KEY}"}).encode()
    with TokenServer(service.settings, port=0, directory=folder) as server:
        answer = httpx.get(f"{server.url}/token", trust_env=False)
    assert answer.status_code == 500
    assert answer.json()["error"] == "Failed to generate token"
    assert answer.json()["code"] == code
    assert answer.json()["hint"]
    assert KEY not in answer.text
    assert answer.headers["Cache-Control"] == "no-store"


def test_an_unreachable_service_and_a_missing_key_have_codes_of_their_own(folder: Path):
    for settings, code in (
        (Settings(api_key=KEY, base_url="http://127.0.0.1:9"), "service_unreachable"),
        (Settings(api_key=None), "not_configured"),
    ):
        with TokenServer(settings, port=0, directory=folder) as server:
            answer = httpx.get(f"{server.url}/token", trust_env=False)
        assert (answer.status_code, answer.json()["code"]) == (500, code)


@pytest.mark.parametrize(
    ("path", "kind", "text"),
    [
        ("/", "text/html; charset=utf-8", "<!doctype html><p>here"),
        ("/index.html", "text/html; charset=utf-8", "<!doctype html><p>here"),
        ("/code.js", "text/javascript; charset=utf-8", "export const a = 1;"),
        ("/code.js?v=1", "text/javascript; charset=utf-8", "export const a = 1;"),
        ("/sub/inner.txt", "text/plain", "inner"),
    ],
)
def test_files_are_served_with_their_types(client: httpx.Client, path: str, kind: str, text: str):
    answer = client.get(path)
    assert (answer.status_code, answer.text) == (200, text)
    assert answer.headers["Content-Type"] == kind
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_an_unchanged_file_is_not_sent_again(client: httpx.Client):
    stamp = client.get("/code.js").headers["Last-Modified"]
    again = client.get("/code.js", headers={"If-Modified-Since": stamp})
    assert (again.status_code, again.content) == (304, b"")
    assert parsedate_to_datetime(stamp)


@pytest.mark.parametrize("path", ["/", "/code.js", "/token", "/missing"])
def test_head_has_the_headers_alone(client: httpx.Client, path: str):
    answer = client.head(path)
    assert answer.status_code == (404 if path == "/missing" else 200)
    assert answer.content == b""
    assert client.get("/code.js").status_code == 200  # the connection is still in step


@pytest.mark.parametrize(
    "path",
    ["/missing", "/sub", "/sub/", "/.hidden", "/link.txt", "/../secret.txt", "/..%2fsecret.txt",
     "/%2e%2e/secret.txt", "/sub/../../secret.txt", "//etc/passwd", "/code.js%00.txt", "/%2e",
     "/token/", "/tokens", "/...", "/code.js/", "/%ff", "/\\..\\secret.txt"],
)  # fmt: skip
def test_nothing_else_is_served(server: TokenServer, path: str):
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = raw(server.port, request.encode("latin-1"))
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"outside" not in answer
    assert answer.endswith(b"404 Not Found\n")


def test_a_folder_without_a_start_page_says_so(client: httpx.Client, folder: Path):
    (folder / "index.html").unlink()
    answer = client.get("/")
    assert (answer.status_code, answer.text) == (404, "404 the served folder has no index.html\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"])
def test_other_methods_are_refused_as_json_for_the_token_and_as_text_elsewhere(
    server: TokenServer, method: str
):
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        answer = client.request(method, "/token")
        assert (answer.status_code, answer.json()["error"]) == (405, "Method not allowed")
        assert answer.headers["Allow"] == "GET, HEAD"
        answer = client.request(method, "/")
        assert (answer.status_code, answer.text) == (405, "405 use GET\n")


def test_connections_are_kept_between_requests(server: TokenServer):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    ports = set()
    for path in ("/", "/token", "/missing", "/code.js"):
        connection.request("GET", path)
        connection.getresponse().read()
        ports.add(connection.sock.getsockname()[1])
    connection.close()
    assert len(ports) == 1


def test_a_request_with_a_body_ends_its_connection(server: TokenServer):
    hidden = b"GET /token HTTP/1.1\r\nHost: localhost\r\n\r\n"
    head = b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(hidden)
    answer = raw(server.port, head + hidden)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"Connection: close" in answer


@pytest.mark.parametrize(
    ("request_line", "status"),
    [(b"nonsense", b"400"), (b"GET /token HTTP/9.9", b"505"), (b"GET " + b"/" * 70000, b"414")],
)
def test_a_request_that_cannot_be_read_gets_a_short_answer(server, request_line, status):
    answer = raw(server.port, request_line + b"\r\nHost: localhost\r\n\r\n")
    assert answer.split(b" ", 2)[1] == status
    assert b"<html" not in answer.lower()


def test_a_name_that_is_not_ours_gets_neither_page_nor_token(server: TokenServer):
    for path in ("/", "/token", "/service"):
        request = f"GET {path} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
        answer = raw(server.port, request.encode())
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b'"token":' not in answer
        assert b"websocket_url" not in answer


def test_a_foreign_page_gets_no_token(client: httpx.Client):
    answer = client.get("/token", headers={"Origin": "https://evil.example"})
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    "request_line",
    ["GET /", "GET /token", "HEAD /token", "POST /token", "GET /missing", "GET /health",
     "GET /service", "BREW /", "GET nonsense"],
)  # fmt: skip
@pytest.mark.parametrize("host", ["localhost", "evil.example"])
def test_every_answer_carries_the_headers_that_keep_others_out(
    server: TokenServer, request_line: str, host: str
):
    request = f"{request_line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
    answer = raw(server.port, f"{request}Origin: http://evil.example\r\n\r\n".encode())
    head = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    headers = dict(line.split(": ", 1) for line in head)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] in ("no-store", "no-cache")
    policy = headers["Content-Security-Policy"]
    assert "frame-ancestors 'self' http://localhost:* http://127.0.0.1:*" in policy
    assert not any(name.lower().startswith("access-control") for name in headers)


def test_by_default_a_client_gets_ten_tokens_at_once_and_is_then_told_to_wait(
    client: httpx.Client,
):
    answers = [client.get("/token") for _ in range(12)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429] * 2
    assert answers[-1].json()["code"] == "rate_limited"
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 10
    assert client.get("/").status_code == 200


def test_what_is_refused_earlier_is_not_counted(client: httpx.Client):
    for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
        assert {client.get("/token", headers=headers).status_code for _ in range(20)} == {403}
    assert {client.post("/token").status_code for _ in range(20)} == {405}
    assert {client.head("/token").status_code for _ in range(20)} == {200}
    assert client.get("/token").status_code == 200


def test_the_page_may_speak_to_the_streaming_service_alone(
    settings: Settings,
):
    with TokenServer(settings, port=0) as server:
        headers = httpx.get(server.url, trust_env=False).headers
        places = f"ws://127.0.0.1:{server.port} wss://127.0.0.1:{server.port}"
    assert headers["Permissions-Policy"] == "microphone=(self)"
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert (
        f"connect-src 'self' {places} wss://streaming.assemblyai.com "
        in headers["Content-Security-Policy"]
    )
    with TokenServer(Settings(KEY), port=0) as real:
        real_port = real.port
        policy = httpx.get(real.url, trust_env=False).headers["Content-Security-Policy"]
    assert f"wss://127.0.0.1:{real_port} wss://streaming.assemblyai.com " in policy


def test_a_page_of_ones_own_has_the_policy_that_one_asks_for(settings: Settings, folder: Path):
    frames = "frame-ancestors 'self' http://localhost:* http://127.0.0.1:*"
    cases = {
        None: frames,
        "script-src 'self'": f"script-src 'self'; {frames}",
        "frame-ancestors *": "frame-ancestors *",
    }
    for csp, policy in cases.items():
        with TokenServer(settings, port=0, directory=folder, csp=csp) as server:
            headers = httpx.get(server.url, trust_env=False).headers
        assert headers["Content-Security-Policy"] == policy
        assert "Permissions-Policy" not in headers
    with pytest.raises(ValueError, match="must be one line"):
        TokenServer(settings, port=0, directory=folder, csp="a\r\nSet-Cookie: b")


def test_the_log_has_no_query_and_no_header(client: httpx.Client, caplog: pytest.LogCaptureFixture):
    with caplog.at_level("DEBUG"):
        client.get("/token?key=hush", headers={"Authorization": "hush"})
    assert "GET /token 200" in caplog.text
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("tempkit")]
    assert not any("hush" in line for line in ours)


def test_the_published_line_is_printed(settings: Settings, capsys: pytest.CaptureFixture[str]):
    with TokenServer(settings, port=0) as server:
        assert capsys.readouterr().out == f"Server is running at http://localhost:{server.port}\n"


def test_in_a_notebook_the_server_is_a_link(server: TokenServer):
    assert f'<a href="http://localhost:{server.port}"' in server._repr_html_()
    server.stop()
    assert server._repr_html_() == "Token server, stopped"


def test_a_host_that_others_can_reach_is_said_with_the_address_that_lets_them_in(
    settings: Settings, capsys: pytest.CaptureFixture[str]
):
    with TokenServer(settings, host="0.0.0.0", port=0) as server:
        said = capsys.readouterr().out.splitlines()
        assert said[0].endswith(f":{server.port}/?access={server.access_secret}")
        assert said[1].startswith("Other machines can reach 0.0.0.0;")
        assert "block the microphone" in said[2]
        assert server.access_secret not in f"{server!r} {server._repr_html_()} {vars(server)}"
        request = "GET /token{} HTTP/1.1\r\nHost: hub.example\r\nConnection: close\r\n\r\n"
        assert b" 403 " in raw(server.port, request.format("").encode())
        answer = raw(server.port, request.format(f"?access={server.access_secret}").encode())
        assert b" 200 " in answer
        assert b'"token":' in answer


def test_the_secret_moves_from_the_address_to_a_cookie(server: TokenServer):
    head = "GET {} HTTP/1.1\r\nHost: hub.example\r\nConnection: close\r\n{}\r\n"
    first = raw(
        server.port, head.format(f"/code.js?a=1&access={server.access_secret}", "").encode()
    )
    assert b" 303 " in first
    assert b"Location: ./code.js?a=1\r\n" in first
    assert b"; HttpOnly; SameSite=Lax" in first
    cookie = first.partition(b"Set-Cookie: ")[2].partition(b";")[0].decode()
    for path, found in (("/code.js?a=1", b"export const"), ("/token", b'"token":')):
        answer = raw(server.port, head.format(path, f"Cookie: {cookie}\r\n").encode())
        assert b" 200 " in answer
        assert found in answer
        assert server.access_secret.encode() not in answer


def test_a_missing_folder_is_named(settings: Settings, tmp_path: Path):
    with pytest.raises(ConfigurationError, match="no folder"):
        TokenServer(settings, directory=tmp_path / "nowhere")


def test_many_browsers_at_once_each_get_a_token(settings: Settings):
    server = TokenServer(settings, port=0, guard=Guard(rate=None)).start()
    tokens, failures = [], []

    def ask() -> None:
        try:
            answer = httpx.get(f"{server.url}/token", trust_env=False, timeout=10)
            tokens.append(answer.json()["token"])
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.stop()
    assert failures == []
    assert len(set(tokens)) == 40


def test_stopping_ends_idle_connections_and_their_threads(settings: Settings):
    def ours() -> set[threading.Thread]:  # the rate limit's library has some, too
        return {each for each in threading.enumerate() if each.name.startswith("tempkit")}

    before = ours()
    server = TokenServer(settings, port=0).start()
    idle = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(10)]
    idle[0].sendall(b"GET /index.html HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert idle[0].recv(12) == b"HTTP/1.1 200"
    server.stop()
    for connection in idle:
        with connection, suppress(ConnectionResetError):
            while connection.recv(65536):
                pass
    for thread in ours() - before:
        thread.join(5)
    assert ours() <= before


def test_stopping_twice_is_fine(settings: Settings):
    with TokenServer(settings, port=0) as server:
        server.stop()
        server.stop()
    assert not server.is_running


def test_the_report_says_whose_tokens_they_were(service: AnsweringService):
    guard = Guard(authorize=lambda request: request.headers.get("x-user"))
    with TokenServer(service.settings, port=0, guard=guard) as server:
        for user in ("ann", ""):
            httpx.get(f"{server.url}/token", headers={"X-User": user})
        report = server.report()
    assert report.columns == ("time", "method", "path", "status", "ms", "for")
    assert [(row[3], row[5]) for row in report.rows] == [("401", ""), ("200", "ann")]
