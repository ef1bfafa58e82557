"""Fetching over HTTP: guarded against private addresses, polite to each host, bounded in all."""
