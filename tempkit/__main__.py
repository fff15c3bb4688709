"""The command line: tempkit = python -m tempkit, serve | token | stream | ...

Each command imports what it alone needs: a start of the server is what somebody waits for.
"""

import argparse
import io
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import tempkit
from tempkit.commands import port_number, settings_aside, wait_for_ctrl_c
from tempkit.commands import sandbox as sandbox_command
from tempkit.config import Settings, key_origin
from tempkit.env_file import KEY_VARIABLE
from tempkit.errors import ConfigurationError, TempkitError, missing
from tempkit.places import PUBLIC, folder
from tempkit.protocol.parameters import DEFAULT_MODEL, SPEECH_MODELS
from tempkit.server import TokenServer
from tempkit.server.addresses import lan_address
from tempkit.server.guard import Guard, session_cap
from tempkit.tokens import generate_temp_token

INTERRUPTED = 130  # what a shell expects of a program that Ctrl-C ended

DESCRIPTION = """\
Temporary tokens for AssemblyAI streaming speech-to-text.

With an API key (ASSEMBLYAI_API_KEY, in the environment or a .env file), every command uses the
real service; without one, a sandbox: a local stand-in that recognises English speech offline.
"""
EPILOG = """\
examples:
  tempkit                              serve the page and GET /token on port 8000
  tempkit stream public/sample.wav     transcribe a file at the speed of speech
  tempkit stream film.mp4 --format srt >film.srt
  tempkit sandbox                      run a stand-in for the service
  tempkit notebooks                    copy the example notebooks here
  tempkit check                        check your setup and say how to fix it
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, 1 after an error, 130 after Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):  # a terminal may not have every letter
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    options = _parser().parse_args(arguments)
    if options.version:
        print(f"tempkit {tempkit.__version__}")
        return 0
    level = logging.INFO if getattr(options, "verbose", False) else logging.WARNING
    logging.basicConfig(level=level, format="%(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    command: Callable[[argparse.Namespace], int] = options.command
    if command != _serve:  # the error ends the command and is printed below
        logging.getLogger("tempkit.tokens").setLevel(logging.CRITICAL)
    try:
        return command(options)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe has had enough
        sys.stderr.close()
    except (TempkitError, ValueError) as error:
        print(f"tempkit: {error}", file=sys.stderr)
    except OSError as error:  # a full disk, for one
        where = f"{error.filename}: " if error.filename else ""
        print(f"tempkit: {where}{error.strerror or error}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    serving = argparse.ArgumentParser(add_help=False)
    add = serving.add_argument
    add("--port", type=port_number, help="default: 8000, or the next free port")
    add("--directory", default=PUBLIC, help="serve this folder instead of tempkit's")
    add("--csp", metavar="POLICY", help="Content-Security-Policy for your own pages")
    add("--host", default="127.0.0.1", help="0.0.0.0 lets other devices in, by access secret")
    add("--certfile", help="PEM certificate; remote microphones need https")
    add("--keyfile", help="its PEM key, if in a separate file")
    add("--tls", action="store_true", help="use https:// with a generated certificate")
    help_text = "longest session of a token, 60 to 10800 (or set TEMPKIT_MAX_SESSION)"
    add("--max-session", type=int, metavar="SECONDS", help=help_text)
    add("-v", "--verbose", action="store_true", help="log each request")
    serving.set_defaults(command=_serve)
    parser = argparse.ArgumentParser(
        prog="tempkit",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[serving],
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    commands.add_parser("serve", help="serve the page and GET /token (default)", parents=[serving])
    _add_commands(commands)
    return parser


def _add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    token = commands.add_parser("token", help="print a temporary token")
    add = token.add_argument
    add("--expires-in", type=int, default=60, metavar="SECONDS", help="use it within 1 to 600")
    add("--max-session", type=int, metavar="SECONDS", help="longest session, 60 to 10800")
    token.set_defaults(command=_token)

    stream = commands.add_parser("stream", help="transcribe a sound file while it plays")
    add = stream.add_argument
    add("file", help="any audio or video file, or - for standard input")
    add("--channel", type=int, metavar="NUMBER", help="0, 1 ... (default: all, mixed)")
    help_text = "text (default) and jsonl: one line per turn; srt and vtt: captions, at the end"
    add("--format", choices=("text", "srt", "vtt", "jsonl"), default="text", help=help_text)
    add("--fast", action="store_true", help="send at once, not at playing speed")
    model = SPEECH_MODELS[0]
    help_text = f"{model} (default), {DEFAULT_MODEL}, or any other model"
    add("--model", default=model, metavar="MODEL", help=help_text)
    add("--record", metavar="FILE", help="record the session, to replay it in a sandbox")
    stream.set_defaults(command=_stream)

    sandbox = commands.add_parser("sandbox", help="run a stand-in for the streaming service")
    sandbox_command.add_options(sandbox)

    notebooks = commands.add_parser("notebooks", help="copy the example notebooks into a folder")
    notebooks.add_argument("folder", nargs="?", type=Path, default=Path("notebooks"))
    notebooks.set_defaults(command=_notebooks)

    check = commands.add_parser("check", help="check your setup and say how to fix it")
    port = TokenServer.default_port
    check.add_argument("--port", type=port_number, default=port, help="the port to serve on")
    check.set_defaults(command=_check)


def _serve(options: argparse.Namespace) -> int:
    context, authority = None, None
    if options.tls and options.certfile:
        raise ConfigurationError("use either --tls or --certfile, not both")
    if options.tls:
        from tempkit.certificates import make_certificate

        names = socket.gethostname(), lan_address()
        context, authority = make_certificate(Path.home() / ".tempkit", *names)
    with TokenServer(
        host=options.host,
        port=options.port,
        directory=options.directory,
        csp=options.csp,
        guard=Guard.from_variables(os.environ),
        certfile=options.certfile,
        keyfile=options.keyfile,
        ssl=context,
        max_session_duration_seconds=session_cap(options.max_session, os.environ),
    ) as server:
        if authority:
            print(f"To make a device trust it, install this authority there: {authority}")
        wait_for_ctrl_c(server.wait)
        print("\nServer stopped.")
    return 0


def _token(options: argparse.Namespace) -> int:
    settings = settings_aside()
    if settings.is_local and not Settings.from_env().api_key:
        text = "This token's sandbox stops now; to keep one running: tempkit sandbox"
        print(text, file=sys.stderr)
    token = generate_temp_token(
        options.expires_in, max_session_duration_seconds=options.max_session, settings=settings
    )
    print(str(token))
    return 0


def _stream(options: argparse.Namespace) -> int:
    from tempkit.commands.stream import stream

    return stream(options)


def _notebooks(options: argparse.Namespace) -> int:
    import shutil
    from importlib.util import find_spec

    if options.folder.is_file():
        raise ConfigurationError(f"{options.folder} is a file; name a folder to copy to")
    options.folder.mkdir(parents=True, exist_ok=True)
    for notebook in sorted(folder("notebooks").glob("*.ipynb")):
        copy = options.folder / notebook.name
        is_there = f"{copy} already exists and is left as it is"
        print(is_there if copy.exists() else shutil.copyfile(notebook, copy))
    print(f"Open them with: jupyter lab {options.folder}")
    if find_spec("jupyterlab") is None:
        print(missing("jupyterlab", "notebooks", "that command"))
    return 0


def _check(options: argparse.Namespace) -> int:
    fine = [_passes(_check_key), _passes(_check_recognizer)]
    if fine[0] and (fine[1] or Settings.from_env().api_key):
        fine.append(_passes(_check_service))
    else:  # it would say the same once more
        fine.append(False)
        print("-     service: not tried until that is fixed", flush=True)
    fine.append(_passes(lambda: _check_port(options.port)))
    return int(not all(fine))


def _passes(check: Callable[[], str]) -> bool:
    try:
        print(f"ok    {check()}", flush=True)
    except TempkitError as error:
        print(f"fix   {error}", flush=True)
        return False
    return True


def _check_key() -> str:
    settings, origin = Settings.from_env(), key_origin()
    if not settings.api_key:
        hidden = f" ({origin})" if "hides" in origin else ""
        rule = f"for the real service, set {KEY_VARIABLE} in .env"
        return f"key: none{hidden}, so the sandbox is used; {rule}"
    try:
        settings.require_key()
    except ConfigurationError as error:
        raise ConfigurationError(f"{error} (now: {origin})") from None
    return f"key: configured ({origin})"


def _check_recognizer() -> str:
    from tempkit.sandbox import load_recognizer

    load_recognizer()
    return "recogniser: ready"


def _check_service() -> str:
    from tempkit.network import route_to
    from tempkit.streaming.client import connect

    settings = settings_aside()
    with connect(settings, reconnect=False) as session:
        session.terminate()
    routes = (route_to(settings, is_websocket=is_websocket) for is_websocket in (False, True))
    variables = " and ".join(dict.fromkeys(route.variable for route in routes if route.proxy))
    through = f" through the proxy in {variables}" if variables else ""
    return f"service: {settings.base_url} issues tokens and opens sessions{through}"


def _check_port(port: int) -> str:
    if not 0 < port < 65536:
        raise TempkitError(f"port: must be 1 to 65535, not {port}")
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) != 0:
            return f"port: {port} is free"
    return f"port: {port} is taken by another program; tempkit will take the next free one"


if __name__ == "__main__":
    sys.exit(main())
