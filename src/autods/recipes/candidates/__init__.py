"""Seed 1: every day new predictions become candidates, every month gold and candidates datasets."""
