"""Workflows that outlive their process: DBOS keeps which step of a run ended, and with what.

A run is taken up again as a new generation of its workflow, `RUN.GENERATION` in DBOS's tables,
which is born with what the one before it had done. Only here DBOS is known, one per process.
"""

import asyncio
import contextlib
import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import sqlalchemy as sa

from autods.catalog import Catalog
from autods.catalog.answers import places_errors
from autods.errors import PlaceError, UnreachableError, UsageError
from autods.run import Context, WorkflowStep
from autods.run.events import read_events, state_of
from autods.run.generation import Generation, Past, Record, TakenOverError
from autods.run.trying import Limits, plain, told
from autods.run.watching import Watch
from autods.settings import shown_url

if TYPE_CHECKING:
    from dbos import Serializer

_current: ContextVar[Generation] = ContextVar("generation")


class Durable:
    """Where the state of workflows is kept: a database of that SQLAlchemy URL, or a SQLite file.

    On PostgreSQL it lies in the schema `namespace`. In one process any number of these may be open
    at a time if they are of one place. `patience` is how many seconds a step waits for a place
    that does not answer, `backoff` the pause after its first failed try, `grace` how long it may
    go on once it was told to stop.
    """

    _gate: ClassVar[threading.Lock] = threading.Lock()
    _open: ClassVar[list[tuple[str, str]]] = []

    def __init__(
        self,
        url: str,
        *,
        namespace: str = "autods_workflows",
        patience: float = 120.0,
        backoff: float = 1.0,
        grace: float = 5.0,
    ) -> None:
        self._place = (_full_url(url), namespace)
        self._limits = Limits(patience, backoff, grace)

    def __enter__(self) -> Self:
        with self._gate:
            if self._open and self._open[0] != self._place:
                there = shown_url(self._open[0][0])
                raise UsageError(f"this process keeps its workflows in {there}: close that first")
            if not self._open:
                _launch(*self._place)
            self._open.append(self._place)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        with self._gate:
            self._open.pop()
            if not self._open:
                _destroy()

    def run(
        self,
        run_id: int,
        steps: Sequence[WorkflowStep],
        context: Context,
        *,
        watch: Watch,
        from_step: int | None = None,
        begin: Callable[[], None] = lambda: None,
    ) -> Context:
        """Run the steps, or go on where an earlier process stopped, and give the final context.

        Steps that ended are not run again: what they returned is put into the context. `from_step`,
        from 1, runs that one and those after it once more. `begin` is called when the run is ours
        alone. Blocks until the end; Ctrl-C stops the
        step at work, runs those that run `always`, and comes out. Raises what a step raised,
        RunCancelledError if somebody asked for that, UsageError for steps other than those
        recorded, PlaceError if another process is at work on the run.
        """
        _refuse_loops()
        context = plain(context, "the context of a run")
        with _alone(watch.catalog, run_id):
            begin()
            with places_errors(shown_url(self._place[0])):
                past = _past(watch.catalog, run_id)
            first = past.goes_on_at(run_id, steps, from_step)
            if first > len(steps):
                past.tell_end(watch.catalog, run_id)
                return past.context(context)
            if past.is_pending:
                _give_up(f"{run_id}.{past.generation}")
            going = Generation(run_id, tuple(steps), context, watch, self._limits, past, first)
            return going.run(self._as_workflow)

    def _as_workflow(self, going: Generation, made: Record) -> Context:
        """Run a generation as a workflow of DBOS: what a step raised comes out as it is."""
        from dbos import SetWorkflowID, error

        _current.set(going)
        try:
            with SetWorkflowID(going.workflow_id, workflow_id_reuse_policy="reject"):
                return _workflow()(made)
        except (error.DBOSException, error.DBOSBaseException, sa.exc.DBAPIError) as lost:
            if lost is going.failure:
                raise
            with places_errors(shown_url(self._place[0])):
                if isinstance(lost, sa.exc.DBAPIError):
                    raise
            raise TakenOverError(f"run {going.run_id} is no longer ours: {lost}") from lost


