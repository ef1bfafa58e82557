"""Finds what we hold already: copies by their pixels, near copies by hash and a second look."""
