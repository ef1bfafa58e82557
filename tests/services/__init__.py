"""Real servers for tests, started from Python packages, and a way to make them fail."""
