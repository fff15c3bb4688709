"""TokenServer: the page in public/ and a guarded GET /token, for this machine or with a secret."""

import os
import threading
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from ssl import SSLContext
from typing import ClassVar

from tempkit.certificates import read_certificate
from tempkit.config import HOW_TO_MAKE, Settings, default_settings, is_loopback
from tempkit.errors import ConfigurationError, expect
from tempkit.places import PUBLIC
from tempkit.server.addresses import Place, colab_place, hub_place, page_address
from tempkit.server.answers import COLUMNS
from tempkit.server.guard import MASKED_PARAMETER, SECRET_PARAMETER, Guard, Rate, Request
from tempkit.server.handler import Servers
from tempkit.server.site import Site
from tempkit.serving import Engine, Report, Service

__all__ = ["PUBLIC", "Guard", "Rate", "Request", "TokenServer"]


class TokenServer(Service):
    """A server for a page that streams speech: ``with TokenServer() as server: server.url``.

    It serves the files in ``directory`` and answers ``GET /token`` with a temporary token for 60
    seconds; ``max_session_duration_seconds`` (60 to 10800) caps the session that such a token
    opens. ``settings`` None uses ``default_settings()``: if that is a sandbox, the page's
    WebSocket goes through this server's own port. ``port`` None uses 8000, or the next free port
    if another program has taken that.

    tempkit's own page has a strict Content-Security-Policy; your own ``directory`` has one only
    for frames, unless you set ``csp``.

    If other machines can reach ``host``, they have to show the access secret that is printed;
    their microphones need TLS: ``certfile`` and ``keyfile``, or an ``ssl`` context.

    Raises ConfigurationError if the port is taken or a directory or certificate is missing, and
    ValueError for a cap that is out of range or a policy that is not a valid header.
    """

    kind: ClassVar[str] = "token server"
    default_port: ClassVar[int] = 8000

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        directory: "str | os.PathLike[str]" = PUBLIC,
        guard: Guard = Guard(),  # noqa: B008 - frozen, one for all is fine
        certfile: str | None = None,
        keyfile: str | None = None,
        ssl: SSLContext | None = None,
        max_session_duration_seconds: int | None = None,
        csp: str | None = None,
    ) -> None:
        expect("settings", settings, Settings, None, advice=HOW_TO_MAKE)
        expect("directory", directory, str, os.PathLike)
        expect("guard", guard, Guard)
        tls = ssl if certfile is None else read_certificate(certfile, keyfile)
        super().__init__(host, port, tls)
        folder = Path(directory).resolve()
        if not folder.is_dir():
            raise ConfigurationError(f"there is no folder {folder} to serve")
        if guard.access_secret is None:
            guard = replace(guard, access_secret=os.urandom(24).hex())
        self._site = Site(
            lambda: settings or default_settings(),
            folder,
            guard,
            max_session=max_session_duration_seconds,
            csp=csp,
            relays=True,
        )
        self._place: Place | None = None

    @property
    def settings(self) -> Settings:
        """The service that the tokens are for."""
        return self._site.settings

    @property
    def access_secret(self) -> str:
        """The secret that admits visitors under other names, as ``?access=`` in the address."""
        return self._site.guard.access_secret or ""

    def _bind(self, port: int) -> Engine:
        return Servers(self._site, self.host, port, self._tls)

    def _begin(self) -> None:
        self._site.port, self._place = self.port, None
        lines = [f"Server is running at {self.browser_url}"]
        if not is_loopback(self.host):
            rule = "whoever opens that address can use your key."
            lines.append(f"Other machines can reach {self.host}; {rule}")
            if self._tls is None:
                lines.append("Without TLS (--tls), their browsers block the microphone.")
        # The proxies of a hub and of Colab speak plain HTTP to it.
        place = self._tls is None and (hub_place(os.environ, self.port) or colab_place(self.port))
        if place:
            lines += self._move_to(place)
        print("\n".join(lines), flush=True)
        # Nobody has opened the page yet, let alone pressed Start.
        threading.Thread(target=self._site.warm_up, name="tempkit warm-up", daemon=True).start()

    def _move_to(self, place: Place) -> list[str]:
        """Let in a browser that finds the server there; what to open, and what is missing."""
        if not is_loopback(self.host):  # whoever reaches the port itself can write any name
            place = place._replace(host="")
        guard, self._place = self._site.guard, place
        self._site.guard = replace(guard, allowed_hosts=guard.allowed_hosts | {place.host} - {""})
        start = "this hub's own address, then " if place.address.startswith("/") else ""
        lines = [f"In your browser it is at {start}{self.browser_url}"]
        if not place.carries_sockets:
            if self.settings.is_local:
                lines.append("Colab does not pass on WebSockets, so the sandbox hears nothing.")
        elif find_spec("jupyter_server_proxy") is None:
            lines.append("That needs jupyter-server-proxy beside JupyterLab; it is missing here.")
        return lines

    @property
    def page_url(self) -> str:
        """The address for people: a name rather than 127.0.0.1 or 0.0.0.0."""
        return page_address(self.url)

    @property
    def browser_url(self) -> str:
        """The address that opens the page in your browser, even through a hub's or Colab's proxy.

        If the hub does not give its name, it is a path, which works as a link in a notebook. If
        the server cannot know under which name it is reached, it contains the access secret.
        """
        if self._place is None:
            shown = "" if is_loopback(self.host) else f"/?{SECRET_PARAMETER}={self.access_secret}"
            return self.page_url + shown
        address, host, _ = self._place
        if host:
            return address
        return f"{address}{'&' if '?' in address else '?'}{MASKED_PARAMETER}={self.access_secret}"

    @property
    def link(self) -> str:
        """The address that a view shows: ``browser_url``, without the access secret."""
        page = self.page_url  # which raises while it is stopped
        return self._place.address if self._place else page

    def report(self, most: int = 8) -> Report:
        """What the server does, and the ``most`` latest requests: for tokens, and refused."""
        columns = COLUMNS if self._site.guard.authorize else COLUMNS[:-1]
        rows = tuple(row[: len(columns)] for row in self._site.visits.latest(most))
        return Report(super().report().line, columns, rows)
