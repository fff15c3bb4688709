"""The token server as a WSGI application, set up by environment variables.

``granian --interface wsgi --http 1 tempkit.wsgi:app`` serves it. The guard, the answers and the
files are TokenServer's. Your own code decides who may have a token, in a module of yours with an
``app = Application(authorize=...)``.
"""

import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from http.client import responses
from pathlib import Path
from typing import Any

from tempkit.config import HOW_TO_MAKE, Settings
from tempkit.errors import expect
from tempkit.places import PUBLIC
from tempkit.server.guard import Guard, Request, session_cap
from tempkit.server.site import Site

__all__ = ["Application", "app"]

app: "Application"


class Application:
    """A WSGI application; what is not given comes from the environment.

    ``authorize`` adds to the Guard that the environment describes; ``guard`` replaces it.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        authorize: Callable[[Request], str | None] | None = None,
        guard: Guard | None = None,
        directory: "str | os.PathLike[str] | None" = None,
        max_session_duration_seconds: int | None = None,
        csp: str | None = None,
    ) -> None:
        expect("settings", settings, Settings, None, advice=HOW_TO_MAKE)
        expect("guard", guard, Guard, None)
        expect("directory", directory, str, os.PathLike, None)
        guard = guard or Guard.from_variables(os.environ)
        if authorize is not None:
            guard = replace(guard, authorize=authorize)
        self._site = Site(
            lambda: settings or Settings.from_env(),
            Path(directory or os.environ.get("TEMPKIT_DIRECTORY") or PUBLIC),
            guard,
            max_session=session_cap(max_session_duration_seconds, os.environ),
            csp=csp or os.environ.get("TEMPKIT_CSP"),
        )
        self._site.warm_up()

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., object]
    ) -> Iterable[bytes]:
        """The answer to a WSGI request."""
        # WSGI hands bytes over as latin-1.
        path = str(environ.get("PATH_INFO", "")).encode("latin-1").decode("utf-8", "replace")
        headers = {
            name.removeprefix("HTTP_").replace("_", "-").lower(): value
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        method, query = environ["REQUEST_METHOD"], environ.get("QUERY_STRING", "")
        client = environ.get("REMOTE_ADDR", "")
        is_secure = environ.get("wsgi.url_scheme") == "https"
        answer = self._site.answer(Request(method, path or "/", query, headers, client, is_secure))
        start_response(f"{answer.status} {responses[answer.status]}", list(answer.headers))
        body = (answer.body,) if isinstance(answer.body, bytes) else answer.body
        return () if method == "HEAD" else body


if level := os.environ.get("TEMPKIT_LOG_LEVEL"):
    logging.basicConfig(format="%(message)s")
    logging.getLogger("tempkit").setLevel(level.upper())


def __getattr__(name: str) -> Application:
    """``app``, made when a host asks for it: who makes an Application of their own needs none."""
    global app
    if name != "app":
        raise AttributeError(f"module 'tempkit.wsgi' has no attribute {name!r}")
    app = Application()
    return app
