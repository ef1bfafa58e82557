"""The HTTP face: runs, live, for this machine alone."""
