"""Many transfers at once: a bounded pool of reused libcurl handles behind one event loop."""

import os
import secrets
import selectors
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pycurl

from autods.web.policy import HttpPolicy
from autods.web.transfer import Answer, Transfer, ca_file, guarded


class Pool:
    """`concurrency` transfers over one libcurl multi handle, driven by the sockets that are ready.

    `start` puts an exchange into a free transfer, `turn` lets all of them go on, `ended` hands out
    what has come to an end, and `close` aborts the rest and removes their files. An error inside a
    callback (a full disk, Ctrl-C) is raised by `turn`, never swallowed.
    """

    def __init__(self, policy: HttpPolicy, spool: Path) -> None:
        certificates = ca_file()
        self._crashes: list[BaseException] = []
        self._selector = selectors.DefaultSelector()
        self._watched: set[int] = set()
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, guarded(self._watch, self._crashes, 0))
        # Idle connections are worth keeping for hosts that come round again, within reason.
        self._multi.setopt(pycurl.M_MAXCONNECTS, 2 * policy.concurrency)
        prefix = f"{spool}{os.sep}{secrets.token_hex(6)}-"
        names = (f"{prefix}{number:08x}" for number in count())
        self._all = [
            Transfer(policy, certificates, names, self._crashes) for _ in range(policy.concurrency)
        ]
        self._free = list(self._all)
        self._busy: dict[Any, tuple[Transfer, Any]] = {}
        self._ended: deque[tuple[Any, int, str]] = deque()

    @property
    def free(self) -> int:
        """How many more exchanges may be started."""
        return len(self._free)

    @property
    def active(self) -> int:
        """How many exchanges are under way or have ended unseen."""
        return len(self._busy)

    def start(
        self,
        token: object,
        url: str,
        *,
        headers: Sequence[bytes] = (),
        timeout: float,
        fresh_name: bool = False,
    ) -> None:
        """Begin to ask for a URL fit for the wire; `token` comes back with the answer.

        `headers` are raw lines to add, `timeout` the seconds it may take in all; `fresh_name` looks
        the host up anew.
        """
        transfer = self._free.pop()
        transfer.start(url, headers=headers, timeout=timeout, fresh_name=fresh_name)
        self._multi.add_handle(transfer.curl)
        self._busy[transfer.curl] = (transfer, token)

    def turn(self, wait: float | None) -> None:
        """Let the transfers go on until something happens, `wait` seconds at most (None: any)."""
        if self._multi.timeout() == 0:
            self._act(pycurl.SOCKET_TIMEOUT, 0)
        self._collect()
        for key, events in self._selector.select(self._wait(wait)):
            readable = pycurl.CSELECT_IN if events & selectors.EVENT_READ else 0
            writable = pycurl.CSELECT_OUT if events & selectors.EVENT_WRITE else 0
            self._act(key.fd, readable | writable)
        self._collect()

    def ended(self) -> Iterator[tuple[Any, Answer]]:
        """Hand out what has ended, each with its token; its transfer is free again."""
        while self._ended:
            curl, code, message = self._ended.popleft()
            self._multi.remove_handle(curl)
            transfer, token = self._busy.pop(curl)
            self._free.append(transfer)
            yield token, transfer.finish(code, message)

    def close(self) -> None:
        """Abort what is under way, remove its files, and close every connection."""
        for curl in self._busy:
            self._multi.remove_handle(curl)
        for transfer in self._all:
            transfer.discard()
            transfer.curl.close()
        self._multi.close()
        self._selector.close()

    def _wait(self, wait: float | None) -> float | None:
        """Seconds the pool may sleep: not past libcurl's own clock, and not if something ended."""
        if self._ended:
            return 0.0
        clock: int = self._multi.timeout()
        if clock < 0:
            return wait
        return clock / 1000 if wait is None else min(wait, clock / 1000)

    def _act(self, fd: int, events: int) -> None:
        before = getattr(sys, "last_value", None)
        self._multi.socket_action(fd, events)
        if self._crashes:
            raise self._crashes[0]
        # What a signal handler raises at the very door of a callback, before `guarded` can see it,
        # pycurl prints and drops; the interpreter keeps the last error printed.
        dropped = getattr(sys, "last_value", None)
        if dropped is not None and dropped is not before:
            raise dropped

    def _collect(self) -> None:
        left = 1
        while left:
            left, good, bad = self._multi.info_read()
            self._ended.extend((curl, 0, "") for curl in good)
            self._ended.extend(bad)

    def _watch(self, what: int, fd: int, _multi: object, _data: object) -> int:
        """Follow libcurl's wish to be told when a socket is ready (M_SOCKETFUNCTION)."""
        if what == pycurl.POLL_REMOVE:
            if fd in self._watched:
                self._watched.remove(fd)
                self._selector.unregister(fd)
            return 0
        events = (selectors.EVENT_READ if what & pycurl.POLL_IN else 0) | (
            selectors.EVENT_WRITE if what & pycurl.POLL_OUT else 0
        )
        if fd in self._watched:
            self._selector.modify(fd, events)
        else:
            self._watched.add(fd)
            self._selector.register(fd, events)
        return 0
