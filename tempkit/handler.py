"""The HTTP side of the token server: one request in, one answer out."""

import json
import logging
import os
import socket
import threading
import time
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tempkit.config import Settings
from tempkit.errors import (
    ConfigurationError,
    ProtocolError,
    ServiceUnreachable,
    TempkitError,
    TokenRefused,
)
from tempkit.guard import Guard, Refusal
from tempkit.tokens import generate_temp_token

log = logging.getLogger(__name__)

TOKEN_SECONDS = 60  # how long a token of GET /token may be used
POLL_SECONDS = 0.05
IDLE_SECONDS = 30.0  # how long a connection may be silent
GUARDED = ("Host", "Origin", "Sec-Fetch-Site")

CODES: dict[type[TempkitError], str] = {
    ConfigurationError: "not_configured",
    TokenRefused: "refused_by_service",
    ServiceUnreachable: "service_unreachable",
    ProtocolError: "unexpected_answer",
}


@dataclass(frozen=True)
class Site:
    """What a server serves: the files of a folder, and tokens of a service, past a guard."""

    settings: Settings
    directory: Path
    guard: Guard


class Engine(ThreadingHTTPServer):
    """A threaded HTTP server that closes its connections when it is shut down."""

    request_queue_size = 128
    daemon_threads = True
    # On Windows the option would let two programs share the port.
    allow_reuse_address = os.name != "nt"

    def __init__(self, address: tuple[str, int], handler: Any) -> None:  # noqa: ANN401
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler)

    def serve_forever(self, poll_interval: float = POLL_SECONDS) -> None:
        """Serve until ``shutdown``, which waits for this long at the most."""
        super().serve_forever(poll_interval)

    def server_bind(self) -> None:
        """Bind without looking up the host's name, which may take seconds."""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.allow_reuse_address:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "localhost", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """A client that went away in the middle of an answer is nothing to report."""
        log.debug("a connection broke off", exc_info=True)

    def shutdown(self) -> None:
        """Stop serving; idle connections are cut, so that their threads end."""
        super().shutdown()
        self.server_close()
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # gone already


class Handler(SimpleHTTPRequestHandler):
    """Answers GET and HEAD: /token, and the files of the folder."""

    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.1"  # what cannot be read is answered in it, too
    disable_nagle_algorithm = True
    wbufsize = -1  # one write an answer
    timeout = IDLE_SECONDS
    extensions_map = {  # noqa: RUF012 - the library's own name and shape
        **SimpleHTTPRequestHandler.extensions_map,
        ".html": "text/html; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".wav": "audio/wav",
        ".svg": "image/svg+xml",
    }

    def __init__(self, site: Site, *args: Any) -> None:  # noqa: ANN401
        self._site = site
        self._began = time.monotonic()
        super().__init__(*args, directory=str(site.directory))

    def parse_request(self) -> bool:
        self._began = time.monotonic()
        if not super().parse_request():
            return False
        # No request here has a body; one that comes with one is answered, then the line is cut, so
        # that its body is never read as a request.
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self.close_connection = True
        return True

    def do_GET(self) -> None:
        mints = self._path == "/token"
        headers = {name: self.headers.get(name) for name in GUARDED}
        if refusal := self._site.guard.check(headers, mints=mints):
            self._refuse(refusal)
        elif mints:
            self._send_token()
        elif self.command == "HEAD":
            super().do_HEAD()
        else:
            super().do_GET()

    def do_HEAD(self) -> None:
        self.do_GET()

    def version_string(self) -> str:
        return "tempkit"

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        # http.server looks for a do_ method of any name that a client sends.
        if name.startswith("do_"):
            return self._refuse_method
        raise AttributeError(name)

    @property
    def _path(self) -> str:
        """The path without query; a target that cannot be read is no path at all."""
        return unquote(self._raw_path)

    @property
    def _raw_path(self) -> str:
        try:
            return urlsplit(getattr(self, "path", "")).path
        except ValueError:
            return ""

    def _send_token(self) -> None:
        settings = self._site.settings
        if self.command == "HEAD":  # a token is spent money; nobody would see this one
            self._send_json(HTTPStatus.OK, {})
            return
        try:
            token = generate_temp_token(TOKEN_SECONDS, settings=settings)
        except TempkitError as error:
            code = CODES.get(type(error), "error")
            body = {"error": "Failed to generate token", "code": code, "hint": str(error)}
            self._send_json(HTTPStatus.INTERNAL_SERVER_ERROR, body)
            return
        answer = {
            "token": str(token),
            "expires_in_seconds": token.expires_in_seconds,
            "websocket_url": settings.websocket_url,
        }
        self._send_json(HTTPStatus.OK, answer)

    def _refuse(self, refusal: Refusal) -> None:
        if self._path == "/token":
            body = {"error": "Refused", "code": refusal.code, "hint": refusal.hint}
            self._send_json(refusal.status, body)
        else:
            self.send_error(refusal.status, refusal.hint)

    def _refuse_method(self) -> None:
        if self._path == "/token":
            body = {"error": "Method not allowed", "code": "method", "hint": "use GET"}
            self._send_json(HTTPStatus.METHOD_NOT_ALLOWED, body)
        else:
            self.send_error(HTTPStatus.METHOD_NOT_ALLOWED, "use GET")

    def _send_json(self, status: int, body: object) -> None:
        self._send(status, "application/json", json.dumps(body).encode())

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """A short text instead of the library's page."""
        text = message or HTTPStatus(code).phrase
        self._send(code, "text/plain; charset=utf-8", f"{code} {text}\n".encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        if status >= HTTPStatus.BAD_REQUEST and self._path == "":
            self.close_connection = True  # what could not be read leaves nothing to go on with
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_head(self) -> Any:  # noqa: ANN401
        """The file for a GET or HEAD: inside the folder, no dot files, no listing."""
        if not self._is_servable():
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        return super().send_head()

    def _is_servable(self) -> bool:
        path, root = self._path, self._site.directory
        if "\0" in path or any(part.startswith(".") for part in path.split("/")):
            return False
        if path == "/":
            return (root / "index.html").is_file()
        file = Path(self.translate_path(self.path)).resolve()
        return not path.endswith("/") and file.is_relative_to(root) and file.is_file()

    def end_headers(self) -> None:
        """The headers that every answer carries."""
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Content-Security-Policy", self._policy())
        if self.close_connection:
            self.send_header("Connection", "close")
        super().end_headers()

    def _policy(self) -> str:
        streaming = urlsplit(self._site.settings.websocket_url)
        return (
            f"default-src 'self'; connect-src 'self' {streaming.scheme}://{streaming.netloc}; "
            "object-src 'none'; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'self' http://localhost:* http://127.0.0.1:*"
        )

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(timestamp, usegmt=True)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """One line a request: method, path without query, status, ms, client."""
        milliseconds = (time.monotonic() - self._began) * 1000
        status = int(code) if isinstance(code, int) else code
        client = self.client_address[0]
        log.info("%s %s %s %.0f ms %s", self.command, self._raw_path, status, milliseconds, client)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401
        """What the library has to say; only for those who look for it."""
        log.debug("http.server: %s", format.split("%")[0])
