"""The token server without its rate limit, which the peers have not: ours.py PORT FOLDER."""

import sys

from tempkit import Settings, TokenServer
from tempkit.server.guard import Guard

server = TokenServer(
    Settings.from_env(), port=int(sys.argv[1]), directory=sys.argv[2], guard=Guard(rate=None)
)
server.start().wait()
