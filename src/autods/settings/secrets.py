"""Holding and showing what is secret without showing it."""

import re

_SECRET = re.compile("token|sig|secret|pass|pwd|key|credential|auth", re.IGNORECASE)
_SERVERS = "postgres(?:ql)?|mysql|mariadb|mssql|oracle|mongodb|rediss?|amqps?"
_DATABASE = rf"(?is:((?:{_SERVERS})(?:\+\w+)?://)(.*))"


class Secret:
    """A word that no log, error or `repr` shows; `get_secret_value()` gives it.

    It is asked as pydantic's SecretStr is, without the tenth of a second that pydantic takes.

    >>> str(Secret("hush")), repr(Secret("hush")), Secret("hush").get_secret_value()
    ('***', "Secret('***')", 'hush')
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def get_secret_value(self) -> str:
        """Give the word itself, to hand to a server and to nobody else."""
        return self._value

    def __str__(self) -> str:
        return "***"

    def __repr__(self) -> str:
        return "Secret('***')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


def shown_url(url: str) -> str:
    """Give a URL as it may be kept and shown: without passwords and what signs a request.

    The masked form is also what names the input, so that a list signed anew fetches nothing anew.

    >>> shown_url("https://u:p@host/a.jpg?w=5&X-Amz-Signature=abc")
    'https://***@host/a.jpg?w=5&X-Amz-Signature=***'

    A database keeps its user, and a password that nobody encoded is hidden whole.

    >>> shown_url("postgresql+psycopg://user:se/c?r@t@host/db?sslmode=require")
    'postgresql+psycopg://user:***@host/db?sslmode=require'
    """
    database = re.fullmatch(_DATABASE, url)
    url = database[1] + _shown_login(database[2]) if database else _without_login(url)
    head, mark, query = url.partition("?")
    return head + mark + "&".join(map(_masked, query.split("&")))


def _shown_login(rest: str) -> str:
    """Hide all that may be a password: it ends at the last @, should it hold some itself."""
    login, at, place = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    if colon:
        return f"{user}:***@{place}"
    # USER:PASSWORD whose @HOST was forgotten looks like a host and what is no port.
    return login + at + re.sub(r"^([^:/?#\[]*):(?!\d{1,5}(?:[,/?]|$)).*", r"\1:***", place)


def _without_login(url: str) -> str:
    head, mark, query = url.partition("?")
    scheme, separator, rest = head.partition("://")
    host, slash, path = rest.partition("/")
    if "@" not in host:
        return url
    return f"{scheme}{separator}***@{host.rpartition('@')[2]}{slash}{path}{mark}{query}"


def _masked(parameter: str) -> str:
    name, equals, _ = parameter.partition("=")
    return f"{name}=***" if equals and _SECRET.search(name) else parameter
