"""Colab: where the browser that shows the notebook finds a port of this machine."""

import sys
import threading
from importlib import import_module
from urllib.parse import urlsplit

from tempkit.places import HOST, Place

SECONDS = 5  # how long the browser may take to answer


def colab_place(port: int) -> Place | None:
    """Where Colab's own proxy shows a port; None elsewhere, and when the browser does not answer.

    Only a cell can ask, so from another thread the answer is None too.
    """
    if "google.colab" not in sys.modules:
        return None
    if threading.current_thread() is not threading.main_thread():
        return None
    try:
        output = import_module("google.colab.output")
        # Old versions take no time-out and might wait for ever: for them this is a TypeError.
        found = output.eval_js(f"google.colab.kernel.proxyPort({port})", timeout_sec=SECONDS)
        parts = urlsplit(found)
    except Exception:  # whatever it is, the server runs without
        return None
    if parts.scheme != "https" or not HOST.fullmatch(parts.netloc):
        return None
    address = parts._replace(path=parts.path.rstrip("/") + "/").geturl()
    return Place(address, parts.hostname or "", carries_sockets=False)
