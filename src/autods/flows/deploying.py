"""Telling a Prefect server of our flows: a work pool, two deployments, a schedule each."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autods.errors import PlaceError, UnreachableError, UsageError
from autods.recipes.candidates.config import read_candidates
from autods.settings import shown_url

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.orchestration import SyncPrefectClient

POOL_TYPE = "process"


def deploy(
    work_pool: str, *, recipe: Path | None, workspace: Path, api_url: str | None = None
) -> list[str]:
    """Make or renew the deployments of seed 1, and give their names, `FLOW/DEPLOYMENT`.

    A work pool that is not there is made, for processes. The paths are those of the worker's
    machine; nothing else of ours is written down: its environment says where the database and the
    buckets are. Done twice, it changes nothing; a schedule that was paused stays so. Without
    `api_url` Prefect's own profile says where the server is. Raises UnreachableError if it does
    not answer, PlaceError if it refuses or Prefect is not installed, UsageError, RecipeError.
    """
    read_candidates(recipe)
    _make(workspace)
    given = {"recipe": str(recipe.absolute())} if recipe else {}
    parameters = {**given, "workspace": str(workspace.absolute())}
    try:
        import prefect  # noqa: F401 - the first that is missing, if it is

        from autods.flows.prefect import daily_data_collection, monthly_dataset_creation
    except ModuleNotFoundError as error:
        needs = f"autods flows needs {error.name}: pip install 'autods[prefect]'"
        raise PlaceError(needs) from error
    planned = (
        (daily_data_collection, "daily-collection", "0 0 * * *"),
        (monthly_dataset_creation, "monthly-creation", "0 1 1 * *"),
    )
    with _server(api_url) as client:
        _ensure_pool(client, work_pool)
        return [_apply(flow, name, cron, parameters, work_pool) for flow, name, cron in planned]


def _make(workspace: Path) -> None:
    """Make the folder in which a worker starts its processes, where it is missing."""
    try:
        workspace.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PlaceError(f"cannot make the folder {workspace}: {error.strerror}") from error


@contextlib.contextmanager
def _server(api_url: str | None) -> "Iterator[SyncPrefectClient]":
    """Give a client of a Prefect server that answers; what it says no to is an error of ours."""
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.deployments.runner import DeploymentApplyError
    from prefect.exceptions import PrefectHTTPStatusError
    from prefect.settings import PREFECT_API_URL, temporary_settings

    url = api_url or PREFECT_API_URL.value()
    if not url:
        raise PlaceError("no Prefect server is named: set PREFECT_API_URL, http://HOST:4200/api")
    shown = shown_url(url)
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(temporary_settings({PREFECT_API_URL: url}))
            yield _entered(stack, get_client(sync_client=True), shown)
    except PrefectHTTPStatusError as error:
        raise PlaceError(f"Prefect at {shown} refuses: {_detail(error.response)}") from error
    except DeploymentApplyError as error:
        raise PlaceError(f"Prefect at {shown} refuses: {error}") from error
    except httpx.HTTPError as error:
        raise UnreachableError(f"Prefect does not answer at {shown}: {error}") from error


def _entered(
    stack: contextlib.ExitStack, client: "SyncPrefectClient", shown: str
) -> "SyncPrefectClient":
    """Enter a client, which asks the server for its version."""
    try:
        return stack.enter_context(client)
    except RuntimeError as error:
        if error.__cause__ is None:  # It answers, and is of another version.
            raise PlaceError(f"Prefect at {shown} will not do: {error}") from error
        raise UnreachableError(f"Prefect does not answer at {shown}: {error.__cause__}") from error


def _detail(response: Any) -> str:
    """Give what a server says of an error, else its status."""
    with contextlib.suppress(ValueError, AttributeError):
        if detail := response.json().get("detail"):
            return str(detail)
    return f"HTTP status {response.status_code}"


def _ensure_pool(client: "SyncPrefectClient", name: str) -> None:
    """Make a work pool for processes if there is none of that name; another kind will not do."""
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
    from prefect.workers.process import ProcessWorker

    template = ProcessWorker.get_default_base_job_template()
    try:
        there = client.read_work_pool(name)
    except ObjectNotFound:
        pool = WorkPoolCreate(name=name, type=POOL_TYPE, base_job_template=template)
        with contextlib.suppress(ObjectAlreadyExists):  # Another was quicker.
            client.create_work_pool(pool)
        return
    if there.type != POOL_TYPE:
        raise UsageError(
            f"work pool {name!r} is of type {there.type!r}: one of type {POOL_TYPE!r} is wanted"
        )


def _apply(
    flow: "Flow[..., Any]", name: str, cron: str, parameters: dict[str, str], work_pool: str
) -> str:
    """Make or renew a deployment; its schedule is known by its slug, so that it stays one."""
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import CronSchedule
    from prefect.deployments.runner import RunnerDeployment
    from prefect.types.entrypoint import EntrypointType

    from autods import __version__

    schedule = CronSchedule(cron=cron, timezone="UTC")
    deployment = RunnerDeployment.from_flow(
        flow,
        name,
        description=flow.description,
        parameters=parameters,
        schedules=[DeploymentScheduleCreate(schedule=schedule, slug=name)],
        work_pool_name=work_pool,
        job_variables={"working_dir": parameters["workspace"]},
        version=__version__,
        tags=["autods"],
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    deployment.apply()
    return deployment.full_name
