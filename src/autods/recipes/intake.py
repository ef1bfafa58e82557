"""Taking in: every ref without an outcome is read or fetched, inspected, stored, accounted for."""

import contextlib
import functools
import hashlib
import itertools
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from autods.assemble.checks import Checks
from autods.catalog.tables import refs
from autods.engine import Engine, Lost
from autods.errors import BudgetError
from autods.ingest.claims import Claims, PendingRef
from autods.ingest.pending import count_pending, keep_arrivals
from autods.ingest.work import Input, discard, input_of, take_in, writable
from autods.recipes.passing import FINGERPRINT, inspect
from autods.records import Refusal
from autods.run import Progress, batched, drain
from autods.store import S3Store, asset_key
from autods.store.ahead import WIDTH
from autods.validate import Limits
from autods.web.manners import Manners
from autods.web.policy import HttpPolicy
from autods.workspace import Workspace

if TYPE_CHECKING:
    from autods.web.http import Fetched

SPOOLED = 600.0
"""Seconds after which a folder of downloads that no living run has claimed is swept."""

POLL = 0.25
"""Seconds between two looks at whether other runs are done."""


@dataclass(frozen=True, kw_only=True)
class Intake:
    """What is taken into which dataset, and how; the error budget is a share of `inputs`.

    `manners` are those that the downloads share with what else the run asks of the same hosts;
    `allow` judges where they may go, by source. Refs that are objects of `buckets` are read through
    `objects`, a store of every bucket (`s3://`); without them `s3://` is no scheme of an input.
    """

    workspace: Workspace
    dataset_id: int
    checks: Checks
    http: HttpPolicy
    inputs: int
    manners: Manners | None = None
    allow: Mapping[str, Callable[[str], Refusal | None]] = field(default_factory=dict)
    objects: S3Store | None = None
    buckets: frozenset[str] = frozenset()

    @property
    def fingerprint(self) -> str:
        """What an outcome depends on; limits on what is known of an asset are not in it."""
        checks = self.checks
        return fingerprint(
            FINGERPRINT, checks.max_bytes, checks.max_pixels, checks.mode == "report-only"
        )

    def pending(self) -> int:
        """Count the inputs without an outcome."""
        return count_pending(self.workspace.catalog, self.dataset_id, self.fingerprint)


