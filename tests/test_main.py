import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pysubs2
import pytest
from websockets.sync.client import connect as websocket

from tempkit import Sandbox, Settings, connect
from tempkit.sandbox import Faults
from tests.conftest import KEY
from tests.doubles import AnsweringService, silence, spoken, tone
from tests.sound_files import interleaved, wav
from tests.talking import held, is_taken
from tests.words import SAMPLE, SENTENCES, word_error_rate

COMMAND = (sys.executable, "-m", "tempkit")


def environment(**variables: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("ASSEMBLYAI")}
    return clean | {"ASSEMBLYAI_API_KEY": ""} | variables


def at(url: str) -> dict[str, str]:
    """The variables that lead to a service."""
    return {"ASSEMBLYAI_API_KEY": "any", "ASSEMBLYAI_BASE_URL": url}


def run(
    *arguments: str, said: bytes | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """A command that has ended; ``said`` is its standard input."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        input=said,
        capture_output=True,
        timeout=60,
        env=environment(**variables),
    )
    out, error = done.stdout.decode(), done.stderr.decode()
    return subprocess.CompletedProcess(done.args, done.returncode, out, error)


@contextmanager
def running(
    *arguments: str, number: signal.Signals = signal.SIGINT, **variables: str
) -> Iterator[subprocess.Popen[str]]:
    """A command that runs, and ends cleanly at a signal."""
    with started(*arguments, **variables) as process:
        try:
            yield process
        finally:
            code, _, error = end(process, number)
        # Another test, or the developer, may hold the default port.
        said = [line for line in error.splitlines() if "is taken by another program" not in line]
        assert (code, said) == (0, [])


class Program(subprocess.Popen):
    """A command that ends within a minute, lest a test waits for its lines for ever."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)
        self._limit = threading.Timer(60, self.kill)
        self._limit.start()

    def __exit__(self, *error: object) -> None:
        self._limit.cancel()
        super().__exit__(*error)


def started(*arguments: str, **variables: str) -> Program:
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    env = environment(**variables)
    return Program([*COMMAND, *arguments], text=True, env=env, **pipes)


def told(sandbox: Sandbox, *options: str) -> Program:
    """A command that hears a sentence and half of the next one; its input stays open."""
    process = started("stream", "-", *options, **at(sandbox.url))
    assert process.stdin is not None
    process.stdin.buffer.write(wav(spoken(1) + tone(700), size=0xFFFFFFFF, riff=0xFFFFFFFF))
    process.stdin.flush()
    return process


def hears(process: subprocess.Popen[str]) -> None:
    """Wait until it has shown the beginning of the second sentence."""
    assert process.stderr is not None
    next(line for line in process.stderr if "my" in line.lower())


def line_with(process: subprocess.Popen[str], text: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return line
    raise AssertionError(f"the program ended without saying {text!r}")


def end(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str, str]:
    process.send_signal(number)
    out, error = process.communicate(timeout=30)
    return process.returncode, out, error


@pytest.mark.parametrize("arguments", [(), ("serve",)])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_answers_with_a_token_that_opens_a_session_and_ends_cleanly(
    arguments, number, free_port
):
    # Not the default port: another server may have it as soon as this one is gone.
    with running(*arguments, "--port", str(free_port), number=number) as process:
        url = line_with(process, "Server is running at http://localhost:").split()[-1]
        answer = httpx.get(f"{url}/token", trust_env=False, timeout=10).json()
        assert answer["websocket_url"] == "v3/ws"
        with connect(Settings("any", url), token=answer["token"]) as session:
            assert session.id
        assert "<html" in httpx.get(url, trust_env=False).text
    assert url == f"http://localhost:{free_port}"
    assert not is_taken(free_port)


def test_serve_logs_why_there_is_no_token(sandbox: Sandbox, free_port: int):
    sandbox.faults = Faults(token_status=401)
    with started("--port", str(free_port), **at(sandbox.url)) as process:
        url = line_with(process, "Server is running at ").split()[-1]
        assert httpx.get(f"{url}/token", trust_env=False).status_code == 500
        code, _, error = end(process, signal.SIGTERM)
    assert code == 0
    assert re.fullmatch("Error generating temp token: token refused with HTTP 401: .+\n", error)


def test_serve_for_other_machines_prints_the_address_with_the_secret_of_the_environment(
    sandbox: Sandbox,
):
    secret = "a-secret-of-a-server_0"
    command = ("serve", "--host", "0.0.0.0", "--port", "0")
    with running(*command, TEMPKIT_ACCESS_SECRET=secret, **at(sandbox.url)) as process:
        address = line_with(process, "Server is running at ").split()[-1]
        port = urlsplit(address).port
        assert address.endswith(f"/?access={secret}")
        assert "use your key" in line_with(process, "Other machines can reach 0.0.0.0")
        url = f"http://127.0.0.1:{port}/token"
        elsewhere = {"Host": "hub.example"}
        assert httpx.get(url, headers=elsewhere, trust_env=False).status_code == 403
        shown = httpx.get(f"{url}?access={secret}", headers=elsewhere, trust_env=False)
        assert shown.status_code == 200


def test_a_phone_is_served_by_tls_from_an_authority_that_stays(sandbox: Sandbox, tmp_path: Path):
    authorities = []
    command = ("serve", "--host", "0.0.0.0", "--port", "0", "--tls", "--max-session", "600")
    for _ in range(2):
        with running(*command, HOME=str(tmp_path), **at(sandbox.url)) as process:
            address = urlsplit(line_with(process, "Server is running at ").split()[-1])
            assert address.scheme == "https"
            authority = Path(
                line_with(process, "install this authority there: ").split(": ")[1].strip()
            )
            authorities.append(authority.read_bytes())
            trust = ssl.create_default_context(cafile=authority)
            url = f"https://localhost:{address.port}/token?{address.query}"
            answer = httpx.get(url, verify=trust, trust_env=False).json()
            assert answer["websocket_url"] == "v3/ws"
    assert authorities[0] == authorities[1]
    assert (authority.parent / "tempkit-ca-key.pem").stat().st_mode & 0o077 == 0
    asked = [e.detail for e in sandbox.journal if e.name == "GET /v3/token"]
    assert [each["max_session_duration_seconds"] for each in asked] == ["600", "600"]


@pytest.mark.parametrize(
    ("arguments", "variables", "text"),
    [
        (["--max-session", "59"], {}, "60 to 10800"),
        (["--max-session", "0"], {}, "60 to 10800"),
        (["--max-session", "0"], {"TEMPKIT_MAX_SESSION": "600"}, "60 to 10800"),
        ([], {"TEMPKIT_MAX_SESSION": "0"}, "60 to 10800"),
        ([], {"TEMPKIT_MAX_SESSION": "10801"}, "60 to 10800"),
        ([], {"TEMPKIT_MAX_SESSION": "ten"}, "TEMPKIT_MAX_SESSION is not a whole number"),
        (["--tls", "--certfile", "a.pem"], {}, "not both"),
        ([], {"TEMPKIT_RATE_STORAGE": "nowhere://"}, "storage must be memory://"),
    ],
)
def test_a_cap_or_certificate_that_cannot_be_is_one_line(arguments, variables, text):
    done = run("serve", "--port", "0", *arguments, **variables)
    assert (done.returncode, done.stdout) == (1, "")  # no sandbox was started for it
    assert text in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.lab
def test_stream_prints_partials_and_ends_with_the_sentences():
    done = run("stream", str(SAMPLE), "--fast")
    assert done.returncode == 0
    assert word_error_rate(" ".join(SENTENCES), done.stdout) <= 0.08
    assert len(done.stdout.splitlines()) == len(SENTENCES)
    assert sum(" s  " in line for line in done.stderr.splitlines()) > 20


def test_stream_prints_while_the_file_plays_and_ends_at_ctrl_c(tmp_path: Path, sandbox: Sandbox):
    path = tmp_path / "long.wav"
    path.write_bytes(wav(spoken(60)))
    with started("stream", str(path), **at(sandbox.url)) as process:
        began = time.monotonic()
        line_with(process, "Hello there.")
        assert time.monotonic() - began < 60  # of 150 s
        code, _, error = end(process, signal.SIGINT)
    assert code == 130
    assert "Traceback" not in error


def test_stream_of_which_text_is_missing_says_how_much_and_fails(tmp_path: Path, sandbox: Sandbox):
    path = tmp_path / "sound.wav"
    path.write_bytes(wav(spoken(3)))
    sandbox.faults = Faults(close_after_audio_seconds=3, close_code=1009)
    done = run("stream", str(path), "--fast", **at(sandbox.url))
    assert done.returncode == 1
    assert "s of audio without final text" in done.stderr


def test_stream_takes_standard_input_and_one_channel_of_it(sandbox: Sandbox):
    both = interleaved([silence(5300), spoken(2)])
    for channel, said in (("", "Hello there.\nMy name is Ada.\n"), ("0", ""), ("1", "Hello")):
        options = ("--channel", channel) if channel else ()
        sound = wav(both, channels=2, size=0xFFFFFFFF, riff=0xFFFFFFFF)
        done = run("stream", "-", "--fast", *options, said=sound, **at(sandbox.url))
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(said)
        assert bool(done.stdout) == bool(said)


@pytest.mark.parametrize("form", ["srt", "vtt", "jsonl"])
def test_stream_gives_captions_or_json(form: str, sandbox: Sandbox):
    command = ("stream", "-", "--fast", "--format", form)
    done = run(*command, said=wav(spoken(2)), **at(sandbox.url))
    assert done.returncode == 0, done.stderr
    if form == "jsonl":
        texts = [json.loads(line)["transcript"] for line in done.stdout.splitlines()]
    else:
        texts = [each.text for each in pysubs2.SSAFile.from_string(done.stdout, form)]
    assert texts == ["Hello there.", "My name is Ada."]


def test_stream_of_a_live_pipe_prints_while_it_comes_and_ctrl_c_keeps_what_was_said(
    sandbox: Sandbox,
):
    with told(sandbox) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "Hello there.\n"
        hears(process)
        code, said, error = end(process, signal.SIGINT)
    assert code == 130
    assert said.lower().startswith("my")
    assert "Traceback" not in error


def test_ctrl_c_leaves_the_captions_of_what_was_said(sandbox: Sandbox):
    with told(sandbox, "--format", "srt") as process:
        hears(process)
        code, said, _ = end(process, signal.SIGINT)
    assert code == 130
    assert "\nHello there.\n" in said


def test_token_prints_the_token_alone(sandbox: Sandbox):
    done = run("token", **at(sandbox.url))
    assert (done.returncode, done.stderr) == (0, "")
    with connect(sandbox.settings, token=done.stdout.strip()) as session:
        assert session.id


def test_sandbox_with_tls_says_which_certificate_to_trust():
    with running("sandbox", "--port", "0", "--tls", number=signal.SIGTERM) as process:
        url = line_with(process, "Sandbox is running at https://").split()[-1]
        words = line_with(process, "export SSL_CERT_FILE=").split()
        authority = words[1].removeprefix("SSL_CERT_FILE=")
        token = run("token", SSL_CERT_FILE=authority, **at(url))
        assert (token.returncode, token.stderr) == (0, "")
        assert not run("token", **at(url)).stdout
    assert not Path(authority).exists()


@pytest.mark.parametrize(
    ("options", "pace"),
    [([], "at the speed of speech"), (["--fast"], "as fast as it arrives")],
)
def test_sandbox_says_how_to_point_a_program_at_it(options: list[str], pace: str):
    with running("sandbox", "--port", "0", *options) as process:
        exports = line_with(process, "export ").split()[1:]
        variables = dict(pair.split("=") for pair in exports)
        assert run("token", **variables).returncode == 0
        page = httpx.get(f"{variables['ASSEMBLYAI_BASE_URL']}/sandbox", trust_env=False)
        assert f"is processed {pace}" in page.text


def test_sandbox_has_a_flag_for_each_switch():
    switches = "--no-warnings --documented-token-errors --sessions-per-minute 1 --api-key right"
    host = "--tls --name streaming.assemblyai.com --fault token_status=503 --fault token_failures=1"
    with running("sandbox", "--port", "0", *switches.split(), *host.split()) as process:
        url = line_with(process, "Sandbox is running at https://").split()[-1]
        line_with(process, "ASSEMBLYAI_API_KEY=...")
        authority = line_with(process, "export SSL_CERT_FILE=").split()[1].partition("=")[2]
        trusted = ssl.create_default_context(cafile=authority)
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=15) as plain:
            with trusted.wrap_socket(plain, server_hostname="streaming.assemblyai.com") as fixed:
                request = "GET /v3/token?expires_in_seconds=1 HTTP/1.1\r\nHost: x\r\n\r\n"
                fixed.sendall(request.encode())
                assert fixed.recv(4096).startswith(b"HTTP/1.1 503 ")
        answer = httpx.get(f"{url}/v3/token", verify=trusted, trust_env=False)
        assert answer.status_code == 401
        headers = {"Authorization": "right"}
        socket_url = f"wss{url.removeprefix('https')}/v3/ws?speech_model=u3-rt-pro&prompt=birds"
        with websocket(socket_url, additional_headers=headers, ssl=trusted, proxy=None) as talk:
            assert '"Begin"' in talk.recv(timeout=10)
            talk.send('{"type": "Terminate"}')
            assert '"Termination"' in talk.recv(timeout=10)  # and no Warning before it
        with websocket(socket_url, additional_headers=headers, ssl=trusted, proxy=None) as talk:
            assert "Too many concurrent sessions" in talk.recv(timeout=10)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--fault", "cut_after_sent=x"], "cut_after_sent takes a whole number, not 'x'"),
        (["--fault", "cut"], "there is no fault 'cut'"),
        (["--name", "streaming.assemblyai.com"], "--name is for the certificate of --tls"),
    ],
)
def test_sandbox_says_what_is_wrong_with_its_options(options: list[str], said: str):
    done = run("sandbox", "--port", "0", *options)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr


