"""What an S3 server's refusal means, in one sentence that says what to do and holds no secret."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from autods.errors import PlaceError, UnreachableError
from autods.store.protocol import DeniedError, MissingError

_KEYS = "MINIO_ROOT_USER and MINIO_ROOT_PASSWORD, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_CREDENTIALS = {
    "InvalidAccessKeyId": "does not know the access key: set",
    "SignatureDoesNotMatch": "refuses the secret key: set",
    "ExpiredToken": "says that the credentials have expired: renew",
    "InvalidToken": "refuses the session token: renew AWS_SESSION_TOKEN, or set",
    "TokenRefreshRequired": "says that the credentials have expired: renew",
}
_WRONG_REGION = {"AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraint"}
_CODE = re.compile(r"<Code>(\w+)</Code>")
_BUCKET = re.compile(r"<BucketName>([a-z0-9.-]+)</BucketName>")
_STATUS = re.compile(r"status(?: code)?: (\d{3})")
_METADATA = re.compile(r"169\.254\.\d+\.\d+|/latest/(?:api|meta-data)/")


class OvertakenError(PlaceError):
    """Another writer wrote the same object at the same moment."""


@dataclass(frozen=True)
class Asked:
    """What was asked of which server: what a sentence about its refusal needs."""

    doing: str
    """As in "cannot read raw/a in s3://bucket/prefix"."""
    bucket: str
    endpoint: str


@contextmanager
def answering(asked: Asked) -> Iterator[None]:
    """Turn obstore's errors into ours.

    obstore's texts quote the server's answer, which quotes the signature and the access key: they
    are read here, and neither shown nor chained.
    """
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        raise meaning(asked, str(error), missing=isinstance(error, FileNotFoundError)) from None


def again(work: Callable[[], None], patience: float) -> None:
    """Do what may be done twice again for so many seconds, while its server does not answer.

    For what obstore tries only once: it does not know that removing twice is removing.
    """
    from tenacity import (
        Retrying,
        retry_if_exception_type,
        stop_after_delay,
        wait_random_exponential,
    )

    retrying = Retrying(
        retry=retry_if_exception_type(UnreachableError),
        stop=stop_after_delay(patience),
        wait=wait_random_exponential(multiplier=0.2, max=5),
        reraise=True,
    )
    retrying(work)


def meaning(asked: Asked, text: str, *, missing: bool = False) -> PlaceError:
    """Say what an error's text means; `missing` if obstore takes it for a missing object.

    >>> asked = Asked("read raw/a in s3://b", "b", "http://minio:9000")
    >>> str(meaning(asked, "... status: 403 ...<Code>RequestTimeTooSkewed</Code>"))
    "cannot read raw/a in s3://b: this machine's clock differs from http://minio:9000's: set it"
    """
    code = _first(_CODE, text)
    status = int(_first(_STATUS, text) or 0)
    cannot = f"cannot {asked.doing}"
    if code == "NoSuchBucket":
        bucket = _first(_BUCKET, text) or asked.bucket
        return PlaceError(
            f"the bucket {bucket!r} does not exist at {asked.endpoint}: make it, or name another"
        )
    if missing:
        return MissingError(f"{cannot}: it is not there")
    if refused := _refusal(asked.endpoint, code, text):
        return PlaceError(f"{cannot}: {refused}")
    if status in {401, 403}:
        may = "give the user the right to it, or set other credentials"
        return DeniedError(f"{cannot}: {asked.endpoint} does not allow it ({may}: {_KEYS})")
    if status == 409 or "ETag Header missing" in text:  # The second is how Swift says it.
        return OvertakenError(f"{cannot}: another writer was there at the same moment")
    if "HTTP error" in text or status >= 500 or status in {408, 429}:
        return UnreachableError(f"{cannot}: {_silence(asked.endpoint, status)}")
    return PlaceError(f"{cannot}: {asked.endpoint} refuses it ({code or status or 'no reason'})")


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return found[1] if found else None


def _refusal(endpoint: str, code: str | None, text: str) -> str | None:
    """Say what a user has to set right; None if it is nothing of the kind."""
    if _METADATA.search(text):
        return f"no credentials for {endpoint}: set {_KEYS}"
    if code in _CREDENTIALS:
        return f"{endpoint} {_CREDENTIALS[code]} {_KEYS}"
    if code == "RequestTimeTooSkewed":
        return f"this machine's clock differs from {endpoint}'s: set it"
    if code in _WRONG_REGION or "redirect" in text:
        return "the bucket lies in another region: set AWS_REGION to it"
    if "with invalid path" in text:
        return "it holds objects of others: give autods a prefix of its own"
    return None


def _silence(endpoint: str, status: int) -> str:
    if status:
        return f"{endpoint} keeps answering {status}: look at that server, then run this again"
    return f"{endpoint} does not answer: see that it runs and can be reached, then run this again"
