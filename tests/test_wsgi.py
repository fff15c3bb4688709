"""The WSGI application: alone, on granian and gunicorn, and with one limit for four workers."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import httpx
import pytest

from tempkit import ConfigurationError, Settings, TokenServer, wsgi
from tempkit.server.guard import Guard, Rate
from tempkit.wsgi import Application
from tests.conftest import KEY, require
from tests.doubles import AnsweringService
from tests.talking import free_port

SECRET = "a-secret-of-a-server_0"


def ask(
    application: Application, path: str = "/token", method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path.partition("?")[0],
        "QUERY_STRING": path.partition("?")[2],
        "SCRIPT_NAME": "",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost:8000",
    } | {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    setup_testing_defaults(environ)
    said: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status, headers, exc_info=None):
        said.append((status, headers))
        return lambda data: None

    pieces = validator(application)(environ, start_response)
    body = b"".join(pieces)
    pieces.close()
    return int(said[0][0].split()[0]), dict(said[0][1]), body


@pytest.fixture
def application(service: AnsweringService) -> Application:
    return Application(service.settings, guard=Guard(access_secret=SECRET))


def test_a_token_and_the_page_are_there(application: Application):
    status, headers, body = ask(application)
    assert (status, json.loads(body)["token"]) == (200, "granted")
    assert headers["Cache-Control"] == "no-store"
    assert ask(application, "/")[2].startswith(b"<!doctype html>")


@pytest.mark.parametrize(
    ("path", "method", "headers"),
    [
        ("/token", "GET", {}),
        ("/token", "HEAD", {}),
        ("/token", "POST", {}),
        ("/token", "GET", {"origin": "http://evil.example"}),
        ("/token", "GET", {"host": "evil.example"}),
        ("/", "GET", {}),
        ("/", "GET", {"host": "evil.example"}),
        ("/index.js", "HEAD", {}),
        ("/missing", "GET", {}),
        ("/../pyproject.toml", "GET", {}),
        ("/health", "GET", {}),
        ("/service", "GET", {}),
        ("/service", "GET", {"host": "evil.example"}),
        ("/index.js", "GET", {"if_none_match": "*"}),
        (f"/?access={SECRET}&a=1", "GET", {"host": "hub.example"}),
    ],
)
def test_every_answer_is_the_token_servers(
    service: AnsweringService, path: str, method: str, headers: dict[str, str]
):
    guard = Guard(access_secret=SECRET)
    own = {"host": "localhost:8000"} | headers
    with TokenServer(service.settings, port=0, guard=guard) as server, httpx.Client() as client:
        sent = {name.replace("_", "-"): value for name, value in own.items()}
        theirs = client.request(method, server.url + path, headers=sent)
    status, got, body = ask(Application(service.settings, guard=guard), path, method, **own)
    assert status == theirs.status_code
    assert alike(got, body) == alike(theirs.headers, theirs.content)


def alike(headers: Mapping[str, str], body: bytes) -> tuple[dict[str, str], object]:
    """What is the same for both: only a TokenServer hands a page's socket on to a sandbox."""
    own = ("date", "connection", "content-length")
    found = {k.lower(): v for k, v in headers.items() if k.lower() not in own}
    policy = re.sub("connect-src [^;]*", "", found["content-security-policy"])
    with suppress(ValueError):
        body = json.loads(body)
        body.pop("websocket_url", None)
    return found | {"content-security-policy": policy}, body


