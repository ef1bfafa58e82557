"""Somebody's production database is read in order, in pages, and nobody there notices."""

# ruff: noqa: DTZ001, DTZ901 - the times of a database have no zone

import datetime as dt
import json
import socket
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from autods.errors import (
    BarredSourceError,
    PlaceError,
    SourceError,
    UnreachableError,
    UsageError,
)
from autods.sources.predictions import COLUMNS, Mark, Prediction, Predictions
from autods.sources.predictions.prediction import photos_of, utc
from services.faults import FaultyProxy
from services.postgres import Postgres

DAY = dt.datetime(2024, 11, 6)
TYPES = {
    "id": "UUID PRIMARY KEY",
    "user_id": "UUID NOT NULL",
    "photo_url": "VARCHAR(128)",
    "photo_urls": "JSONB",
    "style_id": "VARCHAR(64)",
    "initial_prediction": "VARCHAR(64)",
    "confidence": "FLOAT8",
    "is_verified": "BOOLEAN DEFAULT FALSE",
    "verified_by": "INT",
    "verified_at": "TIMESTAMP",
    "created_at": "TIMESTAMP NOT NULL",
    "updated_at": "TIMESTAMP NOT NULL",
}
"""Seed 1's, column by column."""


class Source:
    """A table of predictions that a test fills as it likes, through a connection of its own."""

    def __init__(self, url: str, **types: str) -> None:
        self.url = url
        self.types = TYPES | types
        self.is_postgres = "://" in url
        columns = ", ".join(f"{name} {of}" for name, of in self.types.items() if of)
        self.run(f"CREATE TABLE user_styles ({columns})")

    @contextmanager
    def open(self) -> Iterator[Any]:
        """Connect, and commit on the way out."""
        opened: Any = psycopg.connect(self.url) if self.is_postgres else sqlite3.connect(self.url)
        with closing(opened) as db, db:
            yield db

    def run(self, *statements: str) -> None:
        with self.open() as db:
            for statement in statements:
                db.execute(statement)

    def add(self, **values: Any) -> str:
        """Add one row; what is not said is a plain prediction's."""
        return self.add_all([values])[0]

    def add_all(self, rows: list[dict[str, Any]]) -> list[str]:
        with self.open() as db:
            return [self._insert(db, values) for values in rows]

    def _insert(self, db: Any, values: dict[str, Any]) -> str:
        at = str(DAY)
        row = {"id": str(uuid.uuid4()), "user_id": str(uuid.uuid4()), "photo_url": "a.jpg",
               "style_id": "Soft", "created_at": at, "updated_at": at, **values}  # fmt: skip
        marks = ", ".join("%s" if self.is_postgres else "?" for _ in row)
        db.execute(
            f"INSERT INTO user_styles ({', '.join(row)}) VALUES ({marks})", tuple(row.values())
        )
        return str(row["id"])

    def read(self, **options: Any) -> Predictions:
        return Predictions(self.url, **options)

    def one(self, **values: Any) -> Prediction:
        """Add a row and read it."""
        key = self.add(**values)
        with self.read() as table:
            return table.now([key])[key]


