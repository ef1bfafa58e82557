"""Small pictures of stored assets, made in the workers: one that crashes a decoder costs itself."""

from collections.abc import Iterable
from functools import partial

from autods.engine import Engine, Lost
from autods.recipes.passing import thumbnails
from autods.run import batched
from autods.store import Store


def previews(
    store: Store, engine: Engine, wanted: Iterable[str], *, side: int = 160
) -> dict[str, bytes]:
    """Give a JPEG of at most `side` pixels for each SHA-256, empty where it cannot be shown."""
    work = partial(thumbnails, store=store, side=side)
    shown: dict[str, bytes] = {}
    for batch, pictures in engine.map(work, batched(sorted(set(wanted)), 8)):
        for sha256, data in zip(batch, pictures, strict=True):
            shown[sha256] = b"" if isinstance(data, Lost) else data
    return shown
