"""What we know, as tables; `migrations/` brings every older schema to this one.

    datasets --< refs >-- blobs --- measures, thumbs, embeddings    what was seen, what we hold
        |                   |
        +--< placements >---+        one verdict per asset and policy: kept, duplicate, ...
        +--< splits     >---+        where a sample lies, for ever
        +--< ledger     >---+        the labels: who said what, when, how surely
        +--< versions --< aliases    what was frozen
            +--< claims                  which run is taking which refs in
        +--< runs --< events         what was executed, and what happened meanwhile
    jobs                             what is asked for again and again
    marks                            which store the bytes are in

An asset is a blob and all that is known of it; a ref whose status is `asset` is a sighting: one
asset has as many as places it was seen in. Whoever asks the database itself finds seed 4's
`assets`, `features` and `labels` as views (`views.py`). On PostgreSQL all of it lies in a schema
of its own, `autods`, so that it may share a database with anything else.
"""

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
    Table,
    UniqueConstraint,
)

from autods.catalog.columns import ID, TEXT, asset, dataset, metadata, now
from autods.catalog.vectors import Vector

__all__ = ["metadata", "now"]

DIMENSIONS = 512
"""Of an embedding, as in seed 4: `VECTOR(512)`."""

datasets = Table(
    "datasets",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", TEXT, nullable=False, unique=True),
    Column("created_at", DateTime, nullable=False),
)

blobs = Table(
    "blobs",
    metadata,
    Column("id", ID, primary_key=True),
    Column("sha256", TEXT, nullable=False),
    Column("modality", TEXT, nullable=False, default="image"),
    Column("size", BigInteger, nullable=False),
    # Which place holds the bytes; while they move, the one they are leaving is in `leaving`.
    Column("tier", TEXT, nullable=False, server_default="hot"),
    Column("leaving", TEXT),
    Column("created_at", DateTime, nullable=False, index=True),
    # Named as in the first schema, where the table was: SQLite cannot rename a constraint.
    UniqueConstraint("sha256", name="uq_assets_sha256"),
)

refs = Table(
    "refs",
    metadata,
    Column("id", ID, primary_key=True),
    dataset(),
    Column("source", TEXT, nullable=False),
    Column("uri", TEXT, nullable=False),
    Column("stamp", TEXT, nullable=False),
    # Where the bytes can be had today; `uri` names the input wherever the folder is moved.
    Column("location", TEXT, nullable=False),
    Column("license", TEXT),
    Column("label", TEXT),
    Column("caption", TEXT),
    Column("meta", JSON, nullable=False),
    Column("first_seen", DateTime, nullable=False),
    # When what its source says of it, other than its bytes, last changed.
    Column("changed_at", DateTime),
    Column("gone_at", DateTime),
    # The outcome; NULL until there is one for the fingerprint of today's code and settings.
    Column("fingerprint", TEXT),
    Column("status", TEXT),
    Column("reason", TEXT),
    Column("detail", TEXT),
    Column("asset_id", ID, ForeignKey("blobs.id")),
    Column("tries", Integer, nullable=False, default=0),
    Column("finished_at", DateTime),
    # What a server said of the bytes, to ask it whether they have changed.
    Column("etag", TEXT),
    Column("last_modified", TEXT),
    UniqueConstraint("dataset_id", "source", "uri", "stamp"),
    Index(None, "asset_id", "dataset_id"),
    Index(None, "dataset_id", "fingerprint", "id"),
)

