import subprocess
import sys
from pathlib import Path

import pytest

from tempkit import ConfigurationError, Sandbox, Settings, TokenServer
from tempkit.sandbox import Scripted
from tests.talking import held, is_taken


@pytest.fixture
def default_port(free_port: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """The default port of a token server, one that nothing else on this machine holds."""
    monkeypatch.setattr(TokenServer, "default_port", free_port)
    return free_port


def test_starting_the_same_cell_twice_leaves_one_server_on_the_same_port(
    settings: Settings, default_port: int
):
    first = TokenServer(settings).start()
    second = TokenServer(settings).start()
    assert not first.is_running
    assert second.port == default_port
    second.stop()
    assert not is_taken(default_port)


def test_an_explicit_port_and_the_default_one_are_the_same_place(
    settings: Settings, default_port: int
):
    first = TokenServer(settings, port=default_port).start()
    with TokenServer(settings) as second:
        assert (first.is_running, second.port) == (False, default_port)


def test_a_port_of_another_program_gives_the_next_one_and_a_notice(
    settings: Settings, default_port: int, caplog: pytest.LogCaptureFixture
):
    with held(default_port):
        with TokenServer(settings) as first:
            assert first.port > default_port
            assert f"port {default_port} is taken by another program" in caplog.text
            with TokenServer(settings) as second:  # the cell runs again
                assert (first.is_running, second.port) == (False, second.port)


def test_an_explicit_port_of_another_program_is_an_error(settings: Settings, free_port: int):
    with held(free_port):
        with pytest.raises(ConfigurationError, match=f"port {free_port} is taken"):
            TokenServer(settings, port=free_port).start()


def test_a_server_and_a_sandbox_do_not_stop_each_other(free_port: int):
    with Sandbox(Scripted(["Yes."]), port=free_port) as sandbox:
        with pytest.raises(ConfigurationError, match="taken"):
            TokenServer(sandbox.settings, port=free_port).start()
        assert sandbox.is_running


def test_services_on_any_free_port_live_side_by_side():
    with Sandbox(Scripted(["One."])) as one, Sandbox(Scripted(["Two."])) as two:
        assert one.is_running
        assert one.port != two.port


def test_a_service_can_start_again_after_a_stop(settings: Settings):
    server = TokenServer(settings, port=0)
    ports = []
    for _ in range(3):
        ports.append(server.start().port)
        server.stop()
    assert all(ports)
    assert not any(is_taken(port) for port in ports)


def test_a_stopped_service_has_no_address(settings: Settings):
    with pytest.raises(ConfigurationError, match=r"call start\(\) first"):
        TokenServer(settings, port=0).url  # noqa: B018


def test_an_address_that_is_not_ours_is_said(settings: Settings):
    with pytest.raises(ConfigurationError, match="cannot listen on"):
        Sandbox(Scripted(["Yes."]), host="192.0.2.1").start()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_sandbox_outlives_a_shortage_of_file_descriptors(scheme: str, tmp_path: Path):
    code = """
import resource, socket, ssl, sys
from pathlib import Path
import httpx
from tempkit import Sandbox
from tempkit.certificates import make_certificate
from tempkit.sandbox import Scripted
context, authority = make_certificate(Path(sys.argv[2]))
trusting = ssl.create_default_context(cafile=authority)
with Sandbox(Scripted(["Yes."]), ssl=context if sys.argv[1] == "https" else None) as sandbox:
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    held = []
    try:
        while True:
            held.append(socket.create_connection(("127.0.0.1", sandbox.port)))
    except OSError:
        pass
    for connection in held:
        connection.close()
    page = httpx.get(f"{sandbox.url}/sandbox", verify=trusting, trust_env=False)
    print(page.status_code, sandbox.is_running)
"""
    command = [sys.executable, "-c", code, scheme, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == "200 True\n", done.stderr


def test_a_program_that_forgets_to_stop_ends_all_the_same_and_frees_its_ports():
    code = """
import sys
from tempkit import Sandbox, TokenServer, connect
from tempkit.sandbox import Scripted
sandbox = Sandbox(Scripted(["Yes."])).start()
server = TokenServer(sandbox.settings, port=0).start()
session = connect(sandbox.settings)
print(sandbox.port, server.port)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert not any(is_taken(int(port)) for port in done.stdout.split()[-2:])
