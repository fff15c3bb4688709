"""The command tempkit sandbox: its options, and a sandbox that runs until Ctrl-C."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tempkit.commands import wait_for_ctrl_c
from tempkit.env_file import KEY_VARIABLE, URL_VARIABLE
from tempkit.errors import ConfigurationError

if TYPE_CHECKING:
    from tempkit.sandbox import Sandbox

PORT = 8765
SWITCHES = {  # ``Sandbox`` says which are on
    "single_use": "a token opens one session",
    "one_final": "formatted turns end once, not twice",
    "formatted_partials": "U3 partials say that they are formatted",
    "documented_token_errors": "400 and 401 of the token route, not 422",
    "cors": "pages of any origin may take tokens",
    "warnings": "what has no effect is said in a Warning, not in the journal alone",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """What the command takes, a flag for each switch of ``Sandbox``."""
    add = parser.add_argument
    add("--port", type=int, default=PORT, help="0: any free port")
    add("--host", default="127.0.0.1", help="0.0.0.0 lets in other machines")
    add("--tls", action="store_true", help="https and wss, by a new certificate")
    help_text = "with --tls: a name that the certificate is for, too; again for more"
    add("--name", action="append", default=[], metavar="HOST", help=help_text)
    add("--api-key", action="append", metavar="KEY", help="the only key taken; again for more")
    add("--fast", action="store_true", help="hear audio as fast as it comes, not as it sounds")
    help_text = "what goes wrong, as in close_after_received=20; again for more, see its page"
    add("--fault", action="append", default=[], metavar="NAME=N", help=help_text)
    add("--replay", metavar="FILE", help="play this recording to whoever sends similar audio")
    help_text = "new sessions of a key in a minute; without it any number"
    add("--sessions-per-minute", type=int, metavar="N", help=help_text)
    help_text = "how far ahead of real time audio may come"
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
        raise ConfigurationError("--name says what a certificate is for; give --tls, too")
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
