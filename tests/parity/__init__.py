"""How far the sandbox and the service agree: probes, and a command that puts both to them."""
