"""The command tempkit sandbox: its options, and a sandbox that runs until Ctrl-C."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tempkit.commands import port_number, wait_for_ctrl_c
from tempkit.env_file import KEY_VARIABLE, URL_VARIABLE
from tempkit.errors import ConfigurationError

if TYPE_CHECKING:
    from tempkit.sandbox import Sandbox

PORT = 8765
SWITCHES = {  # ``Sandbox`` says which are on
    "single_use": "a token opens one session",
    "one_final": "end formatted turns once, not twice",
    "formatted_partials": "mark partials of U3 models as formatted",
    "documented_token_errors": "answer token errors with 400 and 401, not 422",
    "cors": "let pages from any origin fetch tokens",
    "warnings": "send Warnings to the client, not only to the journal",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """What the command takes, a flag for each switch of ``Sandbox``."""
    add = parser.add_argument
    add("--port", type=port_number, default=PORT, help="0 picks any free port")
    add("--host", default="127.0.0.1", help="0.0.0.0 lets other machines in")
    add("--tls", action="store_true", help="use https and wss, with a new certificate")
    help_text = "with --tls: another host name for the certificate (repeatable)"
    add("--name", action="append", default=[], metavar="HOST", help=help_text)
    add("--api-key", action="append", metavar="KEY", help="accept only this key (repeatable)")
    add("--fast", action="store_true", help="process audio as fast as it arrives")
    help_text = "make this go wrong, e.g. close_after_received=20 (repeatable; all: /sandbox)"
    add("--fault", action="append", default=[], metavar="NAME=N", help=help_text)
    add("--replay", metavar="FILE", help="replay this recording to clients that send similar audio")
    help_text = "new sessions per key and minute (default: no limit)"
    add("--sessions-per-minute", type=int, metavar="N", help=help_text)
    help_text = "how far ahead of real time audio may be sent"
    add("--most-ahead-seconds", type=float, metavar="SECONDS", help=help_text)
    for name, help_text in SWITCHES.items():
        flag, action = f"--{name.replace('_', '-')}", argparse.BooleanOptionalAction
        add(flag, action=action, default=argparse.SUPPRESS, help=help_text)
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    import tempfile

    from tempkit.certificates import make_certificate
    from tempkit.sandbox import Faults, Sandbox

    given = (fault.partition("=") for fault in options.fault)
    faults = Faults.from_query({name: value for name, _, value in given})
    if options.name and not options.tls:
        raise ConfigurationError("--name is for the certificate of --tls; add --tls")
    with tempfile.TemporaryDirectory(prefix="tempkit-") as folder:
        context, authority = None, None
        if options.tls:
            context, authority = make_certificate(Path(folder), *options.name)
        sandbox = Sandbox(
            host=options.host,
            port=options.port,
            ssl=context,
            realtime=not options.fast,
            faults=faults,
            replay=options.replay,
            api_keys=frozenset(options.api_key) if options.api_key else None,
            sessions_per_minute=options.sessions_per_minute,
            most_ahead_seconds=options.most_ahead_seconds,
            **{name: on for name, on in vars(options).items() if name in SWITCHES},
        )
        return _serve(sandbox, authority, key="..." if options.api_key else "sandbox")


def _serve(sandbox: "Sandbox", authority: Path | None, *, key: str) -> int:
    with sandbox:
        print(f"Sandbox is running at {sandbox.url}")
        print("Point a program at it with:")
        print(f"  export {URL_VARIABLE}={sandbox.url} {KEY_VARIABLE}={key}")
        if authority:
            print(f"  export SSL_CERT_FILE={authority} NODE_EXTRA_CA_CERTS={authority}")
        print(f"Faults, journal and how to point an SDK at it: {sandbox.url}/sandbox")
        wait_for_ctrl_c(sandbox.wait)
        print("\nSandbox stopped.")
    return 0
