"""Crawls: pages, images and robots rules; jobs; what happens during a run; validators of inputs."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Bring the schema forward."""
    for column in ("etag", "last_modified"):
        op.add_column("refs", sa.Column(column, _TEXT))
    op.create_table(
        "jobs",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )
    with op.batch_alter_table("runs") as runs:
        runs.add_column(sa.Column("job_id", _ID))
        runs.create_foreign_key("fk_runs_job_id", "jobs", ["job_id"], ["id"])
    op.create_table(
        "events",
        sa.Column("id", _ID, nullable=False),
        sa.Column("run_id", _ID, nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("step", sa.Integer()),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_events_run_id"),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
    )
    op.create_index("ix_events_run_id_id", "events", ["run_id", "id"])
    op.create_table(
        "crawls",
        sa.Column("id", _ID, nullable=False),
        sa.Column("dataset_id", _ID, nullable=False),
        sa.Column("source", _TEXT, nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("scope", sa.JSON(), nullable=False),
        sa.Column("queued", sa.BigInteger(), nullable=False),
        sa.Column("expanded", sa.BigInteger(), nullable=False),
        sa.Column("imaged", sa.BigInteger(), nullable=False),
        sa.Column("cleared", sa.BigInteger(), nullable=False),
        sa.Column("stats", sa.JSON(), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("finished_at", sa.DateTime()),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name="fk_crawls_dataset_id"),
        sa.PrimaryKeyConstraint("id", name="pk_crawls"),
        sa.UniqueConstraint(
            "dataset_id", "source", "round", name="uq_crawls_dataset_id_source_round"
        ),
    )
    op.create_table(
        "pages",
        sa.Column("id", _ID, nullable=False),
        sa.Column("dataset_id", _ID, nullable=False),
        sa.Column("source", _TEXT, nullable=False),
        sa.Column("url", _TEXT, nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("hops", sa.Integer(), nullable=False),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("status", _TEXT),
        sa.Column("reason", _TEXT),
        sa.Column("detail", _TEXT),
        sa.Column("fetched_at", sa.DateTime()),
        sa.Column("etag", _TEXT),
        sa.Column("last_modified", _TEXT),
        sa.Column("found", sa.JSON()),
        sa.Column("reader", _TEXT),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name="fk_pages_dataset_id"),
        sa.PrimaryKeyConstraint("id", name="pk_pages"),
        sa.UniqueConstraint("dataset_id", "source", "url", name="uq_pages_dataset_id_source_url"),
    )
    op.create_index(
        "ix_pages_dataset_id_source_round_ordinal",
        "pages",
        ["dataset_id", "source", "round", "ordinal"],
    )
    op.create_table(
        "images",
        sa.Column("id", _ID, nullable=False),
        sa.Column("dataset_id", _ID, nullable=False),
        sa.Column("source", _TEXT, nullable=False),
        sa.Column("url", _TEXT, nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.Column("stamp", _TEXT, nullable=False),
        sa.Column("license", _TEXT),
        sa.Column("caption", _TEXT),
        sa.Column("meta", sa.JSON(), nullable=False),
        sa.Column("reason", _TEXT),
        sa.Column("detail", _TEXT),
        sa.Column("first_round", sa.Integer(), nullable=False),
        sa.Column("checked", sa.Integer()),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name="fk_images_dataset_id"),
        sa.PrimaryKeyConstraint("id", name="pk_images"),
        sa.UniqueConstraint("dataset_id", "source", "url", name="uq_images_dataset_id_source_url"),
    )
    op.create_index(
        "ix_images_dataset_id_source_round_ordinal",
        "images",
        ["dataset_id", "source", "round", "ordinal"],
    )
    op.create_table(
        "robots",
        sa.Column("id", _ID, nullable=False),
        sa.Column("dataset_id", _ID, nullable=False),
        sa.Column("source", _TEXT, nullable=False),
        sa.Column("origin", _TEXT, nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("text", _TEXT),
        sa.Column("detail", _TEXT),
        sa.Column("etag", _TEXT),
        sa.Column("last_modified", _TEXT),
        sa.Column("fetched_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name="fk_robots_dataset_id"),
        sa.PrimaryKeyConstraint("id", name="pk_robots"),
        sa.UniqueConstraint(
            "dataset_id", "source", "origin", name="uq_robots_dataset_id_source_origin"
        ),
    )
