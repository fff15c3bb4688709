"""A forked child has none of its parent's threads: what they serve stays the parent's alone."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")

HEAD = """
import multiprocessing, os, ssl, sys
from pathlib import Path
import httpx
from tempkit import Clip, Sandbox, Settings, TokenServer, connect, default_settings
from tempkit import generate_temp_token, transcribe
from tempkit.certificates import make_certificate
from tempkit.sandbox import Scripted
from tests.doubles import AnsweringService, spoken

CLIP = Clip(spoken(1), 16000)

def end(child):
    _, status = os.waitpid(child, 0)
    print("child ended with", os.waitstatus_to_exitcode(status))
"""


def printed(code: str, *arguments: str) -> list[str]:
    """What a program says; it and its children have to end."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("ASSEMBLYAI")}
    process = subprocess.Popen(
        [sys.executable, "-c", HEAD + code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean,
        start_new_session=True,
    )
    try:
        out, error = process.communicate(timeout=60)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # a child that hangs outlives its parent
    assert "Traceback" not in error, error
    assert process.returncode == 0, error
    return out.splitlines()


CHILDREN = {
    "ends": "sys.exit(3)",
    "stops it": "service.stop(); sys.exit(3)",
    "waits for it": "service.wait(); sys.exit(3)",
}


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("child", CHILDREN.values(), ids=CHILDREN)
def test_a_child_ends_and_the_session_at_its_parents_sandbox_goes_on(
    child: str, scheme: str, tmp_path: Path
):
    code = f"""
context, authority = make_certificate(Path(sys.argv[1]))
os.environ["SSL_CERT_FILE"] = str(authority)
with Sandbox(Scripted(["Yes."]), ssl=context if sys.argv[2] == "https" else None,
             realtime=False) as service:
    session = connect(service.settings)
    if (child := os.fork()) == 0:
        assert not service.is_running and service.port == 0
        {child}
    end(child)
    for _ in session.stream(CLIP.chunks(), realtime=False):
        pass
    print(session.transcript.text, service.is_running)
    print(transcribe(CLIP, service.settings, realtime=False).text)
"""
    assert printed(code, str(tmp_path), scheme) == ["child ended with 3", "Yes. True", "Yes."]


@pytest.mark.parametrize("child", CHILDREN.values(), ids=CHILDREN)
def test_a_child_ends_and_its_parents_token_server_answers_on_the_same_connection(child: str):
    code = f"""
settings = Settings("any", "http://127.0.0.1:9")
with TokenServer(settings, port=0) as service, httpx.Client(trust_env=False) as client:
    def asked():
        answer = client.get(f"{{service.url}}/health")
        line = answer.extensions["network_stream"].get_extra_info("client_addr")
        return answer.status_code, line
    before = asked()
    if (child := os.fork()) == 0:
        assert not service.is_running and service.port == 0
        {child}
    end(child)
    print(asked() == before, before[0])
"""
    assert printed(code)[1:] == ["child ended with 3", "True 200"]


def test_a_process_of_multiprocessing_ends_and_its_parents_services_answer():
    code = """
def work(queue):
    queue.put("worked")

with Sandbox(Scripted(["Yes."]), realtime=False) as sandbox:
    with TokenServer(sandbox.settings, port=0) as server:
        forks = multiprocessing.get_context("fork")
        queue = forks.SimpleQueue()
        child = forks.Process(target=work, args=(queue,))
        child.start()
        child.join()
        print(queue.get(), child.exitcode)
        answer = httpx.get(f"{server.url}/token", trust_env=False)
        print(answer.status_code)
"""
    assert printed(code)[1:] == ["worked 0", "200"]


def test_a_child_that_lives_on_holds_neither_the_ports_nor_the_connections_of_its_parent():
    code = """
import socket
sandbox = Sandbox(Scripted(["Yes."])).start()
server = TokenServer(sandbox.settings, port=0).start()
ports = sandbox.port, server.port
lines = [socket.create_connection(("127.0.0.1", port)) for port in ports]
for line in lines:  # so that it was accepted
    line.sendall(b"GET /health HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
    line.recv(1)
reads, writes = os.pipe()
if (child := os.fork()) == 0:
    os.close(writes)
    for line in lines:
        line.close()
    os.read(reads, 1)  # until the parent is done
    os._exit(3)
server.stop()
sandbox.stop()
for port, line in zip(ports, lines):
    line.settimeout(20)
    while line.recv(65536):
        pass
    with socket.socket() as probe:
        print(probe.connect_ex(("127.0.0.1", port)) != 0)
os.close(writes)
end(child)
"""
    assert printed(code)[1:] == ["True", "True", "child ended with 3"]


def test_a_child_that_needs_a_sandbox_starts_its_own_while_the_parents_cores_are_busy(
    tmp_path: Path,
):
    code = """
from contextlib import ExitStack
import tempkit.sandbox
from tempkit.sandbox.hearing.recognizer import CORES
os.chdir(sys.argv[1])
tempkit.sandbox.load_recognizer = lambda: Scripted(["Yes."])
parents = default_settings()
with ExitStack() as busy:
    for _ in range(os.cpu_count()):
        busy.enter_context(CORES.place(is_final=True))
    if (child := os.fork()) == 0:
        own = default_settings()
        print(own != parents, own == default_settings())
        print(transcribe(CLIP, own, realtime=False).text, flush=True)
        sys.exit(3)
    end(child)
print(default_settings() == parents)
"""
    said = printed(code, str(tmp_path))
    assert [line for line in said if "using the sandbox" not in line] == [
        "True True", "Yes.", "child ended with 3", "True",
    ]  # fmt: skip


def test_a_child_can_start_the_service_again_for_itself():
    code = """
with Sandbox(Scripted(["Yes."]), realtime=False) as service:
    if (child := os.fork()) == 0:
        with service:
            print(transcribe(CLIP, service.settings, realtime=False).text, flush=True)
        sys.exit(3)
    end(child)
    print(transcribe(CLIP, service.settings, realtime=False).text)
"""
    assert printed(code) == ["Yes.", "child ended with 3", "Yes."]


def test_a_child_asks_for_tokens_on_a_connection_of_its_own():
    code = """
with AnsweringService() as service:
    generate_temp_token(settings=service.settings)
    if (child := os.fork()) == 0:
        generate_temp_token(settings=service.settings)
        os._exit(3)
    end(child)
    generate_temp_token(settings=service.settings)
    print(service.connections)
"""
    assert printed(code) == ["child ended with 3", "2"]
