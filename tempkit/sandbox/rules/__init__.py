"""What the service does, without I/O: who gets in, what a turn says, when a session ends."""
