"""The entry point of jupyter-server-proxy: a tile in JupyterLab's launcher."""

import secrets
import sys

from tempkit.guard import ACCESS_HEADER
from tempkit.places import PREFIX_VARIABLE
from tempkit.server import PUBLIC

START_SECONDS = 60.0  # the recogniser is loaded first


def launcher() -> dict[str, object]:
    """How the proxy starts ``tempkit serve``, and what lets its requests in.

    The proxy passes on requests of the notebook's user alone, and shows the access secret in a
    header: no address holds it, and the user has nothing to type.
    """
    secret = secrets.token_urlsafe()
    return {
        "command": [sys.executable, "-m", "tempkit", "serve", "--port", "{port}"],
        # Without the prefix it prints no address of its own, which would hold the secret.
        "environment": {"TEMPKIT_ACCESS_SECRET": secret, PREFIX_VARIABLE: ""},
        "request_headers_override": {ACCESS_HEADER: secret},
        "timeout": START_SECONDS,
        "launcher_entry": {"title": "tempkit", "icon_path": str(PUBLIC / "icon.svg")},
    }
