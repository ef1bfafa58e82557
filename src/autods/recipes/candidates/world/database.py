"""The made-up world as somebody's database: seed 1's table, and its rows as of a moment."""

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from autods.recipes.candidates.world.shapes import Life
from autods.settings.databases import is_postgres

_POSTGRES = """
CREATE TABLE user_styles (
    id UUID PRIMARY KEY,
    user_id UUID NOT NULL,
    photo_url VARCHAR(128),
    photo_urls JSONB,
    style_id VARCHAR(64) NOT NULL,
    initial_prediction VARCHAR(64),
    confidence FLOAT8,
    is_verified BOOLEAN DEFAULT FALSE,
    verified_by INT,
    verified_at TIMESTAMP,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
)
"""
_SQLITE = """
CREATE TABLE user_styles (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    photo_url TEXT,
    photo_urls TEXT,
    style_id TEXT,
    initial_prediction TEXT,
    confidence REAL,
    is_verified INTEGER DEFAULT 0,
    verified_by INTEGER,
    verified_at TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
)
"""
_INDEX = "CREATE INDEX user_styles_updated ON user_styles (updated_at, id)"

_COLUMNS = (
    "id", "user_id", "photo_url", "photo_urls", "style_id", "initial_prediction", "confidence",
    "is_verified", "verified_by", "verified_at", "created_at", "updated_at",
)  # fmt: skip
_FIXED = frozenset(_COLUMNS[:4]) | {"initial_prediction", "confidence", "created_at"}


def create_table(url: str, *, zoned: bool = False) -> None:
    """Create `user_styles` with seed 1's types and its index; on SQLite times are text.

    `zoned` makes PostgreSQL's times `timestamptz`. The URL may be a SQLite file's path as well.
    """
    sql = _POSTGRES if is_postgres(url) else _SQLITE
    if zoned:
        sql = sql.replace("TIMESTAMP", "TIMESTAMPTZ")
    with _connected(url) as db:
        db.execute(sa.text(sql))
        db.execute(sa.text(_INDEX))


def write_rows(url: str, lives: Sequence[Life], since: dt.datetime, moment: dt.datetime) -> None:
    """Bring the table from what it was at one moment to what it is at a later one."""
    rows: list[dict[str, Any]] = []
    gone: list[dict[str, str]] = []
    spell = _plain if is_postgres(url) else _text
    for life in lives:
        if not life.changed_between(since, moment):
            continue
        row = _values(life, moment)
        if row is not None:
            rows.append(spell(life, row))
        elif life.gone is not None and life.visible < since:
            gone.append({"id": life.id})
    with _connected(url) as db:
        if gone:
            db.execute(sa.text(f"DELETE FROM user_styles WHERE id = {_cast(url, 'id')}"), gone)  # noqa: S608
        if rows:
            db.execute(sa.text(_upsert(url)), rows)


def _values(life: Life, moment: dt.datetime) -> dict[str, Any] | None:
    row = life.row_at(moment)
    if row is None:
        return None
    values = (
        life.id, life.user_id, life.photo_url, life.photo_urls, row.style, life.initial,
        life.confidence, row.is_verified, row.verified_by, row.verified_at, life.created,
        row.updated,
    )  # fmt: skip
    return dict(zip(_COLUMNS, values, strict=True))


def _plain(_: Life, row: dict[str, Any]) -> dict[str, Any]:
    """PostgreSQL's `style_id` may not be NULL: what has no class has a blank one."""
    return row | {"style_id": row["style_id"] or ""}


def _text(life: Life, row: dict[str, Any]) -> dict[str, Any]:
    """Write times as an old application and its successors do: in any of six ways."""
    times = {
        name: spelled(row[name], life.number + place)
        for place, name in enumerate(("created_at", "updated_at", "verified_at"))
        if row[name] is not None
    }
    return row | times


def spelled(moment: dt.datetime, way: int) -> str:
    """Write a moment in UTC as text, in one of six ways.

    >>> moment = dt.datetime(2024, 11, 6, 23, 30)
    >>> [spelled(moment, way) for way in (0, 3, 4)]
    ['2024-11-06 23:30:00', '2024-11-07T01:30:00+02:00', '2024-11-06 18:30:00-05:00']
    """
    zone = {3: 2, 4: -5}.get(way % 6, 0)
    local = moment.replace(tzinfo=dt.UTC).astimezone(dt.timezone(dt.timedelta(hours=zone)))
    bare = local.replace(tzinfo=None)
    match way % 6:
        case 1:
            return bare.isoformat(sep=" ", timespec="microseconds")
        case 2:
            return bare.isoformat() + "Z"
        case 3:
            return local.isoformat()
        case 4:
            return local.isoformat(sep=" ")
        case 5:
            return bare.isoformat()
        case _:
            return bare.isoformat(sep=" ")


def _upsert(url: str) -> str:
    values = ", ".join(_cast(url, name) for name in _COLUMNS)
    moved = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name not in _FIXED)
    names = ", ".join(_COLUMNS)
    return (
        f"INSERT INTO user_styles ({names}) VALUES ({values}) "  # noqa: S608
        f"ON CONFLICT (id) DO UPDATE SET {moved}"
    )


def _cast(url: str, name: str) -> str:
    kinds = {"id": "UUID", "user_id": "UUID", "photo_urls": "JSONB"} if is_postgres(url) else {}
    return f"CAST(:{name} AS {kinds[name]})" if name in kinds else f":{name}"


@contextmanager
def _connected(url: str) -> Iterator[sa.Connection]:
    if is_postgres(url):
        url = re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql+psycopg://", url)
    elif "://" not in url:
        url = f"sqlite:///{url}"
    engine = sa.create_engine(url)
    try:
        with engine.begin() as db:
            if db.dialect.name == "postgresql":
                db.execute(sa.text("SET TIME ZONE 'UTC'"))
            yield db
    finally:
        engine.dispose()
