"""The WSGI application without its rate limit, which the peers have not."""

from tempkit.server import Guard
from tempkit.wsgi import Application

app = Application(guard=Guard(rate=None))
