"""What the tables are made of: the metadata they share, and the columns many of them have."""

import datetime as dt

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, MetaData, Text

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

# Bytes decide the order of text, on every database alike: digests and splits depend on it.
TEXT = Text().with_variant(Text(collation="C"), "postgresql")

# SQLite counts rows by itself only in a column of exactly this type.
ID = BigInteger().with_variant(Integer, "sqlite")


def dataset() -> Column[int]:
    """Make the column that says which dataset a row is of."""
    return Column("dataset_id", ID, ForeignKey("datasets.id"), nullable=False)


def asset() -> Column[int]:
    """Make the column that says which bytes a row is about."""
    return Column("asset_id", ID, ForeignKey("blobs.id"), nullable=False)


def now() -> dt.datetime:
    """Give the time as the catalog keeps it: UTC, without a zone."""
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
