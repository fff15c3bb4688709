"""Guard: who may ask the token server for anything. No I/O.

``/token`` spends the key owner's money, and a server on 127.0.0.1 can be reached by every page that
the owner's browser has open: by a cross-site request, or by a name that points at 127.0.0.1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit


class Refusal(NamedTuple):
    """Why a request is not answered: HTTP status, a code for programs, a hint for people."""

    status: int
    code: str
    hint: str


@dataclass(frozen=True)
class Guard:
    """Lets in requests by a loopback name or one of ``allowed_hosts``, from the server's pages."""

    allowed_hosts: frozenset[str] = frozenset()

    def check(self, headers: Mapping[str, str | None], *, mints: bool) -> Refusal | None:
        """Why a request with these headers is refused, None when it is not.

        ``mints``: it asks for a token. The page itself may be linked to and framed by other sites.
        """
        host = headers.get("Host") or ""
        if not self._is_expected(host):
            return Refusal(
                403,
                "unknown_host",
                "this server answers to localhost; name others with Guard(allowed_hosts={...})",
            )
        if not mints:
            return None
        origin = headers.get("Origin")
        site = headers.get("Sec-Fetch-Site")
        if site in ("cross-site", "same-site") or (origin is not None and _host(origin) != host):
            return Refusal(403, "cross_site", "only this server's own pages may ask for a token")
        return None

    def _is_expected(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return is_loopback(name) or name in self.allowed_hosts


def is_loopback(name: str) -> bool:
    """Whether a host name or address means this machine."""
    try:
        address = ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    mapped = getattr(address, "ipv4_mapped", None)
    return address.is_loopback or (mapped is not None and mapped.is_loopback)


def _host(origin: str) -> str:
    """The host and port of an origin; of ``null`` and other oddities nothing."""
    return origin.partition("://")[2]
