"""The client: audio out, turns in, over one connection after another."""
