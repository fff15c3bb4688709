"""The sockets of a sandbox: HTTP routes, WebSockets, and their pace."""
