"""The page while the server behind it is stopped and started again: that is a short outage."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

from tempkit import Sandbox, TokenServer
from tempkit.certificates import make_certificate
from tempkit.sandbox import Scripted
from tests.conftest import KEY, plays
from tests.proxies import Proxy
from tests.test_browser import (
    SECONDS,
    SENTENCES,
    error_rate,
    expect,
    expect_state,
    opened,
    press,
    transcript,
    words_of,
)
from tests.words import SAMPLE


@contextmanager
def running(port):
    """The server with a sandbox, as tempkit starts them."""
    with Sandbox() as sandbox, TokenServer(sandbox.settings, port=port) as server:
        yield server


def test_a_server_that_was_restarted_under_an_idle_page_hears_as_before(browser, free_port):
    with opened(browser, "about:blank") as page:
        with running(free_port) as server:
            page.goto(server.url)
        with running(free_port):
            press(page, "Start")
            expect(page.locator("#finals")).to_contain_text(
                "library", ignore_case=True, timeout=30 * SECONDS
            )
            press(page, "Stop")
            expect_state(page, "idle")


@contextmanager
def tempkit(port, folder, **variables):
    """The program, started in a folder."""
    clean = {name: value for name, value in os.environ.items() if "ASSEMBLYAI" not in name}
    command = [sys.executable, "-m", "tempkit", "--port", str(port)]
    with subprocess.Popen(
        command, cwd=folder, env=clean | variables, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            next(line for line in process.stdout if "Server is running" in line)
            yield
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.communicate(timeout=30)
            finally:
                process.kill()  # or leaving it would wait for ever


def test_a_server_that_is_restarted_in_mid_speech_loses_no_word(browser, free_port):
    with opened(browser, "about:blank") as page:
        with running(free_port) as server:
            page.goto(server.url)
            press(page, "Start")
            expect(page.locator("#partial")).not_to_be_empty(timeout=15 * SECONDS)
        expect_state(page, "reconnecting")
        with running(free_port):
            expect_state(page, "live", 20)
            last = words_of(SENTENCES[-1])[-1]
            expect(page.locator("#finals")).to_contain_text(
                last, ignore_case=True, timeout=60 * SECONDS
            )
            press(page, "Stop")
            expect_state(page, "idle")
            assert error_rate(words_of(" ".join(SENTENCES)), words_of(transcript(page))) <= 0.1


def test_a_key_that_comes_into_the_env_file_meanwhile_leads_to_the_real_service(
    launch, tmp_path, free_port
):
    name = "streaming.assemblyai.com"
    context, authority = make_certificate(tmp_path, name)
    with (
        Sandbox(Scripted(["Hello there."]), ssl=context) as service,  # by the real one's name
        Proxy(service.port) as proxy,
    ):
        way = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}", "SSL_CERT_FILE": str(authority)}
        flags = [*plays(SAMPLE), f"--host-resolver-rules=MAP {name}:443 127.0.0.1:{service.port}"]
        with (
            launch(*flags) as browser,
            opened(browser, "about:blank", ignore_https_errors=True) as page,
        ):
            with tempkit(free_port, tmp_path, **way):
                page.goto(f"http://localhost:{free_port}")
                press(page, "Start")
                expect(page.locator("#partial")).not_to_be_empty(timeout=30 * SECONDS)
                expect(page.locator("#service")).to_contain_text("Sandbox")
            expect_state(page, "reconnecting")
            (tmp_path / ".env").write_text(f"ASSEMBLYAI_API_KEY={KEY}\n")
            with tempkit(free_port, tmp_path, **way):
                expect(page.locator("#finals")).to_contain_text(
                    "Hello there.", timeout=30 * SECONDS
                )
                expect(page.locator("#service")).to_contain_text("AssemblyAI")
                press(page, "Stop")
                expect_state(page, "idle")
                assert KEY not in page.content()
