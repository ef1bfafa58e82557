"""Completing a PostgreSQL URL: the URL chooses the server, the variables fill in what it lacks."""

import re
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, quote, unquote

from autods.errors import UsageError
from autods.settings.secrets import Secret, shown_url

_SCHEME = r"(?i:postgres(?:ql)?)(?:\+(?P<driver>\w+))?://"
_TAIL = (
    r"(?P<host>\[[^\]@/?#]*\]|[^:@/?#\[\]]*)(?::(?P<port>[0-9]{0,5}))?"
    r"(?:/(?P<database>[^@/?#]*))?(?:\?(?P<query>(?:[\w.-]+=.*)?))?"
)
# A URL that is well formed is read as such; else somebody wrote a password as it is.
_FORMS = tuple(
    rf"(?s:(?:(?P<user>{user}*?)(?::(?P<password>{password}*))?@)?{_TAIL})"
    for user, password in (("[^:@/?#]", "[^@/?#]"), ("[^:]", "."))
)


@dataclass(frozen=True)
class Login:
    """Where a PostgreSQL server is and who enters it; what is None the URL has to say.

    `variable` is for the error: the one that would have named the database.
    """

    host: str
    port: int
    user: str | None
    password: Secret | None
    database: str | None
    variable: str


@dataclass(frozen=True, repr=False)
class Parts:
    """A PostgreSQL URL taken apart and decoded; "" where it says nothing."""

    user: str
    password: str
    host: str
    port: str
    database: str
    query: str

    def says(self, name: str) -> bool:
        """Tell whether a part is there, as itself or as libpq's parameter of that name."""
        wanted = "dbname" if name == "database" else name
        return bool(getattr(self, name)) or any(key == wanted for key, _ in parse_qsl(self.query))


def is_postgres(url: str) -> bool:
    """Tell whether a URL means PostgreSQL, by whatever driver.

    >>> is_postgres("postgres://host"), is_postgres("sqlite:///a.db")
    (True, False)
    """
    return re.match(_SCHEME, url) is not None


def parts_of(url: str) -> Parts:
    """Take a PostgreSQL URL apart; raises ValueError that says what is wanted."""
    scheme = re.match(_SCHEME, url)
    if scheme and (scheme["driver"] or "psycopg").lower() != "psycopg":
        raise ValueError("its driver is psycopg: postgresql:// or postgresql+psycopg:// is wanted")
    rest = url[scheme.end() :] if scheme else url
    found = next((hit for form in _FORMS if (hit := re.fullmatch(form, rest))), None)
    port = found["port"] or "" if found else ""
    if not scheme or not found or (port and not 0 < int(port) < 65_536):
        raise ValueError("postgresql://USER:PASSWORD@HOST:PORT/DATABASE is wanted")
    said = {name: unquote(found[name] or "") for name in ("user", "password", "host", "database")}
    said["host"] = said["host"].strip("[]")
    return Parts(**said, port=port, query=found["query"] or "")


def completed(url: str, login: Login) -> str:
    """Give a PostgreSQL URL with every part, those it lacks from `login`.

    User, password and database are percent-encoded, parameters stay as they are. What neither
    says is left to libpq (`~/.pgpass`), but for the database: raises UsageError without one.

    >>> login = Login("db", 5432, "ann", Secret("a@b"), "cats", "POSTGRES_DB")
    >>> completed("postgresql://?sslmode=require", login)
    'postgresql+psycopg://ann:a%40b@db:5432/cats?sslmode=require'
    """
    parts = parts_of(url)
    if not parts.says("database") and not login.database:
        raise UsageError(
            f"{shown_url(url)} names no database: add /DATABASE, or set {login.variable}"
        )
    user = "" if parts.says("user") else login.user or ""
    password = "" if parts.says("password") or not login.password else _plain(login.password)
    database = "" if parts.says("database") else login.database or ""
    host, port, query = _address(parts, login)
    return _assembled(
        Parts(
            parts.user or user,
            parts.password or password,
            host,
            port,
            parts.database or database,
            query,
        )
    )


def without_password(url: str) -> str:
    """Give a URL as it may be noted: a PostgreSQL one loses its password, others stay.

    >>> without_password("postgres://ann:hush@host/cats?password=hush&sslmode=require")
    'postgresql+psycopg://ann@host/cats?sslmode=require'
    """
    if not is_postgres(url):
        return url
    parts = parts_of(url)
    told = [part for part in parts.query.split("&") if "password" not in part.partition("=")[0]]
    return _assembled(replace(parts, password="", query="&".join(told)))


def _assembled(parts: Parts) -> str:
    return (
        "postgresql+psycopg://"
        + _userinfo(parts.user, parts.password)
        + (f"[{parts.host}]" if ":" in parts.host else parts.host)
        + (f":{parts.port}" if parts.port else "")
        + f"/{quote(parts.database, safe='')}"
        + (f"?{parts.query}" if parts.query else "")
    )


def _plain(password: Secret) -> str:
    return password.get_secret_value()


def _userinfo(user: str, password: str) -> str:
    shown = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    return f"{shown}@" if shown else ""


def _address(parts: Parts, login: Login) -> tuple[str, str, str]:
    """Give host, port and parameters; a socket's folder has its place among the parameters."""
    if parts.says("host") and not parts.host:
        return "", parts.port, parts.query
    host, port, query = parts.host or login.host, parts.port, parts.query
    if not parts.says("port"):
        port = str(login.port)
    if host.startswith("/"):
        query, host = "&".join(filter(None, (query, f"host={quote(host, safe='')}"))), ""
    return host, port, query
