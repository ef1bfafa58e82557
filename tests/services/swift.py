"""A real S3 store on the loopback: OpenStack Swift with its S3 face, from its Python package.

    with S3Server(folder) as server:
        server.create_bucket("raw")
        ...                         # server.endpoint, server.access_key, server.secret_key

Signatures (version 4) are checked. As on every S3, the store decides no race between writers.
"""

import http.client
import json
import os
import pwd
import secrets
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from services.processes import free_port, kill, launch, stop, wait_for

if TYPE_CHECKING:
    from obstore.store import S3Store

PACKAGE = "swift"
_ACCOUNT = "autods"
_TESTS = Path(__file__).resolve().parents[1]
_RINGS = ("account", "container", "object")

_SHARED = """\
[swift-hash]
swift_hash_path_prefix = autods
swift_hash_path_suffix = autods
[storage-policy:0]
name = default
default = yes
[swift-constraints]
max_header_size = 16384
"""

_EVERY = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = {user}
swift_dir = {folder}
devices = {folder}/node
workers = 0
mount_check = false
log_level = WARNING
log_address = {folder}/no-syslog
disable_fallocate = true
fallocate_reserve = 0
db_preallocation = off
[pipeline:main]
pipeline = {pipeline}
"""

# A slow machine must neither lose a name from a listing, as no updater runs that would bring it
# back later, nor make the proxy shun a server. AWS takes 10,000 parts an upload.
_STORAGE = """\
[app:{part}-server]
use = egg:swift#{part}
node_timeout = 60
conn_timeout = 60
container_update_timeout = 60
"""
_PROXY = """\
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
node_timeout = 60
conn_timeout = 60
error_suppression_limit = 1000000000
[filter:cache]
paste.filter_factory = services.swift_parts:cache
[filter:auth]
paste.filter_factory = services.swift_parts:auth
keys = {folder}/keys.json
[filter:s3api]
use = egg:swift#s3api
location = {region}
max_upload_part_num = 10000
multi_delete_concurrency = 16
"""
_PLAIN = ("catch_errors", "gatekeeper", "listing_formats", "copy", "slo")
_PIPELINE = "catch_errors gatekeeper cache listing_formats s3api auth copy slo proxy-server"


@dataclass(frozen=True)
class Credentials:
    """An access key and its secret; the secret is not shown."""

    access_key: str
    secret_key: str = field(repr=False)


class S3Server:
    """The server; `owner` may do everything, and so may `guest` until it is revoked."""

    region = "us-east-1"

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.owner = _credentials("owner")
        self.guest = _credentials("guest")
        self._folder = folder
        self._log = folder / "swift.log"
        self._ports = {ring: free_port() for ring in _RINGS} | {"proxy": self.port}
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"S3Server(port={self.port})"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def endpoint(self) -> str:
        """Where it is, as S3 clients want it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def access_key(self) -> str:
        """The owner's access key."""
        return self.owner.access_key

    @property
    def secret_key(self) -> str:
        """The owner's secret key."""
        return self.owner.secret_key

    @property
    def alive(self) -> bool:
        """Whether the server runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server and wait until it answers; nothing happens if it runs."""
        if self.alive:
            return
        if not (self._folder / "node").exists():
            self._initialise()
        # Swift stays out of this process: to import it changes http.client for all.
        command = [sys.executable, "-P", "-m", "services.swift_run", self._folder]
        command += [f"{ring}={self._ports[ring]}" for ring in _RINGS]
        self._process = launch(command, self._log, environment=_environment())
        wait_for(self._answers, self._process, self._log)

    def stop(self) -> None:
        """End the server; what it stores stays."""
        if self._process is not None:
            stop(self._process, signal.SIGTERM)

    def kill(self) -> None:
        """Kill all of the server without a warning; `start` brings it back with what it stored."""
        if self._process is not None:
            kill(self._process)

    def restart(self) -> None:
        """Stop and start on the same port."""
        self.stop()
        self.start()

    def revoke(self) -> None:
        """Let the guest's key be unknown from the next request on, as if it had expired."""
        self._admit(self.owner)

    def restore(self) -> None:
        """Let the guest in again."""
        self._admit(self.owner, self.guest)

    def bucket_name(self) -> str:
        """Return a name that no bucket has."""
        return f"t-{secrets.token_hex(8)}"

    def create_bucket(self, name: str) -> None:
        """Make an empty bucket; nothing happens if it is there."""
        self._ask("PUT", name)

    def delete_bucket(self, name: str) -> None:
        """Remove a bucket and all that is in it; nothing happens if it is not there."""
        from obstore.exceptions import BaseError

        store = self.store(name)
        try:
            for batch in store.list(chunk_size=1000):
                store.delete([entry["path"] for entry in batch])
        except BaseError as error:
            if "NoSuchBucket" not in str(error):
                raise
        self._ask("DELETE", name)

    @contextmanager
    def bucket(self) -> Iterator[str]:
        """Give the name of a new bucket, removed at the end with all that is in it.

        The server is started again if the test left it dead, and the guest let in.
        """
        name = self.bucket_name()
        self.create_bucket(name)
        try:
            yield name
        finally:
            self.start()
            self.restore()
            self.delete_bucket(name)

    def store(
        self,
        bucket: str,
        *,
        user: Credentials | None = None,
        endpoint: str | None = None,
        retries: int = 0,
    ) -> "S3Store":
        """Return a client for a bucket: the owner's, straight to the server, unless told else."""
        from obstore.store import S3Store

        user = user or self.owner
        wait = timedelta(milliseconds=5)
        return S3Store(
            bucket,
            endpoint=endpoint or self.endpoint,
            access_key_id=user.access_key,
            secret_access_key=user.secret_key,
            region=self.region,
            virtual_hosted_style_request=False,
            client_options={"allow_http": True},
            retry_config={
                "max_retries": retries,
                "backoff": {"init_backoff": wait, "max_backoff": wait},
            },
        )

    def _ask(self, method: Literal["PUT", "DELETE"], bucket: str) -> None:
        """Ask for the bucket itself, which obstore can sign but not do."""
        import obstore

        url = obstore.sign(self.store(bucket), method, "", timedelta(minutes=5))
        try:
            urllib.request.urlopen(urllib.request.Request(url, method=method)).close()
        except urllib.error.HTTPError as error:
            with error:
                code = error.read().decode(errors="replace")
            if "BucketAlreadyOwnedByYou" not in code and "NoSuchBucket" not in code:
                raise RuntimeError(f"{method} {bucket}: {error.code}: {code}") from None

    def _admit(self, *users: Credentials) -> None:
        new = self._folder / "keys.new"
        new.touch(mode=0o600)
        new.write_text(json.dumps({user.access_key: user.secret_key for user in users}))
        new.replace(self._folder / "keys.json")

    def _initialise(self) -> None:
        (self._folder / "node" / "disk").mkdir(parents=True)
        (self._folder / "swift.conf").write_text(_SHARED)
        self.restore()
        for ring in _RINGS:
            self._settle(ring, f"{ring}-server", _STORAGE.format(part=ring))
        plain = "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n" for name in _PLAIN)
        proxy = _PROXY.format(folder=self._folder, region=self.region)
        self._settle("proxy", _PIPELINE, proxy + plain)

    def _settle(self, part: str, pipeline: str, rest: str) -> None:
        user = pwd.getpwuid(os.geteuid()).pw_name
        port = self._ports[part]
        every = _EVERY.format(port=port, user=user, folder=self._folder, pipeline=pipeline)
        (self._folder / f"{part}.conf").write_text(every + rest)

    def _answers(self) -> bool:
        return all(_serves(port) for port in self._ports.values())


def _credentials(name: str) -> Credentials:
    return Credentials(f"{_ACCOUNT}:{name}", secrets.token_urlsafe(24))


def _environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, (str(_TESTS), os.environ.get("PYTHONPATH"))))
    # Eventlet's own resolver would ask the network where 127.0.0.1 is.
    return {**os.environ, "PYTHONPATH": path, "EVENTLET_NO_GREENDNS": "yes"}


def _serves(port: int) -> bool:
    """Say whether a server of Swift answers, whatever it says: it listens before it can."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with closing(line), suppress(OSError, http.client.HTTPException):
        line.request("OPTIONS", "/")
        line.getresponse().read()
        return True
    return False