@pytest.fixture(params=["sqlite", "timestamp", "timestamptz"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    """An empty table on each database, with times of either kind."""
    if request.param == "sqlite":
        return Source(str(tmp_path / "app.db"))
    url = request.getfixturevalue("postgres_url")
    of = f"{request.param} NOT NULL"
    return Source(url, created_at=of, updated_at=of, verified_at=request.param)


@pytest.fixture
def postgres_source(postgres_url: str) -> Source:
    return Source(postgres_url)


@pytest.fixture
def sqlite_source(tmp_path: Path) -> Source:
    return Source(str(tmp_path / "app.db"))


def flat(pages: Iterator[list[Prediction]]) -> list[Prediction]:
    return [row for page in pages for row in page]


def seconds(count: float) -> dt.timedelta:
    return dt.timedelta(seconds=count)


def filled(source: Source, count: int, ties: int = 3) -> list[Mark]:
    """Fill a table with rows of which some were updated at the same moment; give their order."""
    times = [DAY + seconds(number // ties) for number in range(count)]
    keys = source.add_all([{"updated_at": str(at)} for at in times])
    return sorted(map(Mark, times, keys))


# Order, pages, windows


@pytest.mark.parametrize("page", [1, 2, 4, 100])
def test_pages_are_in_order_whatever_their_size_ties_included(source: Source, page: int) -> None:
    marks = filled(source, 14)
    with source.read(page=page) as table:
        pages = list(table.changed(DAY))
    assert [row.mark for row in flat(iter(pages))] == marks
    assert {len(each) for each in pages[:-1]} <= {page}
    assert all(pages)


def test_from_a_time_it_is_in_and_the_end_is_out(source: Source) -> None:
    marks = filled(source, 9)
    with source.read(page=2) as table:
        rows = flat(table.changed(DAY + seconds(1), DAY + seconds(2)))
    assert [row.mark for row in rows] == marks[3:6]


def test_from_a_mark_on_its_row_is_out_and_its_ties_are_in(source: Source) -> None:
    marks = filled(source, 9)
    with source.read(page=2) as table:
        for at, mark in enumerate(marks):
            assert [row.mark for row in flat(table.changed(mark))] == marks[at + 1 :]


def test_a_mark_that_is_no_id_of_this_table_stands_for_its_time(postgres_source: Source) -> None:
    marks = filled(postgres_source, 6)
    with postgres_source.read() as table:
        assert [row.mark for row in flat(table.changed(Mark(DAY, "x")))] == marks


def test_a_time_may_have_a_zone(source: Source) -> None:
    marks = filled(source, 6)
    tokyo = dt.timezone(dt.timedelta(hours=9))
    begin, end = ((DAY + seconds(n)).replace(tzinfo=dt.UTC).astimezone(tokyo) for n in (1, 2))
    with source.read() as table:
        assert [row.mark for row in flat(table.changed(begin, end))] == marks[3:]


def test_nothing_new_is_no_page(source: Source) -> None:
    with source.read() as table:
        assert list(table.changed(DAY)) == []


def test_rows_that_come_or_change_while_a_page_is_held_are_not_lost(source: Source) -> None:
    marks = filled(source, 6)
    with source.read(page=2) as table:
        pages = table.changed(DAY - dt.timedelta(days=9))
        seen = [next(pages)] if source.is_postgres else []
        late = source.add(updated_at=str(DAY + dt.timedelta(days=5)))
        seen += pages
    assert {row.mark for row in flat(iter(seen))} == {
        *marks,
        Mark(DAY + dt.timedelta(days=5), late),
    }


def test_now_tells_what_is_so_now_and_leaves_out_what_is_gone(source: Source) -> None:
    kept, gone, other = source.add(), source.add(), source.add()
    with source.read() as table:
        assert table.now([kept, gone]).keys() == {kept, gone}
        source.run(
            f"DELETE FROM user_styles WHERE id = '{gone}'",
            f"UPDATE user_styles SET style_id = 'Fire' WHERE id = '{kept}'",
        )
        found = table.now([kept, gone, kept, "no id", "", "7", "a\0b", str(uuid.uuid4())])
        assert {key: row.style for key, row in found.items()} == {kept: "Fire"}
        assert table.now([]) == {}
    assert other not in found


@pytest.mark.slow
def test_now_asks_for_any_number_of_rows(source: Source) -> None:
    keys = [str(uuid.UUID(int=number)) for number in range(2500)]
    source.run(*(
        "INSERT INTO user_styles (id, user_id, created_at, updated_at)"
        f" VALUES ('{key}', '{key}', '2024-11-06', '2024-11-06')" for key in keys
    ))  # fmt: skip
    with source.read(page=700) as table:
        assert table.now(keys).keys() == set(keys)


# What a row says


def test_a_row_is_read_whole(source: Source) -> None:
    user = str(uuid.uuid4())
    row = source.one(
        user_id=user, photo_urls='["b.jpg", "c.jpg"]', initial_prediction=" Warm ", style_id="Fire",
        confidence=0.75, is_verified=True, verified_by=7, verified_at="2024-11-20 08:00:00",
        created_at="2024-11-06 10:00:00.123456", updated_at="2024-11-20 08:00:01",
    )  # fmt: skip
    assert row == Prediction(
        id=row.id, user_id=user, photos=("b.jpg", "c.jpg"), style="Fire",
        initial_prediction="Warm", confidence=0.75, is_verified=True, verified_by="7",
        verified_at=dt.datetime(2024, 11, 20, 8),
        created_at=dt.datetime(2024, 11, 6, 10, 0, 0, 123456),
        updated_at=dt.datetime(2024, 11, 20, 8, 0, 1),
    )  # fmt: skip


def test_what_a_row_does_not_say_is_none(source: Source) -> None:
    row = source.one(photo_url=None, style_id="  ", is_verified=None, verified_by=None)
    assert (row.photos, row.style, row.initial_prediction) == ((), None, None)
    assert (row.confidence, row.is_verified, row.verified_by, row.verified_at) == (
        None, False, None, None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("urls", "photos"),
    [
        (["1", "2", "3", "4", "5"], ("1", "2", "3", "4", "5")),
        ([None, "1", "", "  ", 7, {"url": "x"}, ["y"], "2"], ("1", "2")),
        ([], ("one",)),
        ([None, " "], ("one",)),
        ({"a": "b"}, ("one",)),
        ("plain", ("one",)),
        (json.dumps(["1"]), ("1",)),
        (None, ("one",)),
    ],
)
def test_photos_are_the_lists_and_else_the_one(
    source: Source, urls: Any, photos: tuple[str, ...]
) -> None:
    assert source.one(photo_urls=json.dumps(urls), photo_url="one").photos == photos
    if urls is None:
        assert source.one(photo_urls=None, photo_url="one").photos == photos


@pytest.mark.parametrize("of", ["TEXT", "JSON", "JSONB"])
def test_a_list_may_be_kept_as_text_or_json(postgres_url: str, of: str) -> None:
    source = Source(postgres_url, photo_urls=of)
    assert source.one(photo_urls='["1", "2"]').photos == ("1", "2")


@pytest.mark.parametrize("text", ["", "[", '["a"', "{a.jpg,b.jpg}", "NaN", "[" * 100_000])
def test_a_malformed_list_falls_back_to_the_one_photo(text: str) -> None:
    assert photos_of(text, " one.jpg\n") == ("one.jpg",)


@given(st.text() | st.binary() | st.none() | st.lists(st.text() | st.none() | st.integers()))
def test_whatever_a_list_is_photos_are_words(urls: Any) -> None:
    assert all(isinstance(url, str) and url.strip() for url in photos_of(urls, None))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_confidence_that_is_no_number_is_none(postgres_source: Source, value: float) -> None:
    assert postgres_source.one(confidence=value).confidence is None


@pytest.mark.parametrize(
    ("of", "key"),
    [
        ("INT PRIMARY KEY", "10"),
        ("BIGINT PRIMARY KEY", "10"),
        ("TEXT PRIMARY KEY", "p/10"),
        ("VARCHAR(40) PRIMARY KEY", "p10"),
        ("CHAR(12) PRIMARY KEY", "p10"),
    ],
)
def test_ids_of_any_type_are_paged_and_found(postgres_url: str, of: str, key: str) -> None:
    source = Source(postgres_url, id=of)
    keys = [key[:-2] + number for number in ("9", "10", "11")]
    for each in keys:
        source.add(id=each)
    with source.read(page=1) as table:
        rows = flat(table.changed(DAY))
        assert {row.id for row in rows} == set(keys)
        assert [row.id for row in flat(table.changed(rows[0].mark))] == [r.id for r in rows[1:]]
        assert table.now([*keys, "x", "99999999999999999999999"]).keys() == set(keys)


def test_integer_ids_are_in_the_order_of_numbers(sqlite_source: Source, tmp_path: Path) -> None:
    source = Source(str(tmp_path / "numbers.db"), id="INTEGER PRIMARY KEY", is_verified="INTEGER")
    for number in (10, 9, 11):
        source.add(id=number, is_verified=1)
    with source.read(page=1) as table:
        rows = flat(table.changed(DAY))
        assert [row.id for row in rows] == ["9", "10", "11"]
        assert [row.id for row in flat(table.changed(rows[0].mark))] == ["10", "11"]
        assert table.now(["9"])["9"].is_verified


# Times


def test_times_with_a_zone_are_converted_to_utc(postgres_url: str) -> None:
    source = Source(
        postgres_url, created_at="TIMESTAMPTZ", updated_at="TIMESTAMPTZ", verified_at="TIMESTAMPTZ"
    )
    at = "2024-11-07 01:30:00+03"
    source.run(f"ALTER DATABASE {postgres_url.rpartition('/')[2]} SET timezone TO 'Asia/Tokyo'")
    row = source.one(created_at=at, updated_at=at, verified_at=at)
    assert {row.created_at, row.updated_at, row.verified_at} == {dt.datetime(2024, 11, 6, 22, 30)}
    with source.read() as table:
        assert flat(table.changed(dt.datetime(2024, 11, 6, 22, 30))) == [row]
        assert flat(table.changed(DAY, dt.datetime(2024, 11, 6, 22, 30))) == []


@pytest.mark.parametrize(
    ("text", "utc_time"),
    [
        ("2024-11-06 10:00:00", (10, 0, 0, 0)),
        ("2024-11-06 10:00:00.5", (10, 0, 0, 500000)),
        ("2024-11-06T10:00:00.123456", (10, 0, 0, 123456)),
        ("2024-11-06T10:00:00Z", (10, 0, 0, 0)),
        ("2024-11-06 10:00:00 UTC", (10, 0, 0, 0)),
        ("2024-11-06 10:00:00+02:00", (8, 0, 0, 0)),
        ("2024-11-06 10:00:00 -0530", (15, 30, 0, 0)),
        ("2024-11-06 10:00:00.25+02", (8, 0, 0, 250000)),
        ("2024-11-07T01:00:00+14:00", (11, 0, 0, 0)),
        ("2024-11-06 10:00", (10, 0, 0, 0)),
        ("2024-11-06", (0, 0, 0, 0)),
    ],
)
def test_sqlites_times_are_text_of_many_forms(text: str, utc_time: tuple[int, ...]) -> None:
    assert utc(text) == DAY + dt.timedelta(
        hours=utc_time[0], minutes=utc_time[1], microseconds=utc_time[3]
    )


def test_sqlites_order_is_that_of_time_and_not_of_its_text(sqlite_source: Source) -> None:
    times, texts = [DAY + dt.timedelta(hours=hour) for hour in range(240)], []
    for hour, at in enumerate(times):
        zone = dt.timezone(dt.timedelta(minutes=[0, 840, -720, 330, -150][hour % 5]))
        shown = at.replace(tzinfo=dt.UTC).astimezone(zone)
        texts.append(str(at) if hour % 5 == 0 else shown.isoformat(sep="T "[hour % 2]))
    keys = sqlite_source.add_all([{"updated_at": text, "created_at": text} for text in texts])
    truth = list(map(Mark, times, keys))
    for page in (7, 1000):
        with sqlite_source.read(page=page) as table:
            assert [row.mark for row in flat(table.changed(DAY))] == truth
            for start in (0, 1, 23, 24, 100, 239):
                window = flat(
                    table.changed(
                        truth[start].updated_at, truth[start].updated_at + seconds(36_000)
                    )
                )
                assert [row.mark for row in window] == truth[start : start + 10]
                assert [r.mark for r in flat(table.changed(truth[start]))] == truth[start + 1 :]


def test_rows_without_a_readable_time_are_left_out_and_counted(sqlite_source: Source) -> None:
    good = sqlite_source.add()
    bad = {
        sqlite_source.add(updated_at="yesterday"): "updated_at: 'yesterday' is no time",
        sqlite_source.add(updated_at=1730880000): "updated_at: 1730880000 is no time",
        sqlite_source.add(updated_at="2024-13-45 10:00:00"): "updated_at: month must be in 1..12",
        sqlite_source.add(created_at=""): "created_at: '' is no time",
    }
    with sqlite_source.read(page=1) as table:
        assert [row.id for row in flat(table.changed(dt.datetime(2024, 1, 1)))] == [good]
        assert table.unreadable == bad
        assert table.now([good, *bad]).keys() == {good}


def test_a_time_beyond_the_calendar_costs_its_row_and_no_other(postgres_source: Source) -> None:
    good = postgres_source.add(verified_at="infinity")
    odd = postgres_source.add(created_at="-infinity")
    postgres_source.add(updated_at="infinity")
    with postgres_source.read() as table:
        assert [row.id for row in flat(table.changed(dt.datetime.min))] == [good]
        assert table.now([good])[good].verified_at is None
        assert set(table.unreadable) == {odd}


def test_text_that_is_no_text_is_made_storable(sqlite_source: Source) -> None:
    key = sqlite_source.add()
    sqlite_source.run("UPDATE user_styles SET photo_url = CAST(x'6361ff2e6a7067' AS TEXT)")
    with sqlite_source.read() as table:
        assert table.now([key])[key].photos == ("ca\\xff.jpg",)


# Somebody's production


def engine_of(table: Predictions) -> sa.Engine:
    engine = table._table._engine
    assert isinstance(engine, sa.Engine)
    return engine


@pytest.mark.parametrize("level", ["READ COMMITTED", "AUTOCOMMIT"])
def test_it_cannot_write(source: Source, level: str) -> None:
    key = source.add()
    with source.read() as table:
        engine = engine_of(table)
        if source.is_postgres:
            engine = engine.execution_options(isolation_level=level)
        with engine.connect() as db, pytest.raises(sa.exc.DBAPIError, match=r"read-?only"):
            db.execute(sa.text("DELETE FROM user_styles"))
        assert key in table.now([key])


def test_it_holds_nothing_while_the_caller_works(postgres_source: Source) -> None:
    filled(postgres_source, 6)
    with postgres_source.read(page=2) as table:
        pages = table.changed(DAY)
        next(pages)
        with postgres_source.open() as db:
            mine = "FROM pg_stat_activity WHERE application_name = 'autods'"
            assert db.execute(f"SELECT state, xact_start {mine}").fetchall() == [("idle", None)]
            held = db.execute(f"SELECT count(*) FROM pg_locks WHERE pid IN (SELECT pid {mine})")
            assert held.fetchone() == (0,)
            db.execute("SET lock_timeout = '100ms'")
            db.execute("ALTER TABLE user_styles ADD COLUMN more INT")
        assert len(flat(pages)) == 4


def test_a_writer_of_the_file_is_not_kept_waiting_between_pages(sqlite_source: Source) -> None:
    filled(sqlite_source, 6)
    with sqlite_source.read(page=2) as table:
        pages = table.changed(DAY)
        next(pages)
        with closing(sqlite3.connect(sqlite_source.url, timeout=0)) as db, db:
            db.execute("UPDATE user_styles SET style_id = 'Fire'")


def test_its_session_is_one_that_nobody_minds(postgres_source: Source) -> None:
    with postgres_source.read(statement_timeout=2.5) as table, engine_of(table).connect() as db:
        shown = {
            name: db.scalar(sa.text(f"SHOW {name}"))
            for name in (
                "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout",
                "default_transaction_read_only", "transaction_read_only", "application_name",
            )
        }  # fmt: skip
    assert list(shown.values()) == ["2500ms", "1s", "1min", "on", "on", "autods"]


@pytest.mark.slow
def test_a_table_that_somebody_has_locked_is_waited_for_a_second(postgres_source: Source) -> None:
    postgres_source.add()
    with postgres_source.open() as db, postgres_source.read() as table:
        db.execute("LOCK TABLE user_styles IN ACCESS EXCLUSIVE MODE")
        begun = time.monotonic()
        with pytest.raises(SourceError, match=r"user_styles in .* is locked by somebody else"):
            flat(table.changed(DAY))
        assert time.monotonic() - begun < 30
        db.rollback()
        assert len(flat(table.changed(DAY))) == 1


def test_a_slow_answer_is_given_up_with_advice(postgres_source: Source) -> None:
    key = postgres_source.add()
    postgres_source.run(
        "CREATE VIEW slow AS SELECT u.* FROM user_styles u CROSS JOIN LATERAL"
        " (SELECT pg_sleep(30), u.id) s"
    )
    with postgres_source.read(table="slow", statement_timeout=0.2) as table:
        for ask in (lambda: flat(table.changed(DAY)), lambda: table.now([key])):
            with pytest.raises(
                SourceError, match=r"0.2 s: it needs an index on \(updated_at, id\)"
            ):
                ask()


@pytest.mark.slow
@pytest.mark.parametrize("of", ["timestamp", "timestamptz"])
def test_an_index_serves_every_page(postgres_url: str, of: str) -> None:
    source = Source(postgres_url, updated_at=of)
    source.run(
        "INSERT INTO user_styles (id, user_id, created_at, updated_at) SELECT gen_random_uuid(),"
        " gen_random_uuid(), now(), '2024-11-06 UTC'::timestamptz AT TIME ZONE 'UTC'"
        " + n / 5 * interval '1 second' FROM generate_series(1, 20000) n",
        "CREATE INDEX looked_up ON user_styles (updated_at, id)",
        "ANALYZE user_styles",
    )
    with source.open() as db:
        before = db.execute("SELECT seq_scan FROM pg_stat_user_tables").fetchone()
    with source.read(page=100) as table:
        rows = flat(table.changed(DAY + seconds(1000), DAY + seconds(1200)))
    assert len(rows) == 1000
    count = "SELECT idx_scan, idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = %s"
    with source.open() as db:
        db.autocommit = True
        for _ in range(100):  # The server counts a session's work once that has ended.
            scans, tuples = db.execute(count, ["looked_up"]).fetchone()
            if scans:
                break
            time.sleep(0.05)
        assert scans == 11
        assert tuples < 2500
        assert db.execute("SELECT seq_scan FROM pg_stat_user_tables").fetchone() == before


def test_a_cut_connection_is_replaced_and_a_lost_server_is_unreachable(
    postgres: Postgres, postgres_source: Source
) -> None:
    marks = filled(postgres_source, 6)
    with FaultyProxy("127.0.0.1", postgres.port) as proxy:
        url = postgres_source.url.replace(f":{postgres.port}/", f":{proxy.port}/")
        with Predictions(url, page=2) as table:
            pages = table.changed(DAY)
            rows = next(pages)
            proxy.cut()
            rows += next(pages)
            proxy.refuse = True
            proxy.cut()
            with pytest.raises(UnreachableError, match="does not answer"):
                next(pages)
            proxy.refuse = False
            rows += flat(table.changed(rows[-1].mark))
    assert [row.mark for row in rows] == marks


def test_a_server_that_is_not_there_is_unreachable(postgres: Postgres, postgres_url: str) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        url = postgres_url.replace(f":{postgres.port}/", f":{port}/")
        with Predictions(url) as table, pytest.raises(UnreachableError) as caught:
            flat(table.changed(DAY))
    assert_hidden(postgres, str(caught.value))


class Pooler:
    """Between us and a server, as PgBouncer is: it takes no `options` in a startup packet."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.refused = 0
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _start(self, work: Any, *arguments: socket.socket) -> threading.Thread:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                self._start(self._serve, self._listener.accept()[0])

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            packet = client.recv(65536)
            while len(packet) == 8:  # It is asked for TLS.
                client.sendall(b"N")
                packet = client.recv(65536)
            if b"\0options\0" in packet:
                self.refused += 1
                said = b"SFATAL\0C08P01\0Munsupported startup parameter: options\0\0"
                client.sendall(b"E" + (len(said) + 4).to_bytes(4, "big") + said)
                return
            with socket.create_connection(("127.0.0.1", self._target)) as server:
                server.sendall(packet)
                back = self._start(self._pass, server, client)
                self._pass(client, server)
                back.join()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while piece := one.recv(65536):
                other.sendall(piece)
            other.shutdown(socket.SHUT_WR)


def test_a_pooler_that_takes_no_options_is_as_good(
    postgres: Postgres, postgres_source: Source
) -> None:
    marks = filled(postgres_source, 4)
    with closing(Pooler(postgres.port)) as pooler:
        url = postgres_source.url.replace(f":{postgres.port}/", f":{pooler.port}/")
        with Predictions(url, statement_timeout=2.5) as table:
            assert [row.mark for row in flat(table.changed(DAY))] == marks
            with engine_of(table).connect() as db:
                assert db.scalar(sa.text("SHOW transaction_read_only")) == "on"
                assert db.scalar(sa.text("SHOW lock_timeout")) == "1s"
                db.rollback()
        assert pooler.refused


# What is not there


def test_a_table_in_another_schema_is_found_by_its_name(postgres_source: Source) -> None:
    key = postgres_source.add()
    postgres_source.run("CREATE SCHEMA app", "ALTER TABLE user_styles SET SCHEMA app")
    with postgres_source.read(table="app.user_styles") as table:
        assert [row.id for row in flat(table.changed(DAY))] == [key]
    with postgres_source.read() as table, pytest.raises(BarredSourceError, match=r"app\.user_sty"):
        flat(table.changed(DAY))


def test_a_missing_table_is_named_with_those_there_are(source: Source) -> None:
    with (
        source.read(table="user_stlyes") as table,
        pytest.raises(
            BarredSourceError, match=r"no table user_stlyes in .*did you mean 'user_styles'"
        ),
    ):
        table.now(["x"])


@pytest.mark.parametrize("name", ['"; DROP TABLE user_styles; --', "a.b", "no.such", "%s"])
def test_a_tables_name_is_never_a_statement(source: Source, name: str) -> None:
    source.add()
    with (
        source.read(table=name) as table,
        pytest.raises(SourceError, match=r"no table|unknown database"),
    ):
        flat(table.changed(DAY))
    with source.read() as table:
        assert len(flat(table.changed(DAY))) == 1


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_missing_columns_are_named_with_those_there_are(
    request: pytest.FixtureRequest, tmp_path: Path, database: str
) -> None:
    place = str(tmp_path / "a.db") if database == "sqlite" else None
    source = Source(place or request.getfixturevalue("postgres_url"), updated_at="", style_id="")
    with source.read() as table, pytest.raises(BarredSourceError) as caught:
        flat(table.changed(DAY))
    there = ", ".join(name for name in COLUMNS if name not in {"updated_at", "style_id"})
    assert f"has no column style_id, updated_at (there: {there})" in str(caught.value)


@pytest.mark.parametrize(("column", "of"), [("updated_at", "BIGINT"), ("id", "JSONB")])
def test_a_column_of_another_type_is_refused(postgres_url: str, column: str, of: str) -> None:
    source = Source(postgres_url, **{column: of})
    with source.read() as table, pytest.raises(BarredSourceError, match=f"its {column} is .*valid"):
        flat(table.changed(DAY))


def test_who_may_not_read_is_told_what_to_grant(
    postgres: Postgres, postgres_source: Source
) -> None:
    postgres_source.add()
    role = f"r_{uuid.uuid4().hex}"
    postgres_source.run(f"CREATE ROLE {role} LOGIN PASSWORD 'p@ss:word'")
    try:
        place = postgres_source.url.rpartition("@")[2]
        with Predictions(f"postgresql://{role}:p@ss:word@{place}") as table:
            with pytest.raises(BarredSourceError, match=r"user_styles .*GRANT SELECT") as caught:
                flat(table.changed(DAY))
            assert "p@ss:word" not in table.url + str(caught.value)
            postgres_source.run(
                "ALTER TABLE user_styles ADD COLUMN email TEXT",
                f"GRANT SELECT ({', '.join(COLUMNS)}) ON user_styles TO {role}",
            )
            assert len(flat(table.changed(DAY))) == 1
    finally:
        postgres_source.run(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_a_wrong_password_or_database_is_final(postgres: Postgres, postgres_url: str) -> None:
    wrong = f"postgresql://autods:not-it@127.0.0.1:{postgres.port}/postgres"
    for url, said in ((wrong, "lets nobody in"), (postgres.url("nowhere"), "is not there")):
        with Predictions(url) as table, pytest.raises(BarredSourceError, match=said) as caught:
            flat(table.changed(DAY))
        assert "not-it" not in str(caught.value)
        assert_hidden(postgres, str(caught.value))


def test_its_password_is_not_shown(postgres: Postgres, postgres_source: Source) -> None:
    with postgres_source.read() as table:
        assert_hidden(postgres, table.url)
        assert_hidden(postgres, repr(vars(table)))
    assert table.url.startswith("postgresql+psycopg://autods@127.0.0.1:")


def assert_hidden(postgres: Postgres, said: str) -> None:
    assert postgres.password not in said
    assert postgres.url().partition("autods:")[2].partition("@")[0] not in said


def test_without_psycopg_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    with pytest.raises(PlaceError, match=r"pip install 'autods\[postgres\]'"):
        Predictions("postgresql://host/app")


@pytest.mark.parametrize("url", ["mysql://u:hush@host/app", "postgresql+asyncpg://u:hush@host/app"])
def test_another_database_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        Predictions(url)
    assert "hush" not in str(caught.value)


def test_a_file_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no database .*app\.db"):
        Predictions(f"sqlite:///{tmp_path}/app.db")
    assert not list(tmp_path.iterdir())
    (tmp_path / "text.db").write_text("no database, whatever its name\n" * 100)
    with Predictions(str(tmp_path / "text.db")) as table, pytest.raises(SourceError, match="not a"):
        table.now(["x"])


def test_a_file_may_be_called_anything_and_be_in_use(tmp_path: Path) -> None:
    source = Source(str(tmp_path / "a b?c=d%20#e.db"))
    source.run("PRAGMA journal_mode=WAL")
    key = source.add()
    with source.open() as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE user_styles SET style_id = 'Fire'")
        with source.read() as table:
            assert table.now([key])[key].style == "Soft"


def test_a_page_of_nothing_is_refused(tmp_path: Path) -> None:
    options: tuple[dict[str, Any], ...] = ({"page": 0}, {"statement_timeout": 0.0})
    for option in options:
        with pytest.raises(UsageError, match="more than 0"):
            Predictions(str(tmp_path / "app.db"), **option)