def test_check_says_what_is_there(free_port: int):
    done = run("check", "--port", str(free_port))
    assert done.returncode == 0
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [
        "ok    key", "ok    recogniser", "ok    service", "ok    port",
    ]  # fmt: skip


def test_check_says_what_is_missing_with_the_fix(free_port: int):
    with held(free_port):
        done = run("check", "--port", str(free_port), ASSEMBLYAI_API_KEY="your_api_key_here")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith("fix   ")
    assert "placeholder" in lines[0]
    assert "service: not tried" in lines[2]  # the same fix is not said again
    assert "the next free one" in lines[3]


@pytest.mark.lab
def test_check_says_where_the_key_comes_from(tmp_path: Path, sandbox: Sandbox):
    file = tmp_path / ".env"

    def first_line(**variables: str) -> str:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("ASSEMBLYAI")}
        done = subprocess.run(
            [*COMMAND, "check"],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
            env=clean | {"ASSEMBLYAI_BASE_URL": sandbox.url} | variables,
        )
        return done.stdout.splitlines()[0]

    file.write_text(f"ASSEMBLYAI_API_KEY={KEY}")
    assert first_line() == f"ok    key: configured (from {file})"
    hides = f"(the environment's key hides the one in {file})"
    assert first_line(ASSEMBLYAI_API_KEY="other") == f"ok    key: configured {hides}"
    hides = f"(the environment's empty ASSEMBLYAI_API_KEY hides the one in {file})"
    assert first_line(ASSEMBLYAI_API_KEY="").startswith(f"ok    key: none {hides}, so the sandbox")
    file.write_text(f'ASSEMBLYAI_API_KEY={KEY}"')
    refused = first_line()
    assert refused.startswith("fix   the AssemblyAI API key holds a quotation mark; ")
    assert refused.endswith(f"(now: from {file})")
    file.write_text(f"ASSEMBLY_AI_API_KEY={KEY}")
    assert first_line().startswith(f"fix   line 1 of {file} looks like ASSEMBLYAI_API_KEY but ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("token", "--expires-in", "0"), "expires_in_seconds takes a whole number from 1 to 600"),
        (("stream", "missing.wav"), "there is no file missing.wav"),
        (("stream", __file__), "test_main.py is a text file, not sound"),
        (("stream", str(SAMPLE), "--channel", "1"), "sample.wav has only channel 0, not 1"),
        (("serve", "--directory", "missing"), "there is no folder"),
        (("--port", "99999"), "port must be 0 to 65535, not 99999"),
        (("serve", "--port", "99999"), "port must be 0 to 65535, not 99999"),
        (("sandbox", "--port", "-1"), "port must be 0 to 65535, not -1"),
        (("notebooks", __file__), f"{__file__} is a file; name a folder"),
        (("notebooks", f"{__file__}/below"), f"{__file__}/below: "),
    ],
)
def test_an_error_is_one_line_and_a_status(arguments: tuple[str, ...], said: str):
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (1, "")  # no sandbox was started for it
    assert done.stderr.splitlines()[-1].startswith("tempkit: ")
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_command_that_there_is_not_is_said():
    done = run("serv")
    assert done.returncode == 2
    assert "argument COMMAND: invalid choice: 'serv'" in done.stderr


