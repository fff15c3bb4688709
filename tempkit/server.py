"""TokenServer: the page in public/ and a guarded GET /token, on a small threaded http.server."""

import os
from functools import partial
from pathlib import Path
from typing import ClassVar

from tempkit.config import Settings
from tempkit.defaults import default_settings
from tempkit.errors import ConfigurationError
from tempkit.guard import Guard, is_loopback
from tempkit.handler import Engine, Handler, Site
from tempkit.serving import Service

HERE = Path(__file__).resolve().parent
# In a wheel the page travels inside the package, in a checkout it stands beside it.
PUBLIC = next((p for p in (HERE / "public", HERE.parent / "public") if p.is_dir()), HERE / "public")


class TokenServer(Service):
    """A server for a page that streams speech: ``with TokenServer() as server: server.url``.

    It serves the files of ``directory`` and answers ``GET /token`` with a temporary token for 60
    seconds. ``settings`` None takes ``default_settings()``. ``port`` None takes 8000, or the next
    free port when another program holds that. Raises ConfigurationError for a port that is taken,
    a missing directory, and a host that other machines can reach unless ``guard`` names who may.
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
    ) -> None:
        super().__init__(host, port)
        if not is_loopback(host) and not guard.allowed_hosts:
            raise ConfigurationError(
                f"listening on {host} lets other machines spend your key; listen on 127.0.0.1, or "
                "name the hosts that the server may be called by: Guard(allowed_hosts={...})"
            )
        folder = Path(directory).resolve()
        if not folder.is_dir():
            raise ConfigurationError(f"there is no folder {folder} to serve")
        self._site = Site(settings or default_settings(), folder, guard)

    @property
    def settings(self) -> Settings:
        """The service that the tokens are for."""
        return self._site.settings

    def _bind(self, port: int) -> tuple[Engine, int]:
        engine = Engine((self.host, port), partial(Handler, self._site))
        return engine, engine.server_address[1]

    def _announce(self) -> None:
        print(f"Server is running at {self.page_url}", flush=True)

    @property
    def page_url(self) -> str:
        """The address for people: ``localhost`` rather than 127.0.0.1."""
        return self.url.replace("//127.0.0.1:", "//localhost:").replace("//[::1]:", "//localhost:")

    def __repr__(self) -> str:
        return f"<TokenServer {self.url}>" if self.is_running else "<TokenServer, stopped>"

    def _repr_html_(self) -> str:
        if not self.is_running:
            return "Token server, stopped"
        link = f'<a href="{self.page_url}" target="_blank">{self.page_url}</a>'
        return f"Token server at {link}"
