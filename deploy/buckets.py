"""Makes the buckets that the settings name, on the S3 server that they name.

Run it as often as you like: a bucket that is there stays as it is. It waits for a server that
is still starting, and ends as autods does: 0 done, 2 wrong settings, 4 the server will not.
It trusts the authorities of SSL_CERT_FILE and SSL_CERT_DIR, as autods does.

    .venv/bin/python deploy/buckets.py [--wait SECONDS]         (.venv is what scripts/setup makes)
"""

import argparse
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import escape

try:
    import certifi
    import click

    from autods.errors import AutodsError, PlaceError, UnreachableError, UsageError
    from autods.settings import S3Access
    from autods.settings.environment import Settings
except ModuleNotFoundError as error:
    sys.stderr.write(
        f"buckets: this Python ({sys.executable}) has no {error.name}: run scripts/setup in the "
        "checkout, then .venv/bin/python deploy/buckets.py\n"
    )
    sys.exit(2)

STORE = ("raw", "processed", "shards")
"""The buckets of a store that is `s3://` alone: the first part of every key."""


def main() -> None:
    """Make every bucket; the first that cannot be made ends it, with one sentence."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--wait", type=float, default=60, metavar="SECONDS")
    patience = parser.parse_args().wait
    try:
        settings = Settings.read(Path.cwd())
        names, access = wanted(settings), settings.s3_access()
        if not names:
            click.echo(_nothing_to_make(settings))
        for name in names:
            click.echo(f"{name}: {make_patiently(name, access, time.monotonic() + patience)}")
    except AutodsError as error:
        click.echo(f"buckets: {error}", err=True)
        sys.exit(error.exit_code)


def wanted(settings: Settings) -> list[str]:
    """Name the buckets in use: the store's, the cold store's and seed 1's, each once."""
    return list(dict.fromkeys(_wanted(settings)))


def _wanted(settings: Settings) -> Iterator[str]:
    for url in (settings.store_url(""), settings.cold_store_url() or ""):
        if url.startswith("s3://"):
            bucket = url.removeprefix("s3://").partition("/")[0]
            yield from (bucket,) if bucket else STORE
    for name in (settings.style_photo_bucket, settings.ml_artifacts_bucket):
        if name:
            yield name


def _nothing_to_make(settings: Settings) -> str:
    """Say so; raises UsageError if nothing says where bytes go."""
    if not settings.store:
        raise UsageError(
            "no bucket is named: set AUTODS_STORE to s3:// (the buckets raw, processed and shards) "
            "or s3://BUCKET/PREFIX; AUTODS_COLD_STORE, STYLE_PHOTO_BUCKET and ML_ARTIFACTS_BUCKET "
            "name others"
        )
    return f"nothing to make: the store {settings.store} is a folder, and no other bucket is named"


def make_patiently(name: str, access: S3Access, until: float) -> str:
    """Make a bucket, again and again while the server does not answer; returns what was done."""
    while True:
        try:
            return make(name, access)
        except UnreachableError:
            if time.monotonic() >= until:
                raise
            time.sleep(1)


def make(name: str, access: S3Access) -> str:
    """Make one bucket; raises PlaceError if it is another's, or the keys are refused."""
    status, code = _ask("PUT", name, access, _where(access))
    made = "made"
    if status == 409:  # It is there; whether we may use it is another question.
        status, code = _ask("HEAD", name, access)
        made = "was there"
        if status == 404:
            raise UnreachableError(f"{_place(access)} is making or removing {name!r} just now")
        if status == 403:
            raise PlaceError(f"the bucket {name!r} belongs to somebody else: take another name")
    if status >= 500 or status == 429:
        raise UnreachableError(f"{_place(access)} answers {status} just now")
    if status in (401, 403):
        raise PlaceError(
            f"{_place(access)} refuses the keys ({code or status}): look at MINIO_ROOT_USER "
            "and MINIO_ROOT_PASSWORD, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if status >= 300:
        raise PlaceError(f"{_place(access)} will not make {name!r}: {code or status}")
    return made


def _ask(
    method: Literal["PUT", "HEAD"], name: str, access: S3Access, body: str = ""
) -> tuple[int, str]:
    """Ask for the bucket itself, which obstore can sign but not do; returns status and error.

    Not a word of the URL may be shown: it holds the signature.
    """
    url = _signed(method, name, access)
    # The settings let http and https through, nothing else.
    request = urllib.request.Request(url, method=method, data=body.encode() or None)  # noqa: S310
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())  # Not every Python knows its system's.
    try:
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:  # noqa: S310
            return int(answer.status), ""
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _code(error.read(100_000).decode("utf-8", "replace"))
    except (OSError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", None) or error
        raise UnreachableError(f"{_place(access)} does not answer: {reason}") from None


def _signed(method: Literal["PUT", "HEAD"], name: str, access: S3Access) -> str:
    try:
        import obstore
        from obstore.exceptions import BaseError
        from obstore.store import S3Store
    except ModuleNotFoundError as error:
        raise PlaceError("to make buckets needs obstore: pip install '.[s3]'") from error

    given: dict[str, Any] = {
        "endpoint": access.endpoint,
        "access_key_id": access.access_key,
        "secret_access_key": access.secret_key,
        "session_token": access.session_token,
    }
    try:
        store = S3Store(
            name,
            region=access.region,
            virtual_hosted_style_request=False,
            client_options={"allow_http": True},
            **{key: value for key, value in given.items() if value},
        )
        return obstore.sign(store, method, "", timedelta(minutes=5))
    except BaseError as error:  # No keys were set, and none could be found.
        raise PlaceError(
            "no keys to make buckets with: set MINIO_ROOT_USER and MINIO_ROOT_PASSWORD, "
            "or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from error


def _place(access: S3Access) -> str:
    return access.endpoint or f"S3 in {access.region}"


def _where(access: S3Access) -> str:
    """Say in which region; S3 wants nothing said for its first one."""
    if access.region == S3Access.region:
        return ""
    place = f"<LocationConstraint>{escape(access.region)}</LocationConstraint>"
    space = "http://s3.amazonaws.com/doc/2006-03-01/"
    return f'<CreateBucketConfiguration xmlns="{space}">{place}</CreateBucketConfiguration>'


def _code(answer: str) -> str:
    """Give the error's own word, which names no key and no signature."""
    return answer.partition("<Code>")[2].partition("</Code>")[0][:80]


if __name__ == "__main__":
    main()
