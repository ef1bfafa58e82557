"""Where work is done: an engine maps a picklable function over batches and isolates what breaks."""

from autods.engine.local import Engine, LocalEngine, Lost

__all__ = ["Engine", "LocalEngine", "Lost"]