def _past(catalog: Catalog, run_id: int) -> Past:
    """Read what was done of a run; nothing, if its state is of another catalog's run."""
    from dbos import DBOS

    said = read_events(catalog, run_id)
    tokens = {event.data.get("token") for event in said if event.kind == "started"}
    past = Past(since=said[-1].id if tokens else 0)
    known = DBOS.list_workflows(
        workflow_id_prefix=f"{run_id}.", load_input=False, load_output=False
    )
    if not known:
        return past
    generation = max(int(found.workflow_id.partition(".")[2]) for found in known)
    (last,) = DBOS.list_workflows(workflow_ids=[f"{run_id}.{generation}"], load_output=False)
    past = replace(past, generation=generation, is_pending=last.status == "PENDING")
    made = last.input["args"][0] if last.input else {}
    if made.get("token") not in tokens:
        return past
    done = list(made["done"])
    for step in DBOS.list_workflow_steps(last.workflow_id):
        if step["function_id"] == len(done) + 1 and step["error"] is None and step["output"]:
            done.append(step["output"])
    return replace(past, names=tuple(made["steps"]), done=tuple(done), said=state_of(said))


@contextlib.contextmanager
def _alone(catalog: Catalog, run_id: int) -> Iterator[None]:
    """See to it that one process at a time is at work on a run."""
    with contextlib.ExitStack() as held:
        for left in (3, 2, 1, 0):  # Whoever looks whether it is held holds it for a moment.
            try:
                held.enter_context(catalog.sign_of_life(f"workflow-{run_id}"))
                break
            except UnreachableError:
                raise
            except PlaceError as error:
                if not left:
                    raise PlaceError(f"another process is at work on run {run_id}") from error
                time.sleep(0.1)
        yield


def _refuse_loops() -> None:
    with contextlib.suppress(RuntimeError):
        asyncio.get_running_loop()
        raise UsageError("a durable run blocks: await asyncio.to_thread(durable.run, ...)")


class _Json:
    """How DBOS keeps what it keeps: as JSON, which is data and never code; errors as their text."""

    def name(self) -> str:
        """Name the format in its tables."""
        return "autods_json"

    def serialize(self, data: Any) -> str:
        """Write a value."""
        if isinstance(data, BaseException):
            data = {"error": told(data)}
        return json.dumps(data)

    def deserialize(self, serialized_data: str) -> Any:
        """Read a value."""
        return json.loads(serialized_data)


@cache
def _workflow() -> Callable[[Record], Context]:
    """Register the one workflow there is: it finds its steps in the thread that calls it."""
    from dbos import DBOS

    def keep(name: str, work: Callable[[], Record]) -> Record:
        return DBOS.run_step({"name": name}, work)

    @DBOS.workflow(name="autods")
    def workflow(_made: Record) -> Context:
        return _current.get().steps_in_turn(keep)

    return workflow


def _launch(url: str, namespace: str) -> None:
    """Start DBOS, in silence: nobody else's workflows are taken up, and none of ours by others."""
    logging.getLogger("dbos").addHandler(logging.NullHandler())
    try:
        from dbos import DBOS, DBOSConfig
        from dbos import error as dbos_error
    except ModuleNotFoundError as error:
        raise PlaceError("durable runs need DBOS: pip install 'autods[crawl]'") from error
    config = DBOSConfig(
        name="autods",
        system_database_url=url,
        dbos_system_schema=namespace,
        serializer=cast("Serializer", _Json()),
        executor_id=uuid.uuid4().hex,
        application_version="autods",
        enable_otlp=False,
        log_level="CRITICAL",
        use_listen_notify=False,
        notification_listener_polling_interval_sec=0.1,
        sys_db_pool_size=4,
        max_executor_threads=2,
    )
    try:
        with places_errors(shown_url(url)):
            DBOS(config=config)
            _workflow()
            DBOS.launch()
    except BaseException as error:
        _destroy()
        if isinstance(error, dbos_error.DBOSException):
            raise PlaceError(f"no workflows can be kept in {shown_url(url)}: {error}") from error
        raise


def _destroy() -> None:
    from dbos import DBOS

    DBOS.destroy()


def _give_up(workflow_id: str) -> None:
    """Let a generation whose process is gone be seen as what it is."""
    from dbos import DBOS

    DBOS.cancel_workflow(workflow_id)


def _full_url(url: str) -> str:
    if "://" not in url:
        return f"sqlite:///{Path(url).absolute()}"
    try:
        full = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise UsageError("not a database URL (try sqlite:///FILE or postgresql://HOST/NAME)") from (
            error
        )
    backend = full.drivername.partition("+")[0]
    if backend not in {"sqlite", "postgresql", "postgres"}:
        raise UsageError(f"no workflows can be kept in {backend!r} (valid: sqlite, postgresql)")
    if backend == "sqlite":
        return url
    return full.set(drivername="postgresql").render_as_string(hide_password=False)
