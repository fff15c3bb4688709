"""Small real things that tests talk to, and audio that needs no file."""

import threading
from array import array
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import pi, sin

from tempkit import Settings
from tempkit.protocol.messages import ServerMessage, load_object, parse_object


def tone(milliseconds: int, rate: int = 16000) -> bytes:
    """A loud 440 Hz tone, 16-bit PCM: what the scripted recogniser takes for speech."""
    count = rate * milliseconds // 1000
    return array("h", (int(9000 * sin(2 * pi * 440 * n / rate)) for n in range(count))).tobytes()


def silence(milliseconds: int, rate: int = 16000) -> bytes:
    """Nothing, 16-bit PCM."""
    return bytes(rate * milliseconds // 1000 * 2)


def chunked(audio: bytes, size: int = 3200) -> list[bytes]:
    """The audio in pieces of 100 ms at 16 kHz."""
    return [audio[start : start + size] for start in range(0, len(audio), size)]


def spoken(turns: int, *, milliseconds: int = 1000, pause: int = 1500) -> bytes:
    """So many turns of sound with silence after each."""
    return silence(300) + (tone(milliseconds) + silence(pause)) * turns


def our_threads() -> list[str]:
    """The threads of streams, sessions and their views that still run."""
    ours = ("tempkit view", "tempkit watch", "tempkit source", "tempkit session")
    return [thread.name for thread in threading.enumerate() if thread.name in ours]


def load(text: str | bytes) -> ServerMessage:
    """The server message in a text."""
    return load_object(parse_object(text))


class AnsweringService:
    """An HTTP service that answers every request with ``status`` and ``body``, and keeps them."""

    def __init__(self) -> None:
        self.status = 200
        self.body = b'{"token": "granted", "expires_in_seconds": 60}'
        self.hang_up_after: int | None = None  # answers a connection gets before it is cut
        self.holds = threading.Event()  # cleared: answers wait
        self.holds.set()
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.connections = 0
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                double.connections += 1
                self.answers = 0

            def do_GET(self) -> None:
                if double.hang_up_after is not None and self.answers >= double.hang_up_after:
                    self.close_connection = True
                    return
                double.requests.append((self.path, dict(self.headers)))
                double.holds.wait(10)
                self.answers += 1
                self.send_response(double.status)
                self.send_header("Content-Length", str(len(double.body)))
                self.end_headers()
                self.wfile.write(double.body)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def settings(self) -> Settings:
        return Settings(
            api_key="0123456789abcdef0123456789abcdef",
            base_url=f"http://127.0.0.1:{self._server.server_port}",
            timeout=5,
        )

    def __enter__(self) -> "AnsweringService":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.holds.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