measures = Table(
    "measures",
    metadata,
    Column("asset_id", ID, ForeignKey("blobs.id"), primary_key=True),
    Column("fingerprint", TEXT, nullable=False),
    Column("format", TEXT, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("mode", TEXT, nullable=False),
    Column("frames", Integer, nullable=False),
    Column("orientation", Integer, nullable=False),
    Column("file_size", BigInteger, nullable=False),
    Column("pixel_checksum", TEXT, nullable=False, index=True),
    # The 64 bits of the hash, read as a signed number; views and exports show 16 hex digits.
    Column("phash", BigInteger, nullable=False, index=True),
    Column("phash_algorithm", TEXT, nullable=False),
    Column("brightness", Float, nullable=False),
    Column("contrast", Float, nullable=False),
    Column("sharpness", Float, nullable=False),
    Column("entropy", Float, nullable=False),
    # What the decoder complained of in a file that can be shown all the same; mostly empty.
    Column("damage", TEXT, nullable=False, server_default=""),
    Column("extracted_at", DateTime, nullable=False),
)

thumbs = Table(
    "thumbs",
    metadata,
    Column("asset_id", ID, ForeignKey("blobs.id"), primary_key=True),
    Column("thumb", LargeBinary, nullable=False),
)

embeddings = Table(
    "embeddings",
    metadata,
    Column("asset_id", ID, ForeignKey("blobs.id"), primary_key=True),
    # Which model made it, with which weights and preprocessing: others' vectors mean other things.
    Column("model", TEXT, primary_key=True),
    Column("vector", Vector(DIMENSIONS), nullable=False),
    Column("extracted_at", DateTime, nullable=False),
)

placements = Table(
    "placements",
    metadata,
    Column("dataset_id", ID, ForeignKey("datasets.id"), primary_key=True),
    Column("policy", TEXT, primary_key=True),
    # Arrival order: decided by the driver, so that it does not depend on who finished first.
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    asset(),
    Column("verdict", TEXT, nullable=False),
    Column("reason", TEXT),
    Column("detail", TEXT),
    Column("of_seq", BigInteger),
    Column("kind", TEXT),
    Column("distance", Integer),
    Column("score", Float),
    Column("decided_at", DateTime, nullable=False),
    UniqueConstraint("dataset_id", "policy", "asset_id"),
)

splits = Table(
    "splits",
    metadata,
    Column("dataset_id", ID, ForeignKey("datasets.id"), primary_key=True),
    Column("asset_id", ID, ForeignKey("blobs.id"), primary_key=True),
    Column("split", TEXT, nullable=False),
    Column("group_sha256", TEXT, nullable=False),
    Column("placed_at", DateTime, nullable=False),
)

ledger = Table(
    "ledger",
    metadata,
    Column("id", ID, primary_key=True),
    dataset(),
    asset(),
    Column("kind", TEXT, nullable=False),
    Column("said_by", TEXT, nullable=False),
    Column("label", TEXT, nullable=False),
    Column("probability", Float),
    Column("said_at", DateTime, nullable=False),
    Index(None, "dataset_id", "asset_id", "kind"),
    Index(None, "asset_id"),
)

versions = Table(
    "versions",
    metadata,
    Column("id", ID, primary_key=True),
    dataset(),
    Column("number", Integer, nullable=False),
    Column("digest", TEXT, nullable=False),
    Column("parent_number", Integer),
    Column("manifest", TEXT, nullable=False),
    Column("recipe", JSON, nullable=False),
    Column("stats", JSON, nullable=False),
    Column("created_at", DateTime, nullable=False),
    UniqueConstraint("dataset_id", "number"),
    UniqueConstraint("dataset_id", "digest"),
)

aliases = Table(
    "aliases",
    metadata,
    Column("dataset_id", ID, primary_key=True),
    Column("alias", TEXT, primary_key=True),
    Column("number", Integer, nullable=False),
    ForeignKeyConstraint(
        ["dataset_id", "number"], ["versions.dataset_id", "versions.number"], name="fk_aliases"
    ),
)

claims = Table(
    "claims",
    metadata,
    Column("id", ID, primary_key=True),
    dataset(),
    # What the outcomes will be: a run with other settings has to take the same refs in, too.
    Column("fingerprint", TEXT, nullable=False),
    # The lock that its run holds while it lives: a claim of the dead is free.
    Column("claimant", TEXT, nullable=False),
    Column("first_ref", BigInteger, nullable=False),
    Column("last_ref", BigInteger, nullable=False),
    Column("remote", Boolean, nullable=False),
    Index(None, "dataset_id", "last_ref"),
)

marks = Table(
    "marks",
    metadata,
    # What this catalog goes with: `store` and `cold_store` hold the same word under a key.
    Column("name", TEXT, primary_key=True),
    Column("value", TEXT, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", TEXT, nullable=False),
    Column("spec", JSON, nullable=False),
    Column("created_at", DateTime, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", ID, primary_key=True),
    dataset(),
    Column("job_id", ID, ForeignKey("jobs.id")),
    Column("recipe", TEXT, nullable=False),
    Column("status", TEXT, nullable=False),
    Column("stats", JSON, nullable=False),
    Column("error", TEXT),
    Column("started_at", DateTime, nullable=False),
    Column("finished_at", DateTime),
)

events = Table(
    "events",
    metadata,
    Column("id", ID, primary_key=True),
    Column("run_id", ID, ForeignKey("runs.id"), nullable=False),
    Column("at", DateTime, nullable=False),
    # step-started, progress, step-ended, ...: what `run.events` says they are.
    Column("kind", TEXT, nullable=False),
    Column("step", Integer),
    Column("data", JSON, nullable=False),
    Index(None, "run_id", "id"),
)
