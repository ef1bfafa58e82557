"""Choosing the members of a version: what passes the checks, in which split, under which label."""
