"""Sound from files, pipes and memory, as the service takes it: 16-bit PCM in chunks."""
