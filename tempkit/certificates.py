"""TLS for servers: from a certificate's files, or from a certificate made on the spot."""

import ssl
from pathlib import Path

from tempkit.errors import ConfigurationError

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def read_certificate(certfile: str, keyfile: str | None) -> ssl.SSLContext:
    """The TLS context of a certificate and its key, PEM files. Raises ConfigurationError."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certfile, keyfile)
    except OSError as error:  # ssl.SSLError is one
        what = error.strerror if isinstance(error, FileNotFoundError) else "no matching pair"
        raise ConfigurationError(
            f"the certificate {certfile} and its key cannot be used: {what}; both are PEM files"
        ) from error
    context.set_alpn_protocols(["http/1.1"])
    return context


def make_certificate(
    directory: Path, names: tuple[str, ...] = LOOPBACK
) -> tuple[ssl.SSLContext, Path]:
    """A TLS context for ``names``, and the file in ``directory`` that vouches for it.

    Clients trust it by SSL_CERT_FILE (Python) or NODE_EXTRA_CA_CERTS (Node), a phone by installing
    that file. Raises ConfigurationError without the ``tls`` extra.
    """
    try:
        import trustme
    except ImportError as error:
        text = f"TLS needs {error.name}; install it: pip install 'tempkit[tls]'"
        raise ConfigurationError(text) from None
    authority = trustme.CA(organization_name="tempkit")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # A ticket comes before the first answer, and threaded WebSocket clients may stumble over it.
    context.num_tickets = 0
    authority.issue_cert(*names).configure_cert(context)
    file = directory / "tempkit-ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return context, file
