"""A session on somebody's PostgreSQL that cannot write, and gives up before it is in the way."""

import logging
from typing import Any

import sqlalchemy as sa

from autods.errors import PlaceError
from autods.sources.predictions.answers import Asked


def open_engine(url: str, asked: Asked) -> sa.Engine:
    """Connect in ten seconds or not at all, read-only; a connection that died is replaced."""
    try:
        engine = sa.create_engine(
            url,
            pool_size=1,
            pool_pre_ping=True,
            use_native_hstore=False,
            hide_parameters=True,
            connect_args={
                "connect_timeout": 10,
                "application_name": "autods",
                "client_encoding": "utf8",
                "keepalives_idle": 30,
                "keepalives_interval": 10,
                "keepalives_count": 3,
                "prepare_threshold": None,  # A pooler in between may give us another server.
                "options": _options(sa.make_url(url), asked),
            },
        )
    except ModuleNotFoundError as error:
        needs = "needs psycopg: pip install 'autods[postgres]'"
        raise PlaceError(f"the database {asked.url} {needs}") from error
    sa.event.listen(engine, "do_connect", _connect)
    sa.event.listen(engine, "begin", _begin(asked))
    logging.getLogger("psycopg").addHandler(logging.NullHandler())
    return engine


def _settings(asked: Asked) -> dict[str, str]:
    return {
        "statement_timeout": str(max(1, round(asked.statement_timeout * 1000))),
        "lock_timeout": "1000",
        "idle_in_transaction_session_timeout": "60000",
    }


def _options(url: sa.URL, asked: Asked) -> str:
    said = url.query.get("options", "")
    ours = _settings(asked) | {"default_transaction_read_only": "on", "timezone": "UTC"}
    given = [said] if isinstance(said, str) else list(said)
    return " ".join([*filter(None, given), *(f"-c {name}={value}" for name, value in ours.items())])


def _connect(dialect: Any, _record: Any, arguments: Any, parameters: dict[str, Any]) -> Any:
    """Connect as a session that cannot write, through a pooler that takes no options as well.

    There the settings of each transaction do the same (`_begin`); a session's would stay behind
    in a connection that others use after us.
    """
    try:
        connection = dialect.connect(*arguments, **parameters)
    except dialect.dbapi.OperationalError as error:
        if "startup parameter" not in str(error):
            raise
        plain = {name: value for name, value in parameters.items() if name != "options"}
        connection = dialect.connect(*arguments, **plain)
    connection.read_only = True
    return connection


def _begin(asked: Asked) -> Any:
    """Make the settings those of each transaction, whatever its session says."""
    settings = "; ".join(f"SET LOCAL {name} = {value}" for name, value in _settings(asked).items())

    def begin(db: sa.Connection) -> None:
        db.exec_driver_sql(f"SET TRANSACTION READ ONLY; {settings}")

    return begin
