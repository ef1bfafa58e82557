"""Candidates: predictions seen, how far they were read, the days collected, what was released."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Bring the schema forward."""
    op.create_table(
        "watermarks",
        sa.Column("id", _ID, nullable=False),
        sa.Column("dataset_id", _ID, nullable=False),
        sa.Column("source", _TEXT, nullable=False),
        sa.Column("since", _TEXT, nullable=False),
        sa.Column("updated_at", sa.DateTime()),
        sa.Column("row_id", _TEXT),
        sa.Column("place", _TEXT),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name="fk_watermarks_dataset_id"),
        sa.PrimaryKeyConstraint("id", name="pk_watermarks"),
        sa.UniqueConstraint("dataset_id", "source", name="uq_watermarks_dataset_id_source"),
    )
    op.create_table(
        "predictions",
        sa.Column("id", _ID, nullable=False),
        sa.Column("dataset_id", _ID, nullable=False),
        sa.Column("prediction_id", _TEXT, nullable=False),
        sa.Column("user_id", _TEXT, nullable=False),
        sa.Column("day", _TEXT, nullable=False),
        sa.Column("collected_as", _TEXT),
        sa.Column("photos", sa.Integer(), nullable=False),
        sa.Column("beyond", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("seen_at", sa.DateTime(), nullable=False),
        sa.Column("initial_prediction", _TEXT),
        sa.Column("confidence", sa.Float()),
        sa.Column("style", _TEXT),
        sa.Column("is_verified", sa.Boolean(), nullable=False),
        sa.Column("verified_by", _TEXT),
        sa.Column("verified_at", sa.DateTime()),
        sa.Column("asked_at", sa.DateTime(), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime()),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name="fk_predictions_dataset_id"),
        sa.PrimaryKeyConstraint("id", name="pk_predictions"),
        sa.UniqueConstraint(
            "dataset_id", "prediction_id", name="uq_predictions_dataset_id_prediction_id"
        ),
    )
    op.create_index("ix_predictions_dataset_id_day", "predictions", ["dataset_id", "day"])
    op.create_table(
        "collections",
        sa.Column("id", _ID, nullable=False),
        sa.Column("dataset_id", _ID, nullable=False),
        sa.Column("day", _TEXT, nullable=False),
        sa.Column("dirty", sa.Boolean(), nullable=False),
        sa.Column("digest", _TEXT),
        sa.Column("images", sa.Integer()),
        sa.Column("published_at", sa.DateTime()),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name="fk_collections_dataset_id"),
        sa.PrimaryKeyConstraint("id", name="pk_collections"),
        sa.UniqueConstraint("dataset_id", "day", name="uq_collections_dataset_id_day"),
    )
    op.create_table(
        "releases",
        sa.Column("id", _ID, nullable=False),
        sa.Column("dataset_id", _ID, nullable=False),
        sa.Column("month", _TEXT, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("made_with", sa.JSON(), nullable=False),
        sa.Column("days", sa.JSON(), nullable=False),
        sa.Column("samples", _TEXT, nullable=False),
        sa.Column("excluded", _TEXT, nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("laid_out_at", sa.DateTime()),
        sa.Column("folder", _TEXT),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name="fk_releases_dataset_id"),
        sa.ForeignKeyConstraint(
            ["dataset_id", "number"], ["versions.dataset_id", "versions.number"], name="fk_releases"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_releases"),
        sa.UniqueConstraint(
            "dataset_id", "month", "revision", name="uq_releases_dataset_id_month_revision"
        ),
    )
