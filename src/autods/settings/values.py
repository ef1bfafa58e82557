"""What a variable may say: each function turns its text into a value or tells what is wanted."""

import re
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from autods.settings.databases import is_postgres, parts_of
from autods.settings.secrets import Secret

P = TypeVar("P", str, Path)

# Patterns are text: a start-up compiles none that it does not need.
_BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_HOST = r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]+(?:%\w+)?|/[^?#@]*"
_HALF_A_URL = r"(?i:s3|file|sqlite|postgres(?:ql)?(?:\+\w+)?):(?!//)"
_CRON = r"@[a-z]+|[\w*/,#?-]+(?: +[\w*/,#?-]+){4}"


def filled(text: str) -> str:
    """Take text without the blanks around it, of which something is left."""
    if not text.strip():
        raise ValueError("it is blank")
    return text.strip()


def word(text: str) -> str:
    """Take any text."""
    return text


def secret(text: str) -> Secret:
    """Take any text and never show it."""
    return Secret(text)


def path(text: str) -> Path:
    """Take a path, of a file or a folder that need not be there."""
    return Path(text)


def port(text: str) -> int:
    """Take a TCP port.

    >>> port("5432")
    5432
    """
    return _whole(text, 1, 65_535, "a port is wanted")


def count(text: str) -> int:
    """Take a number of things, 0 or more."""
    return _whole(text, 0, 10**12, "a whole number is wanted")


def switch(text: str) -> bool:
    """Take on or off.

    >>> switch("off"), switch("True")
    (False, True)
    """
    said = {"on": True, "true": True, "yes": True, "1": True}
    said |= {"off": False, "false": False, "no": False, "0": False}
    if text.lower() not in said:
        raise ValueError("on or off is wanted")
    return said[text.lower()]


def seconds(text: str) -> float:
    """Take a time in seconds, 0 or more.

    >>> seconds("2.5")
    2.5
    """
    try:
        time = float(text)
    except ValueError:
        time = -1.0
    if not 0 <= time < 10**9:
        raise ValueError("a time in seconds is wanted, 0 or more")
    return time


def seed(text: str) -> int:
    """Take the seed of a random generator; 32 bits are what every library takes."""
    return _whole(text, 0, 2**32 - 1, "a whole number is wanted")


def percentage(text: str) -> float:
    """Take a share in percent.

    >>> percentage("2.5")
    2.5
    """
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 100:
        raise ValueError("a percentage is wanted, above 0 and up to 100")
    return share


def host(text: str) -> str:
    """Take a host's name or address, or the folder of a socket."""
    if not re.fullmatch(_HOST, text):
        raise ValueError("a host's name or address is wanted, without scheme and port")
    return text


def bucket(text: str) -> str:
    """Take a bucket's name, by the rules of S3."""
    if not re.fullmatch(_BUCKET, text):
        raise ValueError(
            "a bucket's name is wanted: 3 to 63 lower-case letters, digits, '.' and '-'"
        )
    return text


def schedule(text: str) -> str:
    """Take a cron schedule: five fields, or a name such as @weekly."""
    if not re.fullmatch(_CRON, text):
        raise ValueError("five cron fields are wanted ('0 0 * * 1'), or a name such as @weekly")
    return text


def web_url(text: str) -> str:
    """Take a URL of http or https, without its last slash."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        good = False
    if not good or re.search(r"\s", text):
        raise ValueError("a URL is wanted, http://HOST:PORT or https://HOST")
    return text.rstrip("/")


def endpoint(text: str) -> str:
    """Take the endpoint of an S3 server; who enters is said elsewhere."""
    url = web_url(text)
    if "@" in url or "?" in url or "#" in url:
        raise ValueError("an endpoint is wanted, http://HOST:PORT, without user or parameters")
    return url


def minio_endpoint(text: str) -> str:
    """Take an endpoint as MinIO's users write it: without a scheme it is http.

    >>> minio_endpoint("minio:9000"), minio_endpoint("https://s3.example.org/")
    ('http://minio:9000', 'https://s3.example.org')
    """
    return endpoint(text if "://" in text else f"http://{text}")


def catalog(text: str) -> str:
    """Take where a catalog is: a path, `sqlite:///FILE` or `postgresql://`."""
    scheme, separator, rest = text.partition("://")
    if is_postgres(text):
        parts_of(text)
        return text
    if separator:
        good = scheme == "sqlite" and bool(re.fullmatch("/(?!:memory:).+", rest))
    else:
        good = not re.match(_HALF_A_URL, text)
    if not good:
        raise ValueError(
            "a file is wanted, sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        )
    return text


def store(text: str) -> str:
    """Take where bytes lie: a path, `file://PATH`, `s3://BUCKET/PREFIX` or `s3://`."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        good = not re.match(_HALF_A_URL, text)
    elif scheme == "s3":
        good = not rest or bool(re.fullmatch(rf"(?:{_BUCKET})(?:/[^?#]*)?", rest))
    else:
        good = scheme == "file" and bool(rest)
    if not good:
        raise ValueError("a folder is wanted, file://PATH, s3://BUCKET/PREFIX or s3://")
    return text.rstrip("/") if scheme == "s3" and rest else text


def rooted(place: P, base: Path) -> P:
    """Make a relative path absolute; what is no path stays as it is.

    >>> [rooted(place, Path("/data")) for place in ("store", "sqlite:///a.db", "s3://raw")]
    ['/data/store', 'sqlite:////data/a.db', 's3://raw']
    """
    if isinstance(place, Path):
        return (base / place.expanduser()).absolute()
    scheme, separator, rest = place.partition("://")
    if not separator:
        return str(rooted(Path(place), base))
    if scheme == "file":
        return f"file://{rooted(Path(rest), base)}"
    return f"sqlite:///{rooted(Path(rest[1:]), base)}" if scheme == "sqlite" else place


def _whole(text: str, least: int, most: int, wanted: str) -> int:
    if not re.fullmatch("[0-9]{1,15}", text) or not least <= int(text) <= most:
        raise ValueError(f"{wanted}, {least} to {most}")
    return int(text)
