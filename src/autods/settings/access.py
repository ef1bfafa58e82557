"""What it takes to enter an S3 server, in one record that never shows its secrets."""

from dataclasses import dataclass, fields

from autods.settings.secrets import shown_url


@dataclass(frozen=True)
class S3Access:
    """Where an S3 server is and who enters it.

    No `endpoint` is AWS itself; no keys leave it to the client to find its own (a role, a file).
    The region is the one that S3 servers other than AWS answer to, unless told.

    >>> S3Access("http://minio:9000", "reader", "hush")
    S3Access(endpoint='http://minio:9000', access_key='***', secret_key='***', region='us-east-1')
    """

    endpoint: str | None = None
    access_key: str | None = None
    secret_key: str | None = None
    session_token: str | None = None
    region: str = "us-east-1"

    def __repr__(self) -> str:
        shown = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in ("access_key", "secret_key", "session_token"):
            shown[name] = "***" if shown[name] else None
        shown["endpoint"] = shown_url(self.endpoint) if self.endpoint else None
        told = ", ".join(f"{name}={value!r}" for name, value in shown.items() if value is not None)
        return f"{type(self).__name__}({told})"
