"""What we know, as tables; `migrations/` brings every older schema to this one.

    datasets --< refs >-- assets --- features, thumbs          what was seen, what we hold
        |                   |
        +--< placements >---+        one verdict per asset and policy: kept, duplicate, ...
        +--< splits     >---+        where a sample lies, for ever
        +--< labels     >---+        the ledger: who said what, when, how surely
        +--< versions --< aliases    what was frozen
        +--< runs                    what was executed

A ref whose status is `asset` is a sighting: one asset has as many as places it was seen in.
"""

import datetime as dt

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

# SQLite counts rows by itself only in a column of exactly this type.
_ID = BigInteger().with_variant(Integer, "sqlite")


def _dataset() -> Column[int]:
    return Column("dataset_id", _ID, ForeignKey("datasets.id"), nullable=False)


def _asset() -> Column[int]:
    return Column("asset_id", _ID, ForeignKey("assets.id"), nullable=False)


datasets = Table(
    "datasets",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at", DateTime, nullable=False),
)

assets = Table(
    "assets",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("sha256", Text, nullable=False, unique=True),
    Column("modality", Text, nullable=False, default="image"),
    Column("size", BigInteger, nullable=False),
    Column("created_at", DateTime, nullable=False),
)

refs = Table(
    "refs",
    metadata,
    Column("id", _ID, primary_key=True),
    _dataset(),
    Column("source", Text, nullable=False),
    Column("uri", Text, nullable=False),
    Column("stamp", Text, nullable=False),
    # Where the bytes can be had today; `uri` names the input wherever the folder is moved.
    Column("location", Text, nullable=False),
    Column("license", Text),
    Column("label", Text),
    Column("caption", Text),
    Column("meta", JSON, nullable=False),
    Column("first_seen", DateTime, nullable=False),
    # When what its source says of it, other than its bytes, last changed.
    Column("changed_at", DateTime),
    Column("gone_at", DateTime),
    # The outcome; NULL until there is one for the fingerprint of today's code and settings.
    Column("fingerprint", Text),
    Column("status", Text),
    Column("reason", Text),
    Column("detail", Text),
    Column("asset_id", _ID, ForeignKey("assets.id")),
    Column("tries", Integer, nullable=False, default=0),
    Column("finished_at", DateTime),
    UniqueConstraint("dataset_id", "source", "uri", "stamp"),
    Index(None, "asset_id", "dataset_id"),
    Index(None, "dataset_id", "fingerprint", "id"),
)

features = Table(
    "features",
    metadata,
    Column("asset_id", _ID, ForeignKey("assets.id"), primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("mode", Text, nullable=False),
    Column("frames", Integer, nullable=False),
    Column("orientation", Integer, nullable=False),
    Column("file_size", BigInteger, nullable=False),
    Column("pixel_checksum", Text, nullable=False, index=True),
    # The 64 bits of the hash, read as a signed number; views and exports show 16 hex digits.
    Column("phash", BigInteger, nullable=False, index=True),
    Column("phash_algorithm", Text, nullable=False),
    Column("brightness", Float, nullable=False),
    Column("contrast", Float, nullable=False),
    Column("sharpness", Float, nullable=False),
    Column("entropy", Float, nullable=False),
    # What the decoder complained of in a file that can be shown all the same; mostly empty.
    Column("damage", Text, nullable=False, server_default=""),
    Column("extracted_at", DateTime, nullable=False),
)

thumbs = Table(
    "thumbs",
    metadata,
    Column("asset_id", _ID, ForeignKey("assets.id"), primary_key=True),
    Column("thumb", LargeBinary, nullable=False),
)

placements = Table(
    "placements",
    metadata,
    Column("dataset_id", _ID, ForeignKey("datasets.id"), primary_key=True),
    Column("policy", Text, primary_key=True),
    # Arrival order: decided by the driver, so that it does not depend on who finished first.
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    _asset(),
    Column("verdict", Text, nullable=False),
    Column("reason", Text),
    Column("detail", Text),
    Column("of_seq", BigInteger),
    Column("kind", Text),
    Column("distance", Integer),
    Column("score", Float),
    Column("decided_at", DateTime, nullable=False),
    UniqueConstraint("dataset_id", "policy", "asset_id"),
)

splits = Table(
    "splits",
    metadata,
    Column("dataset_id", _ID, ForeignKey("datasets.id"), primary_key=True),
    Column("asset_id", _ID, ForeignKey("assets.id"), primary_key=True),
    Column("split", Text, nullable=False),
    Column("group_sha256", Text, nullable=False),
    Column("placed_at", DateTime, nullable=False),
)

labels = Table(
    "labels",
    metadata,
    Column("id", _ID, primary_key=True),
    _dataset(),
    _asset(),
    Column("kind", Text, nullable=False),
    Column("said_by", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("probability", Float),
    Column("said_at", DateTime, nullable=False),
    Index(None, "dataset_id", "asset_id", "kind"),
)

versions = Table(
    "versions",
    metadata,
    Column("id", _ID, primary_key=True),
    _dataset(),
    Column("number", Integer, nullable=False),
    Column("digest", Text, nullable=False),
    Column("parent_number", Integer),
    Column("manifest", Text, nullable=False),
    Column("recipe", JSON, nullable=False),
    Column("stats", JSON, nullable=False),
    Column("created_at", DateTime, nullable=False),
    UniqueConstraint("dataset_id", "number"),
    UniqueConstraint("dataset_id", "digest"),
)

aliases = Table(
    "aliases",
    metadata,
    Column("dataset_id", _ID, primary_key=True),
    Column("alias", Text, primary_key=True),
    Column("number", Integer, nullable=False),
    ForeignKeyConstraint(
        ["dataset_id", "number"], ["versions.dataset_id", "versions.number"], name="fk_aliases"
    ),
)

runs = Table(
    "runs",
    metadata,
    Column("id", _ID, primary_key=True),
    _dataset(),
    Column("recipe", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("stats", JSON, nullable=False),
    Column("error", Text),
    Column("started_at", DateTime, nullable=False),
    Column("finished_at", DateTime),
)


def now() -> dt.datetime:
    """Give the time as the catalog keeps it: UTC, without a zone."""
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
