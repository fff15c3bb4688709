"""What was said: voice activity, turn detection, and the recogniser."""
