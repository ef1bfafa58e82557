"""A made-up database of predictions with its photos and gold, which changes as real ones do."""

from autods.recipes.candidates.world.demo import put_into, write_demo
from autods.recipes.candidates.world.shapes import Look
from autods.recipes.candidates.world.truth import group_of
from autods.recipes.candidates.world.world import World

__all__ = ["Look", "World", "group_of", "put_into", "write_demo"]
