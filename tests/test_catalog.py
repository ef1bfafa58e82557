"""The catalog opens, migrates, and refuses what it does not know."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from autods.catalog import SCHEMA, Catalog, tables, upgrade
from autods.errors import PlaceError, UsageError


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(str(tmp_path / "catalog.db"))


def test_the_migrations_lead_to_the_tables_of_the_code(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/migrated.db")
    upgrade(engine)
    with engine.connect() as db:
        assert compare_metadata(MigrationContext.configure(db), tables.metadata) == []
    assert Catalog(str(tmp_path / "migrated.db")).dataset_id("cats") == 1


def test_a_new_catalog_has_the_same_tables(catalog: Catalog) -> None:
    with catalog.read() as db:
        assert compare_metadata(MigrationContext.configure(db), tables.metadata) == []


def test_the_code_knows_the_newest_migration() -> None:
    config = Config()
    folder = Path(tables.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))
    assert ScriptDirectory.from_config(config).get_current_head() == SCHEMA


def test_a_newer_schema_is_refused_with_one_sentence(catalog: Catalog) -> None:
    with catalog.begin() as db:
        db.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(PlaceError, match="schema 9999, this autods knows"):
        Catalog(catalog.url)


def test_a_file_that_is_no_database_is_refused_with_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    path.write_bytes(b"this is not a database, however long one looks at it" * 100)
    with pytest.raises(PlaceError, match="cannot be read"):
        Catalog(str(path))


def test_a_url_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="not a database URL"):
        Catalog("://")


def test_a_transaction_is_kept_whole_or_not_at_all(catalog: Catalog) -> None:
    row = {"name": "cats", "created_at": tables.now()}

    def half_way() -> None:
        with catalog.begin() as db:
            catalog.insert_new(db, tables.datasets, [row])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_way()
    with catalog.read() as db:
        assert db.scalar(sa.select(sa.func.count()).select_from(tables.datasets)) == 0


def test_what_is_there_already_is_left_alone(catalog: Catalog) -> None:
    first = catalog.dataset_id("cats")
    assert catalog.dataset_id("cats") == first
    assert catalog.find_dataset("cats") == first


def test_an_unknown_dataset_is_refused_with_the_known_names(catalog: Catalog) -> None:
    catalog.dataset_id("cats")
    with pytest.raises(UsageError, match=r"no dataset 'dogs' .* \(there: cats\)"):
        catalog.find_dataset("dogs")


def test_one_holder_at_a_time(catalog: Catalog) -> None:
    with catalog.lock("cats"), pytest.raises(PlaceError, match="wait"), catalog.lock("cats"):
        pass
    with catalog.lock("cats"):
        pass
