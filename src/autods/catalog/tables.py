"""What we know, as tables; `migrations/` brings every older schema to this one.

    datasets --< refs >-- blobs --- measures, thumbs, embeddings    what was seen, what we hold
        |                   |
        +--< placements >---+        one verdict per asset and policy: kept, duplicate, ...
        +--< splits     >---+        where a sample lies, for ever
        +--< ledger     >---+        the labels: who said what, when, how surely
        +--< versions --< aliases    what was frozen
        +--< claims                  which run is taking which refs in
    marks                            which store the bytes are in
        +--< runs                    what was executed

An asset is a blob and all that is known of it; a ref whose status is `asset` is a sighting: one
asset has as many as places it was seen in. Whoever asks the database itself finds seed 4's
`assets`, `features` and `labels` as views (`views.py`). On PostgreSQL all of it lies in a schema
of its own, `autods`, so that it may share a database with anything else.
"""

import datetime as dt

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
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

from autods.catalog.vectors import Vector

DIMENSIONS = 512
"""Of an embedding, as in seed 4: `VECTOR(512)`."""

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

# Bytes decide the order of text, on every database alike: digests and splits depend on it.
_Text = Text().with_variant(Text(collation="C"), "postgresql")

# SQLite counts rows by itself only in a column of exactly this type.
_ID = BigInteger().with_variant(Integer, "sqlite")


def _dataset() -> Column[int]:
    return Column("dataset_id", _ID, ForeignKey("datasets.id"), nullable=False)


def _asset() -> Column[int]:
    return Column("asset_id", _ID, ForeignKey("blobs.id"), nullable=False)


datasets = Table(
    "datasets",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("name", _Text, nullable=False, unique=True),
    Column("created_at", DateTime, nullable=False),
)

blobs = Table(
    "blobs",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("sha256", _Text, nullable=False),
    Column("modality", _Text, nullable=False, default="image"),
    Column("size", BigInteger, nullable=False),
    # Which place holds the bytes; while they move, the one they are leaving is in `leaving`.
    Column("tier", _Text, nullable=False, server_default="hot"),
    Column("leaving", _Text),
    Column("created_at", DateTime, nullable=False, index=True),
    # Named as in the first schema, where the table was: SQLite cannot rename a constraint.
    UniqueConstraint("sha256", name="uq_assets_sha256"),
)

refs = Table(
    "refs",
    metadata,
    Column("id", _ID, primary_key=True),
    _dataset(),
    Column("source", _Text, nullable=False),
    Column("uri", _Text, nullable=False),
    Column("stamp", _Text, nullable=False),
    # Where the bytes can be had today; `uri` names the input wherever the folder is moved.
    Column("location", _Text, nullable=False),
    Column("license", _Text),
    Column("label", _Text),
    Column("caption", _Text),
    Column("meta", JSON, nullable=False),
    Column("first_seen", DateTime, nullable=False),
    # When what its source says of it, other than its bytes, last changed.
    Column("changed_at", DateTime),
    Column("gone_at", DateTime),
    # The outcome; NULL until there is one for the fingerprint of today's code and settings.
    Column("fingerprint", _Text),
    Column("status", _Text),
    Column("reason", _Text),
    Column("detail", _Text),
    Column("asset_id", _ID, ForeignKey("blobs.id")),
    Column("tries", Integer, nullable=False, default=0),
    Column("finished_at", DateTime),
    UniqueConstraint("dataset_id", "source", "uri", "stamp"),
    Index(None, "asset_id", "dataset_id"),
    Index(None, "dataset_id", "fingerprint", "id"),
)

