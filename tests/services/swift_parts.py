"""What our Swift puts in the place of memcached and of a user list fixed at the start."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

App = Callable[[dict[str, Any], Any], Iterable[bytes]]
Filter = Callable[[App], App]

_KEPT = 3600.0
"""Seconds that an entry without a time of its own is kept."""


class Cache:
    """Memcached's verbs, as Swift calls them, on a dictionary: right for a single proxy."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[float, str]] = {}

    def set(self, key: str, value: object, time: float = 0, **_options: object) -> None:
        self._entries[key] = (_now() + (time or _KEPT), json.dumps(value))

    def get(self, key: str, **_options: object) -> Any:
        until, value = self._entries.get(key, (0.0, "null"))
        if until < _now():
            self._entries.pop(key, None)
            return None
        return json.loads(value)

    def incr(self, key: str, delta: int = 1, time: float = 0) -> int:
        value = max(0, int(self.get(key) or 0) + delta)
        self.set(key, value, time)
        return value

    def decr(self, key: str, delta: int = 1, time: float = 0) -> int:
        return self.incr(key, -delta, time)

    def delete(self, key: str, server_key: str | None = None) -> None:
        self._entries.pop(key, None)

    def set_multi(
        self, mapping: Mapping[str, object], server_key: str, time: float = 0, **_options: object
    ) -> None:
        for key, value in mapping.items():
            self.set(key, value, time)

    def get_multi(self, keys: Iterable[str], server_key: str) -> list[Any]:
        return [self.get(key) for key in keys]


def _now() -> float:
    return time.monotonic()


def cache(_shared: Mapping[str, str], **_own: str) -> Filter:
    """Make the filter that lends every request the one cache."""
    kept = Cache()

    def lend(app: App) -> App:
        def call(request: dict[str, Any], start: Any) -> Iterable[bytes]:
            request["swift.cache"] = kept
            return app(request, start)

        return call

    return lend


def auth(_shared: Mapping[str, str], **own: str) -> Filter:
    """Make Swift's own tempauth, which asks the file `keys` anew for each request.

    The file is JSON, {access key: secret key}, so that a key can go while the server runs.
    """
    from swift.common.middleware.tempauth import TempAuth  # type: ignore[import-untyped]

    keys = Path(own.pop("keys"))

    def guard(app: App) -> App:
        door: Any = TempAuth(app, own)

        def call(request: dict[str, Any], start: Any) -> Iterable[bytes]:
            known = json.loads(keys.read_text(encoding="utf-8"))
            door.users = {name: _user(name, secret) for name, secret in known.items()}
            answer: Iterable[bytes] = door(request, start)
            return answer

        return call

    return guard


def _user(name: str, secret: str) -> dict[str, Any]:
    account = name.partition(":")[0]
    return {"key": secret, "groups": [".admin"], "url": f"$HOST/v1/AUTH_{account}"}
