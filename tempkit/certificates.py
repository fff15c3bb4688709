"""TLS for servers: from a certificate's files, or from a certificate made on the spot."""

import ssl
from pathlib import Path

from tempkit.errors import ConfigurationError, require

DAYS = 365  # iOS takes no certificate that lasts longer than 825
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def read_certificate(certfile: str, keyfile: str | None) -> ssl.SSLContext:
    """The TLS context of a certificate and its key, PEM files. Raises ConfigurationError."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certfile, keyfile)
    except OSError as error:  # ssl.SSLError is one
        what = error.strerror if isinstance(error, FileNotFoundError) else "they do not match"
        raise ConfigurationError(
            f"the certificate {certfile} and its key cannot be used: {what}; both must be PEM files"
        ) from error
    context.set_alpn_protocols(["http/1.1"])
    return context


def make_certificate(directory: Path, *names: str) -> tuple[ssl.SSLContext, Path]:
    """A TLS context for this machine, also by ``names``, and the file of its authority.

    Clients trust it by SSL_CERT_FILE (Python) or NODE_EXTRA_CA_CERTS (Node), a phone by installing
    that file; one that is in ``directory`` already is used again. Raises ConfigurationError without
    the ``tls`` extra, and when the directory cannot be used.
    """
    require("trustme", "tls", "TLS")
    from datetime import datetime, timedelta  # the two are for this alone

    import trustme

    file, key = directory / "tempkit-ca.pem", directory / "tempkit-ca-key.pem"
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        if key.exists() and file.exists():
            authority = trustme.CA.from_pem(file.read_bytes(), key.read_bytes())
        else:
            authority = trustme.CA(organization_name="tempkit")
            file.write_bytes(authority.cert_pem.bytes())
            key.touch(mode=0o600)  # who has it can speak for any site to whoever trusts the file
            key.write_bytes(authority.private_key_pem.bytes())
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or "it contains another program's files"
        raise ConfigurationError(f"cannot keep a certificate in {directory}: {what}") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # A ticket comes before the first answer, and threaded WebSocket clients may stumble over it.
    context.num_tickets = 0
    until = datetime.now() + timedelta(days=DAYS)
    known = {*LOOPBACK, *names} - {""}
    authority.issue_cert(*known, not_after=until).configure_cert(context)
    return context, file