def take(intake: Intake, engine: Callable[[], Engine], progress: Progress) -> int:
    """Run the one loop over what is pending; returns how many inputs were done here.

    Other runs may be at it, too, on other machines: they share what is pending, and this returns
    when nothing is. Raises PlaceError if the store cannot be written, BudgetError once too many
    were refused.
    """
    total = intake.pending()
    if not total:
        return 0
    writable(intake.workspace.store)
    progress.step("ingest", total)
    done = 0
    catalog, page = intake.workspace.catalog, max(64, min(4096, total // 32))
    with Claims(catalog, intake.dataset_id, intake.fingerprint, page) as claims:
        try:
            while True:
                done += _drain(intake, claims, total, engine(), progress)
                if not claims.others_at_work() and not claims.left():
                    return done
                time.sleep(POLL)
                claims.rewind()
        finally:
            shutil.rmtree(_spool_of(intake, claims), ignore_errors=True)


def _drain(intake: Intake, claims: Claims, total: int, engine: Engine, progress: Progress) -> int:
    """Take in all that can be claimed now."""
    limits = Limits(max_bytes=intake.checks.max_bytes, max_pixels=intake.checks.max_pixels)
    work = functools.partial(
        take_in,
        store=intake.workspace.store,
        inspect=functools.partial(inspect, limits=limits),
        max_bytes=intake.checks.max_bytes,
        keep_refused=intake.checks.mode == "report-only",
        objects=intake.objects,
    )
    catalog = intake.workspace.catalog
    commit = functools.partial(keep_arrivals, catalog, fingerprint=intake.fingerprint)
    batches = _batches(intake, claims, total)
    committed = drain(batches, work, commit, engine=engine, catalog=catalog, progress=progress)
    done, refused = 0, _refused_before(intake)
    with contextlib.closing(committed):
        for inputs, arrivals in committed:
            discard(inputs)
            done += len(inputs)
            refused += sum(isinstance(a, Lost) or a.refusal is not None for a in arrivals)
            check_budget(intake, refused)
    return done


def check_budget(intake: Intake, refused: int) -> None:
    """End the run once too many inputs were refused; what came in before is kept.

    Raises BudgetError.
    """
    if refused > intake.checks.error_budget * intake.inputs:
        raise BudgetError(
            f"{refused:,} of {intake.inputs:,} inputs were refused so far, more than the error "
            f"budget of {100 * intake.checks.error_budget:g}%: `autods show --refused` says why; "
            "validate.error_budget in the recipe sets the limit"
        )


def _refused_before(intake: Intake) -> int:
    query = sa.select(sa.func.count()).where(
        refs.c.dataset_id == intake.dataset_id,
        refs.c.gone_at.is_(None),
        refs.c.fingerprint == intake.fingerprint,
        refs.c.status == "rejected",
    )
    with intake.workspace.catalog.read() as db:
        return db.scalar(query) or 0


def _batches(intake: Intake, claims: Claims, total: int) -> Iterator[list[Input]]:
    """Files first, then downloads; small jobs in small batches, so that all workers share.

    Not smaller than what is read ahead of a batch of objects.
    """
    size = max(WIDTH if intake.objects else 1, min(128, total // 16))
    yield from batched((_input(intake, ref) for ref in claims.take(remote=False)), size)
    yield from batched(_downloads(intake, claims), size)


def _input(intake: Intake, ref: PendingRef) -> Input:
    """Known bytes are looked at again where they lie; others are read at their source."""
    if not ref.sha256:
        return _at_source(intake, ref)
    held = intake.workspace.store.local_path(asset_key(ref.sha256))
    if held is None:
        return Input(ref.id, None, held=ref.sha256)
    return Input(ref.id, str(held)) if held.exists() else _at_source(intake, ref)


def _at_source(intake: Intake, ref: PendingRef) -> Input:
    return input_of(ref.id, ref.location, intake.buckets if intake.objects else frozenset())


def _downloads(intake: Intake, claims: Claims) -> Iterator[Input]:
    """Fetch what is remote; a download is spooled to a file that a worker then reads."""
    wanted = claims.take(remote=True)
    first = next(wanted, None)
    if first is None:
        return
    from autods.web.http import Request, fetch

    with _spool(intake, claims) as spool:
        policy = replace(intake.http, max_bytes=min(intake.http.max_bytes, intake.checks.max_bytes))
        remote = itertools.chain([first], wanted)
        requests = (
            Request(index=ref.id, url=ref.location, allow=intake.allow.get(ref.source))
            for ref in remote
        )
        for got in fetch(requests, policy, spool, intake.manners):
            yield _download(got)


def _download(got: "Fetched") -> Input:
    """Turn the end of a fetch into an input; validators are kept with the bytes they speak of."""
    if got.path is None:
        return Input(got.index, None, spooled=True, refusal=got.refusal)
    path, etag, date = str(got.path), got.etag, got.last_modified
    return Input(got.index, path, spooled=True, etag=etag, last_modified=date)


@contextlib.contextmanager
def _spool(intake: Intake, claims: Claims) -> Iterator[Path]:
    """Give this run a folder for downloads, and remove those that killed runs left."""
    spools = intake.workspace.folder("spool", str(intake.dataset_id))
    for left in spools.iterdir():
        old = time.time() - left.stat().st_mtime > SPOOLED
        if old and not intake.workspace.catalog.is_held(left.name):
            shutil.rmtree(left, ignore_errors=True)
    spool = _spool_of(intake, claims)
    spool.mkdir(exist_ok=True)
    yield spool


def _spool_of(intake: Intake, claims: Claims) -> Path:
    return intake.workspace.folder("spool", str(intake.dataset_id)) / claims.name


def fingerprint(*parts: Any) -> str:
    """Hash what a result depends on, in hex.

    >>> fingerprint(1, {"a": 2}) == fingerprint(1, {"a": 2}) != fingerprint(1, {"a": 3})
    True
    """
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
