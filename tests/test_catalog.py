"""The catalog opens, migrates, holds names, refuses what it does not know; on both databases."""

import multiprocessing
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from autods.catalog import SCHEMA, Catalog, tables
from autods.catalog.schema import NAMESPACE, upgrade
from autods.catalog.tables import datasets, refs
from autods.errors import PlaceError, UnreachableError, UsageError
from services.postgres import Postgres


@pytest.fixture
def catalog(catalog_url: str) -> Iterator[Catalog]:
    with closing(Catalog(catalog_url)) as catalog:
        yield catalog


def differences(catalog: Catalog) -> list[object]:
    """What a migration would still have to change."""

    def ours(name: str | None, kind: str, _: object) -> bool:
        return kind != "schema" or name in {None, NAMESPACE}

    with catalog.read() as db:
        mine = MigrationContext.configure(db, opts={"include_name": ours})
        found = compare_metadata(mine, tables.metadata)
    # pgvector's index has options that SQLAlchemy's tables cannot say.
    return [d for d in found if "ix_embeddings_vector" not in str(d)]


def emptied(url: str) -> sa.Engine:
    """A database without our tables, connected to as the catalog does."""
    catalog = Catalog(url)
    engine = catalog._engine
    with engine.begin() as db:
        if catalog.is_local:
            (Path(engine.url.database or "")).unlink()
        else:
            db.execute(sa.text(f"DROP SCHEMA {NAMESPACE} CASCADE"))
            db.execute(sa.text(f"CREATE SCHEMA {NAMESPACE}"))
    engine.dispose()
    return engine


def old_catalog(url: str, revision: str) -> sa.Engine:
    """A catalog as an earlier release made it."""
    from alembic import command

    engine = emptied(url)
    config = Config()
    config.set_main_option("script_location", str(Path(tables.__file__).parent / "migrations"))
    with engine.execution_options(write=True).begin() as db:
        config.attributes["connection"] = db
        config.attributes["namespace"] = None if db.dialect.name == "sqlite" else NAMESPACE
        command.upgrade(config, revision)
    return engine


def test_the_migrations_lead_to_the_tables_of_the_code(catalog_url: str) -> None:
    engine = emptied(catalog_url)
    with engine.execution_options(write=True).begin() as db:
        upgrade(db)
    engine.dispose()
    with closing(Catalog(catalog_url)) as catalog:
        assert differences(catalog) == []
        assert catalog.dataset_id("cats") == 1


def test_a_new_catalog_has_the_same_tables(catalog: Catalog) -> None:
    assert differences(catalog) == []


def test_the_first_release_is_brought_forward_with_all_that_it_holds(catalog_url: str) -> None:
    engine = old_catalog(catalog_url, "0001")
    at = "'2026-01-01 00:00:00'"
    statements = f"""
        INSERT INTO datasets (name, created_at) VALUES ('cats', {at});
        INSERT INTO assets (sha256, modality, size, created_at)
        VALUES ('{"ab" * 32}', 'image', 7, {at});
        INSERT INTO refs (dataset_id, source, uri, stamp, location, meta, first_seen, tries,
                          asset_id)
        VALUES (1, 's', 'a.jpg', '', 'file:///a.jpg', '{{}}', {at}, 1, 1);
        INSERT INTO labels (dataset_id, asset_id, kind, said_by, label, said_at)
        VALUES (1, 1, 'human', 'me', 'cat', {at})
    """
    with engine.execution_options(write=True).begin() as db:
        for statement in statements.split(";"):
            db.execute(sa.text(statement.replace(":", r"\:")))
    engine.dispose()
    with closing(Catalog(catalog_url)) as catalog, catalog.read() as db:
        assert differences(catalog) == []
        row = db.execute(sa.text("SELECT source_url, s3_key, checksum, status FROM assets")).one()
        assert row == ("a.jpg", f"raw/ab/{'ab' * 32}", "ab" * 32, "labeled")
        assert db.scalar(sa.text("SELECT label FROM labels")) == "cat"
        assert db.scalar(sa.select(tables.blobs.c.tier)) == "hot"


def test_the_code_knows_the_newest_migration() -> None:
    config = Config()
    folder = Path(tables.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))
    assert ScriptDirectory.from_config(config).get_current_head() == SCHEMA


def test_a_newer_schema_is_refused_with_one_sentence(catalog_url: str) -> None:
    with closing(Catalog(catalog_url)) as catalog, catalog.begin() as db:
        db.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(PlaceError, match="schema 9999, this autods knows"):
        Catalog(catalog_url)


def test_a_file_that_is_no_database_is_refused_with_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    path.write_bytes(b"this is not a database, however long one looks at it" * 100)
    with pytest.raises(PlaceError, match="cannot be read"):
        Catalog(str(path))


@pytest.mark.parametrize("url", ["://", "mysql://u:hush@host/db", "postgresql://host:port/db"])
def test_a_url_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(UsageError, match="postgresql://") as caught:
        Catalog(url)
    assert "hush" not in str(caught.value)


