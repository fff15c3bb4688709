"""Places: by which address a person's browser reaches a port of this machine. No I/O.

On a JupyterHub, and so on Binder, only the hub can be reached: jupyter-server-proxy passes on what
is asked for below ``<address of the user's server>/proxy/PORT/``.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

# What a hub sets for a user's server. The second is empty unless the hub was told its own address;
# JUPYTERHUB_PUBLIC_HUB_URL, _HOST and BINDER_LAUNCH_HOST may name another host than the user's.
PREFIX_VARIABLE = "JUPYTERHUB_SERVICE_PREFIX"  # /user/alice/
PUBLIC_VARIABLE = "JUPYTERHUB_PUBLIC_URL"  # https://hub.example/user/alice/

CONTEXT_HEADER = "x-proxycontextpath"  # jupyter-server-proxy's own: the path that it took off
LONGEST_CONTEXT = 1000
# RFC 3986: a segment, without what could end a path, a header's value or a cookie's attribute.
SEGMENT = r"(?:[\w.~!$&@:+=-]|%[0-9A-Fa-f]{2})+"
CONTEXT = re.compile(rf"((?:/{SEGMENT})*?)/(?:proxy/(?:[\w.-]+:)?\d{{1,5}}|{SEGMENT})", re.ASCII)
HOST = re.compile(r"(?:[a-z\d-]+(?:\.[a-z\d-]+)*|\[[a-f\d:.]+\])(?::\d{1,5})?", re.IGNORECASE)


class Place(NamedTuple):
    """Where a browser finds a port: ``address`` has a path with a slash at its end.

    ``host`` is the name in it; where that is not known the address is a path, which is right as a
    link in a notebook.
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
    public = variables.get(PUBLIC_VARIABLE, "").rstrip("/")
    try:
        parts = urlsplit(public)
        host = parts.hostname or ""
    except ValueError:
        return Place(path)
    if parts.scheme not in ("http", "https") or not HOST.fullmatch(parts.netloc):
        return Place(path)
    # Some hubs write their own address there, without the user's path.
    before = parts.path.removesuffix(f"/{prefix}") if parts.path.endswith(f"/{prefix}") else ""
    return Place(f"{parts.scheme}://{parts.netloc}{before}{path}", host)


def context_path(headers: Mapping[str, str]) -> str | None:
    """The path that jupyter-server-proxy took off a request, None when it did not bring it.

    Anybody can send that header: it says how to write an address for whoever asks, no more.
    """
    path = headers.get(CONTEXT_HEADER, "")
    if len(path) > LONGEST_CONTEXT or not CONTEXT.fullmatch(path):
        return None
    # A browser would climb up these.
    return None if any(unquote(s) in (".", "..") for s in path.split("/")) else path


def socket_path(headers: Mapping[str, str], websocket_url: str) -> str | None:
    """Where a socket of this machine is for who came through the proxy, None for everybody else."""
    context = context_path(headers)
    match = None if context is None else CONTEXT.fullmatch(context)
    parts = urlsplit(websocket_url)
    if match is None or parts.scheme != "ws":  # the proxy speaks no TLS to it
        return None
    return f"{match[1]}/proxy/{parts.port or 80}{parts.path}"
