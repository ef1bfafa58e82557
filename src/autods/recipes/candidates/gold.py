"""Gold: the images people have put into `datasets/gold/CLASS/`, each an input as any other."""

from collections.abc import Iterator

import sqlalchemy as sa

from autods.catalog.tables import now, refs
from autods.errors import UsageError
from autods.ingest.listing import add_refs, key_of
from autods.ingest.work import object_location
from autods.recipes.candidates.work import GOLD, Work, bucket_of
from autods.records import Ref
from autods.run import batched
from autods.store import S3Store, Store

FOLDER = "datasets/gold/"

Known = dict[tuple[str, str], tuple[int, bool]]
"""Inputs by name and stamp: their number, and whether they are there today."""


def list_gold(work: Work) -> dict[str, int]:
    """Make gold's inputs what lies in its folder today; what changed there is a new input.

    What is gone is marked gone, and leaves the next month; its class is the folder it lies in.
    """
    found = {(key_of(ref)["uri"], key_of(ref)["stamp"]): ref for ref in _found(work)}
    known = _known(work)
    new = [ref for key, ref in found.items() if key not in known]
    back = [number for key, (number, here) in known.items() if key in found and not here]
    gone = [number for key, (number, here) in known.items() if key not in found and here]
    add_refs(work.stages.catalog, work.dataset_id, new, again=False)
    _mark(work, back, gone)
    work.stages.catalog.note_growth(len(new))
    return {"images": len(found), "new": len(new) + len(back), "gone": len(gone)}


def _found(work: Work) -> Iterator[Ref]:
    for entry in work.artifacts.entries(FOLDER):
        label, slash, name = entry.key.removeprefix(FOLDER).partition("/")
        if not slash or "/." in f"/{name}":
            continue  # A note beside the classes' folders is no image, nor is a hidden file.
        yield Ref(
            uri=entry.key.removeprefix(FOLDER),
            source=GOLD,
            location=_location(work, entry.key),
            stamp=entry.stamp,
            label=label,
        )


def _location(work: Work, key: str) -> str:
    """Say where an image is; of a name that no store takes, why it is refused."""
    try:
        return _address(work.artifacts, key)
    except UsageError as error:
        return f"refused:unsupported-key:{error}"


def _address(place: Store, key: str) -> str:
    if isinstance(place, S3Store):
        bucket = bucket_of(place)
        prefix = place.url.removeprefix(f"s3://{bucket}").strip("/")
        return object_location(bucket, f"{prefix}/{key}" if prefix else key)
    path = place.local_path(key)
    return path.as_uri() if path else key


def _known(work: Work) -> Known:
    query = sa.select(refs.c.id, refs.c.uri, refs.c.stamp, refs.c.gone_at).where(
        refs.c.dataset_id == work.dataset_id, refs.c.source == GOLD
    )
    with work.stages.catalog.read() as db:
        return {(row.uri, row.stamp): (row.id, row.gone_at is None) for row in db.execute(query)}


def _mark(work: Work, back: list[int], gone: list[int]) -> None:
    at = now()
    for ids, said in ((back, None), (gone, at)):
        for some in batched(ids, 10_000):
            with work.stages.catalog.begin() as db:
                db.execute(
                    sa.update(refs).where(refs.c.id.in_(some)).values(gone_at=said, changed_at=at)
                )