@pytest.mark.parametrize("command", ["serve", "sandbox", "check"])
def test_a_port_that_is_no_number_is_said(command: str):
    done = run(command, "--port", "abc")
    assert done.returncode == 2
    assert "a port is a number from 0 to 65535, not 'abc'" in done.stderr


@pytest.mark.parametrize(
    ("key", "said"),
    [("your_api_key_here", "placeholder"), (f"{KEY} x", "spaces or line breaks")],
)
def test_a_key_that_cannot_be_one_is_one_line(key: str, said: str):
    done = run("token", ASSEMBLYAI_API_KEY=key)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr
    assert KEY not in done.stderr


def test_a_refusal_of_the_service_is_one_line(service: AnsweringService):
    service.status, service.body = 401, b'{"error": "Invalid API key"}'
    done = run("token", ASSEMBLYAI_API_KEY=KEY, ASSEMBLYAI_BASE_URL=service.settings.base_url)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "tempkit: token refused with HTTP 401: Invalid API key; check the API key"
    ]


def test_the_notebooks_are_copied_once_and_never_over_ones_own(tmp_path: Path):
    names = sorted(
        path.name for path in (Path(__file__).parent.parent / "notebooks").glob("*.ipynb")
    )
    folder = tmp_path / "my" / "lessons"
    assert len(run("notebooks", str(folder)).stdout.splitlines()) == len(names) + 1
    assert sorted(path.name for path in folder.iterdir()) == names
    (folder / names[0]).write_text("mine")
    again = run("notebooks", str(folder))
    assert again.stdout.count("already exists and is left as it is") == len(names)
    assert (folder / names[0]).read_text() == "mine"


def test_help_names_every_command_with_examples():
    done = run("--help")
    assert done.returncode == 0
    for command in ("serve", "token", "stream", "sandbox", "notebooks", "check", "examples:"):
        assert command in done.stdout
