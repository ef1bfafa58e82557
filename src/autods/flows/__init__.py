"""Faces of those who schedule: Prefect shows and starts our runs, it never owns their state."""

from autods.flows.deploying import deploy

__all__ = ["deploy"]
