"""What is known of a database of predictions, as tables: seed 1's candidates and releases.

watermarks                           how far a source has been read
predictions >-- collections          what was seen, and the day whose folder it lies in
releases >-- versions                2024-11-v1: what a month was frozen as
"""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    UniqueConstraint,
)

from autods.catalog.columns import ID, TEXT, dataset, metadata

watermarks = Table(
    "watermarks",
    metadata,
    Column("id", ID, primary_key=True),
    dataset(),
    # The name of the source, as its refs carry it.
    Column("source", TEXT, nullable=False),
    # The first day that was asked for: what was created before is nobody's candidate.
    Column("since", TEXT, nullable=False),
    # The last row seen, in the order of (updated_at, id); NULL before there was one.
    Column("updated_at", DateTime),
    Column("row_id", TEXT),
    # Where the photos were looked for last.
    Column("place", TEXT),
    UniqueConstraint("dataset_id", "source"),
)

predictions = Table(
    "predictions",
    metadata,
    Column("id", ID, primary_key=True),
    dataset(),
    Column("prediction_id", TEXT, nullable=False),
    Column("user_id", TEXT, nullable=False),
    # YYYY-MM-DD, in UTC, on which it was created; its photos are refs named DAY/PREDICTION/N.
    Column("day", TEXT, nullable=False),
    # The class under which it was collected, how many photos it has, and how many more were named.
    Column("collected_as", TEXT),
    Column("photos", Integer, nullable=False),
    Column("beyond", Integer, nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("seen_at", DateTime, nullable=False),
    # What the model said, for ever.
    Column("initial_prediction", TEXT),
    Column("confidence", Float),
    # What people said when the database was asked last.
    Column("style", TEXT),
    Column("is_verified", Boolean, nullable=False),
    Column("verified_by", TEXT),
    Column("verified_at", DateTime),
    Column("asked_at", DateTime, nullable=False),
    # When it was found to be gone; NULL while it is there.
    Column("withdrawn_at", DateTime),
    UniqueConstraint("dataset_id", "prediction_id"),
    Index(None, "dataset_id", "day"),
)

collections = Table(
    "collections",
    metadata,
    Column("id", ID, primary_key=True),
    dataset(),
    Column("day", TEXT, nullable=False),
    # Whether its folder may not be what it should be: something has come in since.
    Column("dirty", Boolean, nullable=False),
    # Of what was published: NULL before that.
    Column("digest", TEXT),
    Column("images", Integer),
    Column("published_at", DateTime),
    UniqueConstraint("dataset_id", "day"),
)

releases = Table(
    "releases",
    metadata,
    Column("id", ID, primary_key=True),
    dataset(),
    # YYYY-MM, and 1 for its first release.
    Column("month", TEXT, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    # What it was made with, the days whose collections it was made from, and the keys of two tables
    # in the store: what is in it, and what was left out and why.
    Column("made_with", JSON, nullable=False),
    Column("days", JSON, nullable=False),
    Column("samples", TEXT, nullable=False),
    Column("excluded", TEXT, nullable=False),
    Column("created_at", DateTime, nullable=False),
    # When its folder was complete, and where that is; NULL until then.
    Column("laid_out_at", DateTime),
    Column("folder", TEXT),
    UniqueConstraint("dataset_id", "month", "revision"),
    ForeignKeyConstraint(
        ["dataset_id", "number"], ["versions.dataset_id", "versions.number"], name="fk_releases"
    ),
)
