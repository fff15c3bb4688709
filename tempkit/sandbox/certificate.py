"""A certificate for localhost, made on the spot, for clients that take only https and wss."""

import ssl
from pathlib import Path

from tempkit.errors import require

NAMES = ("localhost", "127.0.0.1", "::1")


def make_certificate(directory: Path) -> tuple[ssl.SSLContext, Path]:
    """A context for ``Sandbox(ssl=...)``, and the file in ``directory`` that vouches for it.

    Clients trust it by SSL_CERT_FILE (Python) or NODE_EXTRA_CA_CERTS (Node).
    Raises ConfigurationError when the ``tls`` extra is missing.
    """
    require("trustme", "tls", "TLS")
    import trustme

    authority = trustme.CA(organization_name="tempkit sandbox")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # A ticket comes before the first answer, and threaded WebSocket clients may stumble over it.
    context.num_tickets = 0
    authority.issue_cert(*NAMES).configure_cert(context)
    file = directory / "tempkit-sandbox.pem"
    authority.cert_pem.write_to_path(str(file))
    return context, file