measures = Table(
    "measures",
    metadata,
    Column("asset_id", _ID, ForeignKey("blobs.id"), primary_key=True),
    Column("fingerprint", _Text, nullable=False),
    Column("format", _Text, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("mode", _Text, nullable=False),
    Column("frames", Integer, nullable=False),
    Column("orientation", Integer, nullable=False),
    Column("file_size", BigInteger, nullable=False),
    Column("pixel_checksum", _Text, nullable=False, index=True),
    # The 64 bits of the hash, read as a signed number; views and exports show 16 hex digits.
    Column("phash", BigInteger, nullable=False, index=True),
    Column("phash_algorithm", _Text, nullable=False),
    Column("brightness", Float, nullable=False),
    Column("contrast", Float, nullable=False),
    Column("sharpness", Float, nullable=False),
    Column("entropy", Float, nullable=False),
    # What the decoder complained of in a file that can be shown all the same; mostly empty.
    Column("damage", _Text, nullable=False, server_default=""),
    Column("extracted_at", DateTime, nullable=False),
)

thumbs = Table(
    "thumbs",
    metadata,
    Column("asset_id", _ID, ForeignKey("blobs.id"), primary_key=True),
    Column("thumb", LargeBinary, nullable=False),
)

embeddings = Table(
    "embeddings",
    metadata,
    Column("asset_id", _ID, ForeignKey("blobs.id"), primary_key=True),
    # Which model made it, with which weights and preprocessing: others' vectors mean other things.
    Column("model", _Text, primary_key=True),
    Column("vector", Vector(DIMENSIONS), nullable=False),
    Column("extracted_at", DateTime, nullable=False),
)

placements = Table(
    "placements",
    metadata,
    Column("dataset_id", _ID, ForeignKey("datasets.id"), primary_key=True),
    Column("policy", _Text, primary_key=True),
    # Arrival order: decided by the driver, so that it does not depend on who finished first.
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    _asset(),
    Column("verdict", _Text, nullable=False),
    Column("reason", _Text),
    Column("detail", _Text),
    Column("of_seq", BigInteger),
    Column("kind", _Text),
    Column("distance", Integer),
    Column("score", Float),
    Column("decided_at", DateTime, nullable=False),
    UniqueConstraint("dataset_id", "policy", "asset_id"),
)

splits = Table(
    "splits",
    metadata,
    Column("dataset_id", _ID, ForeignKey("datasets.id"), primary_key=True),
    Column("asset_id", _ID, ForeignKey("blobs.id"), primary_key=True),
    Column("split", _Text, nullable=False),
    Column("group_sha256", _Text, nullable=False),
    Column("placed_at", DateTime, nullable=False),
)

ledger = Table(
    "ledger",
    metadata,
    Column("id", _ID, primary_key=True),
    _dataset(),
    _asset(),
    Column("kind", _Text, nullable=False),
    Column("said_by", _Text, nullable=False),
    Column("label", _Text, nullable=False),
    Column("probability", Float),
    Column("said_at", DateTime, nullable=False),
    Index(None, "dataset_id", "asset_id", "kind"),
    Index(None, "asset_id"),
)

versions = Table(
    "versions",
    metadata,
    Column("id", _ID, primary_key=True),
    _dataset(),
    Column("number", Integer, nullable=False),
    Column("digest", _Text, nullable=False),
    Column("parent_number", Integer),
    Column("manifest", _Text, nullable=False),
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
    Column("alias", _Text, primary_key=True),
    Column("number", Integer, nullable=False),
    ForeignKeyConstraint(
        ["dataset_id", "number"], ["versions.dataset_id", "versions.number"], name="fk_aliases"
    ),
)

claims = Table(
    "claims",
    metadata,
    Column("id", _ID, primary_key=True),
    _dataset(),
    # What the outcomes will be: a run with other settings has to take the same refs in, too.
    Column("fingerprint", _Text, nullable=False),
    # The lock that its run holds while it lives: a claim of the dead is free.
    Column("claimant", _Text, nullable=False),
    Column("first_ref", BigInteger, nullable=False),
    Column("last_ref", BigInteger, nullable=False),
    Column("remote", Boolean, nullable=False),
    Index(None, "dataset_id", "last_ref"),
)

marks = Table(
    "marks",
    metadata,
    # What this catalog goes with: `store` and `cold_store` hold the same word under a key.
    Column("name", _Text, primary_key=True),
    Column("value", _Text, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", _ID, primary_key=True),
    _dataset(),
    Column("recipe", _Text, nullable=False),
    Column("status", _Text, nullable=False),
    Column("stats", JSON, nullable=False),
    Column("error", _Text),
    Column("started_at", DateTime, nullable=False),
    Column("finished_at", DateTime),
)


def now() -> dt.datetime:
    """Give the time as the catalog keeps it: UTC, without a zone."""
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