def test_tables_of_others_in_the_same_database_are_none_of_ours(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        for name in ("runs", "datasets", "labels", "alembic_version", "autods_listed"):
            connection.execute(f"CREATE TABLE {name} (theirs int)".encode())
    with closing(Catalog(postgres_url)) as catalog, catalog.read() as db:
        assert catalog.dataset_id("cats") == 1
        assert db.execute(sa.text("SELECT * FROM public.datasets")).all() == []


@pytest.mark.parametrize("table", ["assets", "features", "labels"])
def test_the_tables_of_seed_4_are_there(catalog: Catalog, table: str) -> None:
    wanted = {
        "assets": "id source_url s3_key checksum license source status created_at updated_at",
        "features": "asset_id phash clip_embedding file_size dimensions extracted_at",
        "labels": "asset_id label probability labeled_at label_function",
    }
    with catalog.read() as db:
        columns = set(db.execute(sa.text(f"SELECT * FROM {table}")).keys())
    assert set(wanted[table].split()) <= columns


def test_a_wrong_password_is_no_reason_to_wait_and_is_not_told(postgres_url: str) -> None:
    wrong = sa.make_url(postgres_url).set(password="hush hush")
    with pytest.raises(PlaceError, match="password authentication failed") as caught:
        Catalog(wrong.render_as_string(hide_password=False))
    assert not isinstance(caught.value, UnreachableError)
    assert "hush" not in str(caught.value)


def test_a_server_that_is_not_there_may_come_back() -> None:
    with pytest.raises(UnreachableError, match="does not answer"):
        Catalog("postgresql://someone:hush@127.0.0.1:1/nothing")


def test_a_connection_that_is_cut_is_replaced(postgres: Postgres, postgres_url: str) -> None:
    with closing(Catalog(postgres_url)) as catalog:
        postgres.terminate_connections(postgres_url.rsplit("/", 1)[1])
        assert catalog.dataset_id("cats") == 1


def test_a_connection_that_is_cut_in_a_transaction_is_told_as_such(
    postgres: Postgres, postgres_url: str
) -> None:
    row = {"name": "cats", "created_at": tables.now()}

    def cut(catalog: Catalog) -> None:
        with catalog.begin() as db:
            catalog.insert_new(db, datasets, [row])
            postgres.terminate_connections(postgres_url.rsplit("/", 1)[1])
            catalog.load(db, datasets, [row])

    with closing(Catalog(postgres_url)) as catalog:
        with pytest.raises(UnreachableError, match="does not answer"):
            cut(catalog)
        assert catalog.dataset_id("dogs") > 0
        with catalog.read() as db:
            assert list(db.scalars(sa.select(datasets.c.name))) == ["dogs"]


def test_many_may_make_one_catalog_at_once(catalog_url: str) -> None:
    failed: list[BaseException] = []

    def opened() -> None:
        try:
            with closing(Catalog(catalog_url)) as catalog:
                catalog.dataset_id("cats")
        except BaseException as error:  # noqa: BLE001 - told in the main thread
            failed.append(error)

    threads = [threading.Thread(target=opened) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_a_transaction_is_kept_whole_or_not_at_all(catalog: Catalog) -> None:
    row = {"name": "cats", "created_at": tables.now()}

    def half_way() -> None:
        with catalog.begin() as db:
            catalog.insert_new(db, datasets, [row])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_way()
    with catalog.read() as db:
        assert db.scalar(sa.select(sa.func.count()).select_from(datasets)) == 0


def test_what_is_there_already_is_left_alone(catalog: Catalog) -> None:
    first = catalog.dataset_id("cats")
    assert catalog.dataset_id("cats") == first
    assert catalog.find_dataset("cats") == first


def test_an_unknown_dataset_is_refused_with_the_known_names(catalog: Catalog) -> None:
    catalog.dataset_id("cats")
    with pytest.raises(UsageError, match=r"no dataset 'dogs' .* \(there: cats\)"):
        catalog.find_dataset("dogs")


AWKWARD = ["plain", "tab\tand\nline", 'quote " and \\N and \\.', "snow ☃ and 😀", ""]


def test_what_is_loaded_in_bulk_is_what_is_read_as_columns(catalog: Catalog) -> None:
    dataset_id = catalog.dataset_id("cats")
    said = {"source": "s", "stamp": "", "location": "x", "first_seen": tables.now(), "tries": 0}
    rows = [
        {"dataset_id": dataset_id, "uri": f"{i}{text}", "label": text, "caption": None, **said}
        | {"meta": {"said": text, "n": [i, None, 1.5]}}
        for i, text in enumerate(AWKWARD)
    ]
    with catalog.begin() as db:
        catalog.load(db, refs, rows)
    query = sa.select(refs.c.id, refs.c.label, refs.c.caption).order_by(refs.c.id)
    schema = pa.schema([("id", pa.int64()), ("label", pa.string()), ("caption", pa.string())])
    assert catalog.arrow(query, schema)["label"].to_pylist() == AWKWARD
    with catalog.read() as db:
        assert list(db.scalars(sa.select(refs.c.meta).order_by(refs.c.id))) == [
            row["meta"] for row in rows
        ]


def test_an_empty_query_is_an_empty_table(catalog: Catalog) -> None:
    schema = pa.schema([("id", pa.int64())])
    assert catalog.arrow(sa.select(refs.c.id), schema).num_rows == 0


def test_text_is_sorted_by_its_bytes(catalog: Catalog) -> None:
    for name in ("b", "B", "é", "a", "Z", "_"):
        catalog.dataset_id(name)
    with catalog.read() as db:
        found = list(db.scalars(sa.select(datasets.c.name).order_by(datasets.c.name)))
    assert found == sorted(found, key=str.encode)


def test_one_holder_at_a_time(catalog: Catalog) -> None:
    with catalog.lock("cats"):
        assert catalog.is_held("cats")
        with pytest.raises(PlaceError, match="wait"), catalog.lock("cats"):
            pass
    assert not catalog.is_held("cats")
    with catalog.lock("cats"):
        pass


def test_who_waits_gets_the_name_in_the_end(catalog: Catalog) -> None:
    waited, order = threading.Event(), list[str]()

    def second() -> None:
        with catalog.lock("cats", waiting=waited.set):
            order.append("second")

    thread = threading.Thread(target=second)
    with catalog.lock("cats"):
        thread.start()
        assert waited.wait(30)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def _hold(url: str, held: "multiprocessing.synchronize.Event") -> None:
    with Catalog(url).lock("cats"):
        held.set()
        threading.Event().wait()


@pytest.mark.slow
def test_a_lock_goes_with_its_process(catalog: Catalog, catalog_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    holder = context.Process(target=_hold, args=(catalog_url, held))
    holder.start()
    assert held.wait(60)
    assert catalog.is_held("cats")
    holder.kill()
    holder.join()
    with catalog.lock("cats", waiting=lambda: None):
        pass


def test_who_has_lost_a_lock_writes_nothing_more(postgres: Postgres, postgres_url: str) -> None:
    database = postgres_url.rsplit("/", 1)[1]

    def write(catalog: Catalog) -> None:
        with catalog.lock("cats"):
            catalog.dataset_id("before")
            postgres.terminate_connections(database)
            catalog.dataset_id("after")

    def write_twice(catalog: Catalog) -> None:
        with catalog.lock("cats"):
            postgres.terminate_connections(database)
            with suppress(UnreachableError):
                catalog.dataset_id("after")
            catalog.dataset_id("after")

    with closing(Catalog(postgres_url)) as catalog:
        with pytest.raises(UnreachableError):
            write(catalog)
        with pytest.raises(UnreachableError, match="went with its connection"):
            write_twice(catalog)
        with catalog.read() as db:
            assert list(db.scalars(sa.select(datasets.c.name))) == ["before"]
        with catalog.lock("cats"):  # Taken again, it is as good as new.
            assert catalog.dataset_id("after") > 0


def test_a_lock_outlives_a_server_s_impatience(postgres: Postgres, postgres_url: str) -> None:
    database = postgres_url.rsplit("/", 1)[1]
    postgres.execute(f"ALTER DATABASE {database} SET idle_session_timeout = '200ms'")
    with closing(Catalog(postgres_url)) as catalog, catalog.lock("cats"):
        time.sleep(0.6)
        assert catalog.is_held("cats")
        catalog.dataset_id("cats")


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_hold_all_text_is_refused(
    postgres: Postgres, postgres_url: str, encoding: str
) -> None:
    name = f"t_{encoding.lower()}"
    locale = "TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
    postgres.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' {locale}")
    try:
        with pytest.raises(PlaceError, match=f"keeps text as {encoding}"):
            Catalog(postgres.url(name))
    finally:
        postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_server_s_taste_of_encodings_is_no_matter(postgres: Postgres, postgres_url: str) -> None:
    database = postgres_url.rsplit("/", 1)[1]
    postgres.execute(f"ALTER DATABASE {database} SET client_encoding = 'LATIN1'")
    with closing(Catalog(postgres_url)) as catalog, catalog.begin() as db:
        catalog.load(db, datasets, [{"name": "猫", "created_at": tables.now()}])
        assert list(db.scalars(sa.select(datasets.c.name))) == ["猫"]


def test_a_password_in_the_query_of_a_url_is_not_shown(postgres_url: str) -> None:
    url = sa.make_url(postgres_url)
    hidden = url._replace(password=None).update_query_dict({"password": str(url.password)})
    with closing(Catalog(hidden.render_as_string(hide_password=False))) as catalog:
        assert str(url.password) not in catalog.url
        assert "***" in catalog.url


def test_a_bulk_load_leaves_no_transaction_open(postgres_url: str) -> None:
    """A slow source lists for hours: the server must not wait for it with its cleaning."""
    from psycopg.pq import TransactionStatus

    with closing(Catalog(postgres_url)) as catalog, catalog.session() as db:
        for name in ("cats", "dogs"):
            catalog.load(db, datasets, [{"name": name, "created_at": tables.now()}])
            db.commit()
            connection = db.connection.driver_connection
            assert connection is not None
            assert connection.info.transaction_status == TransactionStatus.IDLE
