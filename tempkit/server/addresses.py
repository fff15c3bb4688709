"""Addresses: the one that a browser needs, depending on where it runs.

On a JupyterHub, and so on Binder, only the hub can be reached: jupyter-server-proxy passes on what
is asked for below ``<address of the user's server>/proxy/PORT/``. Colab has a proxy of its own.
"""

import re
import secrets
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from tempkit.places import PUBLIC
from tempkit.server.guard import ACCESS_HEADER, HOST

COLAB_SECONDS = 5  # how long the browser may take to answer
LAUNCH_SECONDS = 60.0  # the recogniser is loaded first

# What a hub sets for a user's server. The second is empty unless the hub was told its own address;
# JUPYTERHUB_PUBLIC_HUB_URL, _HOST and BINDER_LAUNCH_HOST may name another host than the user's.
PREFIX_VARIABLE = "JUPYTERHUB_SERVICE_PREFIX"  # /user/alice/
PUBLIC_VARIABLE = "JUPYTERHUB_PUBLIC_URL"  # https://hub.example/user/alice/
PUBLIC_ADDRESS = re.compile(rf"(https?://{HOST.pattern})(/.*)?", re.ASCII)

CONTEXT_HEADER = "x-proxycontextpath"  # jupyter-server-proxy's own: the path that it took off
# RFC 3986: segments, without what could end a path, a header's value or a cookie's attribute.
CONTEXT = re.compile(r"(?=.{,1000}$)(?:/(?:[\w.~!$&@:+=-]|%[0-9A-Fa-f]{2})+)+", re.ASCII)

# Set where one works on a machine from another one: by ssh, in an editor's remote window, a hub, a
# cluster. Its localhost may be a forwarded port of the machine that the browser is on.
REMOTE_VARIABLES = (
    *("SSH_CONNECTION", "VSCODE_IPC_HOOK_CLI", "REMOTE_CONTAINERS", "CODESPACES"),
    *("KUBERNETES_SERVICE_HOST", PREFIX_VARIABLE),
)


class Place(NamedTuple):
    """Where a browser finds a port, with a slash at its end; ``host`` is the name in it.

    Where that is not known the address is a path, which is right as a link in a notebook.
    """

    address: str
    host: str = ""
    carries_sockets: bool = True


def hub_place(variables: Mapping[str, str], port: int) -> Place | None:
    """Where a hub's users find a port of their server; None where there is no hub."""
    prefix = variables.get(PREFIX_VARIABLE, "").strip("/")
    if not prefix:
        return None
    path = f"/{prefix}/proxy/{port}/"
    found = PUBLIC_ADDRESS.fullmatch(variables.get(PUBLIC_VARIABLE, "").rstrip("/"))
    if found is None:
        return Place(path)
    address, host, own = found.groups("")
    # Some hubs write their own address there, without the user's path.
    before = own.removesuffix(f"/{prefix}") if own.endswith(f"/{prefix}") else ""
    return Place(f"{address}{before}{path}", host.strip("[]").lower())


def is_remote(variables: Mapping[str, str]) -> bool:
    """Whether a browser that finds this machine as localhost may well be on another one."""
    return any(variables.get(name) for name in REMOTE_VARIABLES)


def context_path(headers: Mapping[str, str]) -> str | None:
    """The path that jupyter-server-proxy took off a request, None when it did not bring it.

    Anybody can send that header: it says how to write an address for whoever asks, no more.
    """
    path = headers.get(CONTEXT_HEADER, "")
    climbs = any(unquote(segment) in (".", "..") for segment in path.split("/"))
    return path if CONTEXT.fullmatch(path) and not climbs else None


def colab_place(port: int) -> Place | None:
    """Where Colab's proxy shows a port; None elsewhere, and when the browser does not answer."""
    is_cell = threading.current_thread() is threading.main_thread()  # nothing else can ask
    if "google.colab" not in sys.modules or not is_cell:
        return None
    try:
        output = import_module("google.colab.output")
        # Old versions take no time-out and might wait for ever: for them this is a TypeError.
        script = f"google.colab.kernel.proxyPort({port})"
        parts = urlsplit(output.eval_js(script, timeout_sec=COLAB_SECONDS))
    except Exception:  # whatever it is, the server runs without
        return None
    if parts.scheme != "https" or not HOST.fullmatch(parts.netloc):
        return None
    address = parts._replace(path=parts.path.rstrip("/") + "/").geturl()
    return Place(address, parts.hostname or "", carries_sockets=False)


def launcher() -> dict[str, object]:
    """How jupyter-server-proxy starts ``tempkit serve`` for its tile, and gets let in.

    It passes on requests of the notebook's user alone; the secret is in a header, in no address.
    """
    secret = secrets.token_urlsafe()
    return {
        "command": [sys.executable, "-m", "tempkit", "serve", "--port", "{port}"],
        # Without the prefix it prints no address of its own, which would hold the secret.
        "environment": {"TEMPKIT_ACCESS_SECRET": secret, PREFIX_VARIABLE: ""},
        "request_headers_override": {ACCESS_HEADER: secret},
        "timeout": LAUNCH_SECONDS,
        "launcher_entry": {"title": "tempkit", "icon_path": str(PUBLIC / "icon.svg")},
    }


def page_address(url: str) -> str:
    """The address for people: a name rather than 127.0.0.1 or 0.0.0.0."""
    url = re.sub(r"//(127\.0\.0\.1|\[::1\]):", "//localhost:", url)
    here = r"//(0\.0\.0\.0|\[::\]):"
    return re.sub(here, lambda _: f"//{lan_address() or socket.gethostname()}:", url)


def lan_address() -> str:
    """The address of this machine in its network, which a phone can open; "" without one."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: it asks for the way there
        return str(probe.getsockname()[0])
    return ""
