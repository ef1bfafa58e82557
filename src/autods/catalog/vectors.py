"""Embeddings as the database keeps them: pgvector on PostgreSQL, plain bytes on SQLite."""

from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.types import LargeBinary, TypeDecorator, UserDefinedType

from autods.errors import UsageError


class _PgVector(UserDefinedType[Any]):
    """The column type of the extension `vector`; values travel as its text, `[1,2,3]`."""

    cache_ok = True

    def __init__(self, dimensions: int = 0) -> None:
        self.dimensions = dimensions

    def get_col_spec(self, **_: Any) -> str:
        return f"VECTOR({self.dimensions})"


ischema_names.setdefault("vector", _PgVector)  # So that SQLAlchemy knows it when it sees one.


class Vector(TypeDecorator[Any]):
    """A float32 array of so many `dimensions`, given and taken as numpy arrays."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.dimensions = dimensions

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        """Choose pgvector where there is PostgreSQL."""
        kind = _PgVector(self.dimensions) if dialect.name == "postgresql" else LargeBinary()
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        """Write an array; raises UsageError for another shape, or what has no direction."""
        array = checked(value, self.dimensions)
        if dialect.name != "postgresql":
            return array.tobytes()
        return "[" + ",".join(map(str, array.tolist())) + "]"

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:  # noqa: ARG002
        """Read an array back."""
        if value is None or isinstance(value, bytes):
            return None if value is None else np.frombuffer(value, np.float32)
        return np.fromstring(value[1:-1], np.float32, sep=",")


def checked(value: Any, dimensions: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Give a vector as float32; raises UsageError for another shape, or what has no direction.

    >>> checked([3, 4], 2)
    array([3., 4.], dtype=float32)
    """
    array = np.ascontiguousarray(value, np.float32)
    if array.shape != (dimensions,):
        raise UsageError(f"an embedding has {dimensions} numbers, this one {array.shape}")
    if not np.isfinite(array).all() or not array.any():
        raise UsageError("an embedding must be finite, and not zero: it has no direction")
    return array
