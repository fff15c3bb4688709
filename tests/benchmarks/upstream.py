"""A fast stand-in for GET /v3/token: upstream.py PORT MILLISECONDS [CERTFILE KEYFILE]."""

import asyncio
import ssl
import sys

TOKEN = "t" * 2600  # as long as the service's
BODY = f'{{"token": "{TOKEN}", "expires_in_seconds": 60}}'.encode()
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)
) + BODY


class Upstream(asyncio.Protocol):
    """Answers every head with a token, so many seconds later."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            self.buffer = self.buffer.partition(b"\r\n\r\n")[2]
            if self.seconds:
                asyncio.get_running_loop().call_later(self.seconds, self.answer)
            else:
                self.answer()

    def answer(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(ANSWER)


async def main(port: int, milliseconds: int, *certificate: str) -> None:
    tls = None
    if certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(*certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Upstream(milliseconds / 1000), "127.0.0.1", port, ssl=tls, backlog=1024
    )
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]))