def test_the_cap_on_sessions_is_asked_for_with_every_token(
    service: AnsweringService, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TEMPKIT_MAX_SESSION", "600")
    ask(Application(service.settings, guard=Guard()))
    ask(Application(service.settings, guard=Guard(), max_session_duration_seconds=60))
    caps = [path.rpartition("=")[2] for path, _ in service.requests]
    assert caps == ["600", "60"]


def test_a_large_file_comes_in_pieces(service: AnsweringService, tmp_path: Path):
    (tmp_path / "large.bin").write_bytes(bytes(range(256)) * 20_000)
    application = Application(service.settings, guard=Guard(), directory=tmp_path)
    status, headers, body = ask(application, "/large.bin")
    assert (status, headers["Content-Length"]) == (200, "5120000")
    assert body == bytes(range(256)) * 20_000
    assert ask(application, "/large.bin", "HEAD")[2] == b""


def test_an_authorisation_of_ones_own_decides_and_names_who_is_counted(service: AnsweringService):
    guard = Guard(authorize=lambda request: request.headers.get("x-user"), rate=Rate(1, 1, 9))
    application = Application(service.settings, guard=guard)
    codes = [ask(application, x_user=name)[0] for name in ("ann", "bob", "ann")]
    assert codes == [200, 200, 429]
    assert ask(application)[0] == 401


def test_an_authorisation_that_fails_is_an_error_without_a_token_and_without_its_text(
    service: AnsweringService, caplog: pytest.LogCaptureFixture
):
    def authorize(request):
        raise KeyError(request.headers["authorization"])

    application = Application(service.settings, guard=Guard(authorize=authorize))
    status, _, body = ask(application, authorization="hush")
    assert (status, json.loads(body)["code"]) == (500, "error")
    assert "KeyError" in caplog.text
    assert "hush" not in caplog.text + body.decode()
    assert service.requests == []


def test_other_origins_may_read_only_when_they_are_configured(service: AnsweringService):
    guard = Guard(allowed_origins=frozenset({"https://app.example"}))
    application = Application(service.settings, guard=guard)
    status, headers, _ = ask(application, origin="https://app.example")
    assert (status, headers["Access-Control-Allow-Origin"]) == (200, "https://app.example")
    asked = ask(application, method="OPTIONS", origin="https://app.example")
    assert (asked[0], asked[1]["Access-Control-Allow-Headers"]) == (204, "Authorization")
    for method in ("GET", "OPTIONS"):
        status, headers, _ = ask(application, method=method, origin="https://evil.example")
        assert status in (403, 405)
        assert "Access-Control-Allow-Origin" not in headers
        assert headers["Vary"] == "Origin"


def test_the_hint_of_a_refused_token_is_filtered(service: AnsweringService):
    url, token = "https://internal.example/v3?key=1", "AQI" + "a1" * 30
    service.status = 422
    service.body = json.dumps({"error": f"max 600, {KEY} {url} {token} caf\u00e9"}).encode()
    hint = json.loads(ask(Application(service.settings, guard=Guard()))[2])["hint"]
    assert hint.startswith("token refused with HTTP 422: max 600, *** *** *** caf")
    assert "internal.example" not in hint


def test_an_unreachable_service_is_not_named_to_the_browser():
    settings = Settings(KEY, "http://127.0.0.1:9")
    answer = json.loads(ask(Application(settings, guard=Guard()))[2])
    assert answer["code"] == "service_unreachable"
    assert "127.0.0.1" not in answer["hint"]


def test_the_log_is_one_line_a_request_that_nothing_can_break(
    application: Application, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level("INFO", "tempkit"):
        ask(application, "/a\nGET /token 200?access=hush")
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("GET /a%0AGET%20/token%20200 404 ")
    assert "hush" not in caplog.text


def test_health_is_for_every_name_and_says_what_is_missing(application: Application):
    assert ask(application, "/health", host="10.0.0.1")[0] == 200
    status, _, body = ask(Application(Settings(None), guard=Guard()), "/health")
    assert (status, json.loads(body)) == (503, {"status": "there is no AssemblyAI API key"})


def test_a_placeholder_is_no_good_health_and_is_said_at_the_start(
    caplog: pytest.LogCaptureFixture,
):
    application = Application(Settings("your_api_key"), guard=Guard())
    trouble = "the AssemblyAI API key is still a placeholder"
    assert caplog.messages == [f"there will be no tokens: {trouble}"]
    status, _, body = ask(application, "/health")
    assert (status, json.loads(body)) == (503, {"status": trouble})


def test_an_authorisation_is_added_to_what_the_environment_says(
    service: AnsweringService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv("TEMPKIT_ALLOWED_HOSTS", "speech.example")
    monkeypatch.setenv("TEMPKIT_RATE_CLIENT", "1")
    application = Application(
        service.settings, authorize=lambda request: request.headers.get("x-user")
    )
    with caplog.at_level("INFO", "tempkit"):
        users = ("ann\n", "ann\n", "bob@example.com")
        codes = [ask(application, host="speech.example", x_user=user)[0] for user in users]
    assert codes == [200, 429, 200]
    assert ask(application, host="other.example", x_user="ann")[0] == 403
    assert [message.partition(" ms ")[2] for message in caplog.messages[:3]] == [
        "127.0.0.1 for ann%0A",
        "127.0.0.1 for ann%0A",
        "127.0.0.1 for bob@example.com",
    ]


def test_the_module_of_the_documentation_gives_tokens_to_whom_it_knows(
    service: AnsweringService, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", KEY)
    monkeypatch.setenv("ASSEMBLYAI_BASE_URL", service.settings.base_url)
    page = Path(__file__).parent.parent / ".github" / "docs" / "serving.md"
    (module,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    made: dict[str, Application] = {}
    exec(module, made)
    assert ask(made["app"], authorization="Bearer a-long-random-word")[0] == 200
    assert ask(made["app"], authorization="Bearer a-wrong-word")[0] == 401


def test_the_application_of_the_environment_is_made_when_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("TEMPKIT_RATE_CLIENT", "many")
    with pytest.raises(ConfigurationError, match="TEMPKIT_RATE_CLIENT is not a whole number"):
        wsgi.app  # noqa: B018
    monkeypatch.delenv("TEMPKIT_RATE_CLIENT")
    assert wsgi.app is wsgi.app
    assert ask(wsgi.app, "/health")[0] == 503


# How a host is started with so many workers, at a port of this machine.
HOSTS = {
    "granian": "--interface wsgi --http 1 --workers {workers} --blocking-threads 8 "
    "--workers-kill-timeout 5 --log-level error --host 127.0.0.1 --port {port}",
    "gunicorn": "--workers {workers} --threads 8 --log-level warning --bind 127.0.0.1:{port}",
}


@pytest.fixture(params=HOSTS)
def host(request: pytest.FixtureRequest) -> str:
    return request.param


@contextmanager
def hosted(
    host: str, service: AnsweringService, workers: int, said: list[str] | None = None, **more: str
) -> Iterator[str]:
    """The address of a host with the application; what it says is in ``said`` at the end."""
    program = shutil.which(host, path=Path(sys.executable).parent) or require(host)
    port = free_port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("TEMPKIT", "ASSEMBLY"))}
    environment |= {"ASSEMBLYAI_API_KEY": KEY, "ASSEMBLYAI_BASE_URL": service.settings.base_url}
    process = subprocess.Popen(
        [program, *HOSTS[host].format(workers=workers, port=port).split(), "tempkit.wsgi:app"],
        env=environment | more, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        until_it_answers(url)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
        if said is not None:
            said += output.splitlines()
        assert KEY not in output
        assert "Traceback" not in output, output


def until_it_answers(url: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            httpx.get(f"{url}/health", trust_env=False)
            return
        except httpx.TransportError:
            assert time.monotonic() < deadline, "the host does not answer"
            threading.Event().wait(0.05)


class Redis:
    """A Redis server of the test's own."""

    def __init__(self) -> None:
        self.program, self.port = require("redis-server"), free_port()
        self.url = f"redis://127.0.0.1:{self.port}"

    def __enter__(self) -> "Redis":
        self.process = subprocess.Popen(
            [self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if "Ready to accept connections" in line:
                return self
        raise AssertionError("redis-server does not start")

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def statuses(url: str, times: int) -> list[int]:
    def token(_: int) -> int:
        return httpx.get(f"{url}/token", trust_env=False, timeout=10).status_code

    with ThreadPoolExecutor(16) as pool:
        return sorted(pool.map(token, range(times)))


@pytest.mark.lab
def test_a_host_passes_on_who_asks_and_what_is_answered(
    host: str, service: AnsweringService, tmp_path: Path
):
    large = bytes(range(256)) * 20_000
    (tmp_path / "large.bin").write_bytes(large)
    (tmp_path / "index.html").write_text("the page")
    with (
        hosted(host, service, 2, TEMPKIT_DIRECTORY=str(tmp_path), TEMPKIT_RATE_CLIENT="2") as url,
        httpx.Client(base_url=url, trust_env=False) as client,
    ):
        page = client.get("/")
        assert (page.status_code, page.text) == (200, "the page")
        unchanged = client.get("/", headers={"If-None-Match": page.headers["ETag"]})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        head = client.head("/large.bin")
        assert (head.headers["Content-Length"], head.content) == (str(len(large)), b"")
        assert client.get("/large.bin").content == large
        assert client.get("/", headers={"Host": "evil.example"}).status_code == 403
        assert client.get("/token", headers={"Origin": "http://evil.example"}).status_code == 403
        assert client.get("/health", headers={"Host": "10.0.0.1"}).json() == {"status": "ok"}
        assert client.get("/token").json()["token"] == "granted"


@pytest.mark.lab
def test_a_host_without_a_key_is_not_well(host: str, service: AnsweringService):
    with hosted(host, service, 1, ASSEMBLYAI_API_KEY="") as url:
        answer = httpx.get(f"{url}/health", trust_env=False)
    assert (answer.status_code, answer.json()) == (
        503,
        {"status": "there is no AssemblyAI API key"},
    )


@pytest.mark.lab
def test_connections_of_one_address_are_counted_together(host: str, service: AnsweringService):
    with hosted(host, service, 1, TEMPKIT_RATE_CLIENT="3") as url:
        assert statuses(url, 6) == [200] * 3 + [429] * 3


@pytest.mark.lab
def test_four_workers_share_one_limit_exactly(host: str, service: AnsweringService):
    numbers = {"TEMPKIT_RATE_CLIENT": "25", "TEMPKIT_RATE_BURST": "25"}
    with (
        Redis() as redis,
        hosted(host, service, 4, TEMPKIT_RATE_STORAGE=redis.url, **numbers) as url,
    ):
        assert statuses(url, 80) == [200] * 25 + [429] * 55
    assert len(service.requests) == 25


@pytest.mark.lab
@pytest.mark.parametrize(("when_down", "status"), [("refuse", 503), ("allow", 200)])
def test_without_redis_tokens_are_refused_or_given_and_all_is_well_when_it_is_back(
    host: str, service: AnsweringService, when_down: str, status: int
):
    redis = Redis()
    with redis:
        pass  # it was there, and is gone
    variables = {"TEMPKIT_RATE_STORAGE": redis.url, "TEMPKIT_RATE_WHEN_DOWN": when_down}
    said: list[str] = []
    with hosted(host, service, 1, said, TEMPKIT_RATE_CLIENT="3", **variables) as url:
        assert statuses(url, 6) == [status] * 6
        assert httpx.get(url, trust_env=False).status_code == 200  # the page needs no Redis
        with redis:
            assert statuses(url, 6) == [200] * 3 + [429] * 3
        assert statuses(url, 2) == [status] * 2
    gone = f"the rate limit cannot count tokens (ConnectionError); when_down: {when_down}"
    assert said == [gone, "the rate limit can count tokens again", gone]
