"""Our own names for tables (seed 4's are views), tiers, claims, text in the order of bytes."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Bring the schema forward."""
    for old, new in (("assets", "blobs"), ("features", "measures"), ("labels", "ledger")):
        op.rename_table(old, new)
    for column in ("pixel_checksum", "phash"):
        op.drop_index(f"ix_features_{column}", "measures")
        op.create_index(f"ix_measures_{column}", "measures", [column])
    said = ["dataset_id", "asset_id", "kind"]
    op.drop_index("ix_labels_dataset_id_asset_id_kind", "ledger")
    op.create_index("ix_ledger_dataset_id_asset_id_kind", "ledger", said)
    op.create_index("ix_ledger_asset_id", "ledger", ["asset_id"])
    op.add_column("blobs", sa.Column("tier", sa.Text(), server_default="hot", nullable=False))
    op.add_column("blobs", sa.Column("leaving", sa.Text()))
    op.create_index("ix_blobs_created_at", "blobs", ["created_at"])
    op.create_table(
        "claims",
        sa.Column("id", _ID, nullable=False),
        sa.Column("dataset_id", _ID, nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("claimant", sa.Text(), nullable=False),
        sa.Column("first_ref", sa.BigInteger(), nullable=False),
        sa.Column("last_ref", sa.BigInteger(), nullable=False),
        sa.Column("remote", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name="fk_claims_dataset_id"),
        sa.PrimaryKeyConstraint("id", name="pk_claims"),
    )
    op.create_index("ix_claims_dataset_id_last_ref", "claims", ["dataset_id", "last_ref"])
    op.create_table(
        "marks",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_marks"),
    )
    if op.get_bind().dialect.name == "postgresql":
        _order_text_by_bytes()


def _order_text_by_bytes() -> None:
    db = op.get_bind()
    columns = sa.text(
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = current_schema() AND data_type = 'text'"
    )
    for table, column in db.execute(columns).all():
        op.execute(f'ALTER TABLE "{table}" ALTER COLUMN "{column}" TYPE text COLLATE "C"')
