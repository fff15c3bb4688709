"""Through jupyter-server-proxy, as on a hub: the page, its token, its socket and the words.

A real Jupyter server with the proxy stands for alice's server on a hub, a real TokenServer runs as
it would in her kernel. Stood in for: the hub's own login (here Jupyter's token), its front proxy
(nothing in between; Host arrives as the browser sent it), and its name (``hub.example`` leads to
this machine). The two variables are what JupyterHub sets.
"""

import os
import subprocess
import sys
import time
from importlib.util import find_spec

import httpx
import pytest

from tempkit import TokenServer
from tempkit.server.addresses import PREFIX_VARIABLE, PUBLIC_VARIABLE
from tests import test_browser
from tests.talking import end, free_port
from tests.test_browser import SECONDS, expect, expect_state, frames_sent, opened, press

if find_spec("jupyter_server_proxy") is None and not os.environ.get("TEMPKIT_REQUIRE_ALL"):
    pytest.skip("jupyter-server-proxy is not installed", allow_module_level=True)

scripted = test_browser.scripted

PREFIX = "/user/alice/"
LOGIN = "a-token-of-alice"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """The address of alice's Jupyter server by the hub's name; ``127.0.0.1`` leads there too."""
    home = tmp_path_factory.mktemp("alice")
    port = free_port()
    options = {
        "ServerApp.ip": "127.0.0.1", "ServerApp.port": port, "ServerApp.port_retries": 0,
        "ServerApp.base_url": PREFIX, "ServerApp.allow_remote_access": True,
        "ServerApp.root_dir": home, "IdentityProvider.token": LOGIN,
    }  # fmt: skip
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root"]
    command += [f"--{name}={value}" for name, value in options.items()]
    folders = ("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    environment = os.environ | dict.fromkeys(folders, str(home)) | {PREFIX_VARIABLE: PREFIX}
    with (home / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, cwd=home, stdout=log, stderr=log)
    try:
        wait_for(f"http://127.0.0.1:{port}{PREFIX}api", process, home / "log")
        yield f"http://hub.example:{port}"
    finally:
        end(process, 15)


def wait_for(url, process, log):
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            return httpx.get(url, trust_env=False, timeout=5)
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="module")
def browser(launch, hub):
    """A browser for which the hub's name leads to this machine, and is as good as https."""
    flags = ["--host-resolver-rules=MAP hub.example 127.0.0.1"]
    with launch(*flags, f"--unsafely-treat-insecure-origin-as-secure={hub}") as browser:
        yield browser


@pytest.fixture
def page(browser, hub):
    """A page of alice's, who is logged in."""
    with opened(browser, f"{hub}{PREFIX}login?token={LOGIN}") as page:
        yield page


@pytest.fixture
def start(scripted, monkeypatch):
    """A function that starts a server as in a kernel on the hub, which says its own name or not."""
    servers = []

    def start(public=""):
        monkeypatch.setenv(PREFIX_VARIABLE, PREFIX)
        monkeypatch.setenv(PUBLIC_VARIABLE, public)
        servers.append(TokenServer(scripted.settings, port=0).start())
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def test_the_page_streams_the_sample_to_the_sandbox_through_the_proxy(page, hub, start):
    server = start(public=f"{hub}{PREFIX}")
    assert server.browser_url == f"{hub}{PREFIX}proxy/{server.port}/"
    console, sockets, frames = [], [], frames_sent(page)
    page.on("console", lambda message: console.append(message.text))
    page.on("pageerror", lambda error: console.append(str(error)))
    page.on("websocket", lambda socket: sockets.append(socket.url.partition("?")[0]))
    page.goto(server.browser_url)
    press(page, "Try the sample")
    expect_state(page, "live")
    expect(page.locator("#finals")).to_contain_text("Hello there.", timeout=15 * SECONDS)
    expect(page.locator("#service")).to_have_text("Sandbox, on hub.example")
    press(page, "Stop")
    expect_state(page, "idle")
    expect(page.get_by_role("alert")).to_be_empty()
    assert sockets == [f"ws{hub[4:]}{PREFIX}proxy/{server.port}/v3/ws"]
    assert sum(isinstance(frame, bytes) for frame in frames) > 20
    assert console == []


def test_by_a_name_that_nobody_configured_the_printed_address_is_needed_and_enough(
    page, hub, start
):
    server = start()
    refused = page.goto(f"{hub}{PREFIX}proxy/{server.port}/")
    assert refused.status == 403
    assert "server.browser_url" in refused.text()
    assert page.goto(f"{hub}{PREFIX}proxy/{server.port}/token").status == 403

    shown = page.goto(hub + server.browser_url)
    assert shown.ok
    assert page.url == f"{hub}{PREFIX}proxy/{server.port}/"
    ask = "fetch('token').then((answer) => answer.json())"
    assert page.evaluate(ask)["websocket_url"] == "v3/ws"
    # Other people's servers are on the same host.
    for place, count in ((f"{PREFIX}proxy/{server.port}/token", 1), ("/user/eve/proxy/1/", 0)):
        cookies = page.context.cookies(hub + place)
        assert sum(cookie["name"].startswith("tempkit-") for cookie in cookies) == count


def test_the_tile_in_the_launcher_opens_a_page_that_hears(page, hub):
    listed = page.goto(f"{hub}{PREFIX}server-proxy/servers-info").json()
    [entry] = [each for each in listed["server_processes"] if each["name"] == "tempkit"]
    tile = entry["launcher_entry"]
    assert (tile["enabled"], tile["title"]) == (True, "tempkit")
    assert "<svg" in page.goto(hub + tile["icon_url"]).text()

    page.goto(f"{hub}{PREFIX}{tile['path_info']}", timeout=60 * SECONDS)
    press(page, "Try the sample")
    expect(page.locator("#finals")).to_contain_text("city library", timeout=30 * SECONDS)
    assert page.url == f"{hub}{PREFIX}tempkit/"
    press(page, "Stop")
    expect_state(page, "idle")
