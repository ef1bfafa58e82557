"""The main job: sources in; an immutable, deduplicated, labelled, split, sharded version out."""

import contextlib
import functools
import itertools
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from autods.assemble.checks import judge, judges
from autods.assemble.members import read_members
from autods.assemble.splits import Placed, assign_splits
from autods.dedup.confirm import FINGERPRINT as CONFIRM
from autods.dedup.confirm import same_picture
from autods.dedup.decide import DedupPolicy
from autods.dedup.place import Placing, place
from autods.engine import Engine, LocalEngine
from autods.errors import AutodsError, UnreachableError
from autods.ingest.listing import Listing, count_refs, list_refs, listing_lock, refs_of
from autods.label.ledger import enter_source_labels, in_force, say
from autods.label.weak import WeakLabels, weak_labels
from autods.recipes.bond import bind
from autods.recipes.facts import Outcome, write_facts
from autods.recipes.file import Plan
from autods.recipes.history import Journal
from autods.recipes.intake import Intake, check_budget, fingerprint, take
from autods.recipes.layout import is_laid_out, lay_out
from autods.recipes.passing import FINGERPRINT, PRELOAD, same_bytes_pixels
from autods.recipes.publish import place_of, publish
from autods.recipes.state import plain, refused, state, text_of
from autods.recipes.tiers import settle_tiers
from autods.run import Context, Progress, Silent, WorkflowStep, run_steps
from autods.versions import Version, find_version, freeze
from autods.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Built:
    """What a build ended in; `new` tells whether anything differed from the last version.

    The version lies in `place`: in `folder`, or in the store alone if another machine made it.
    """

    version: Version
    new: bool
    folder: Path
    place: str
    facts: Any = field(repr=False)


def build(workspace: Workspace, plan: Plan, progress: Progress | None = None) -> Built:
    """Run a recipe; run again after a kill it goes on, run again after success it does nothing.

    Builds of one dataset at once, on however many machines, share what is to be taken in; what
    regards the whole dataset one of them does at a time, and the others find it done.

    Raises SourceError, PlaceError or BudgetError; a bad input is no error but a row.
    """
    return _Build(workspace, plan, progress or Silent()).run()


def ingest(
    workspace: Workspace, plan: Plan, progress: Progress | None = None, *, listing: bool = True
) -> int:
    """List a recipe's sources and take in what is pending; returns how many inputs were done here.

    Without `listing` only what another run has listed is taken in. Any number of these may run
    at once, on any number of machines; a later `build` makes the version.
    """
    job = _Build(workspace, plan, progress or Silent())
    job.journal = Journal(job.catalog, job.dataset_id, "ingest")
    try:
        with job.journal:
            steps = job.intake_steps(listing=listing)
            done = run_steps(steps, {}, job.progress, patience=job.patience)
            job.journal.finish({"taken_in": done["ingested"]})
    finally:
        job.close()
    return int(done["ingested"])


@dataclass
class _Build:
    workspace: Workspace
    plan: Plan
    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)
    weak: WeakLabels | None = None
    new: bool = False
    state: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.recipe = self.plan.recipe
        self.catalog, self.store = self.workspace.catalog, self.workspace.store
        self.dataset_id = self.catalog.dataset_id(self.recipe.name)
        self.patience = self.workspace.settings.patience
        self.journal = Journal(self.catalog, self.dataset_id, "build")
        self.policy = fingerprint(
            asdict(self.recipe.dedup), asdict(self.recipe.validate), FINGERPRINT, CONFIRM,
            text_of(self.recipe.validate.checks),
        )  # fmt: skip

    @functools.cached_property
    def engine(self) -> Engine:
        """Start the workers when first needed: a build that finds nothing to do needs none."""
        return LocalEngine(
            self.recipe.workers, item_timeout=self.recipe.item_timeout, preload=PRELOAD
        )

    def run(self) -> Built:
        """Run the steps; the journal notes how it ended, unless nothing was there to do."""
        steps = (
            *self.intake_steps(),
            WorkflowStep("settle", self._alone(self.recipe.name, self.settle)),
        )
        try:
            with self.journal:
                context = run_steps(steps, {}, self.progress, patience=self.patience)
        finally:
            self.close()
        version = self._version(context)
        folder = self.workspace.dataset_folder(version.dataset, version.number)
        place = place_of(self.workspace, version)
        return Built(
            version=version, new=self.new, folder=folder, place=place, facts=context.get("facts")
        )

    def close(self) -> None:
        """Stop the workers, if they were started."""
        if "engine" in self.__dict__:
            self.engine.close()
            del self.engine

    def intake_steps(self, *, listing: bool = True) -> tuple[WorkflowStep, ...]:
        """The steps that several builds share; without `listing`, inputs are those known."""
        name = listing_lock(self.recipe.name)
        lists = self._alone(name, self.list_sources) if listing else self.recall_sources
        return (
            WorkflowStep("list", self._timed("list", lists)),
            WorkflowStep("ingest", self._timed("ingest", self.ingest)),
        )

    def settle(self, context: Context) -> Context:
        """Make a version of all that came in: the steps that look at the whole dataset."""
        steps = {
            "place": self.place,
            "label": self.label,
            "freeze": self.freeze,
            "export": self.export,
            "report": self.report,
            "tier": self.tier,
        }
        # Not tried again one by one: whoever lost the connection has lost the lock with it.
        timed = [
            WorkflowStep(name, self._timed(name, do), persistent=False)
            for name, do in steps.items()
        ]
        return run_steps(timed, context, self.progress)

    def _alone(self, lock: str, step: Callable[[Context], Context]) -> Callable[[Context], Context]:
        """Let no other build do the same meanwhile."""

        def alone(context: Context) -> Context:
            def waiting() -> None:
                self.progress.step(f"waiting for another build of {self.recipe.name}")

            with self.catalog.lock(lock, waiting):
                return step(context)

        return alone

    def _timed(self, name: str, step: Callable[[Context], Context]) -> Callable[[Context], Context]:
        def timed(context: Context) -> Context:
            started = time.perf_counter()
            added = step(context)
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started
            return added

        return timed

    def list_sources(self, _: Context) -> Context:
        """Ask the sources what there is; the catalog's refs become that."""
        bind(self.catalog, self.store)
        found = itertools.chain.from_iterable(map(refs_of, self.plan.sources))
        listing = list_refs(self.catalog, self.dataset_id, found)
        self.catalog.note_growth(listing.new)
        return {"listing": asdict(listing)}

    def recall_sources(self, _: Context) -> Context:
        """Take what another run has listed for what there is."""
        bind(self.catalog, self.store)
        inputs = count_refs(self.catalog, self.dataset_id)
        return {"listing": asdict(Listing(inputs=inputs, repeated=0, changed=0, new=0, gone=0))}

    def ingest(self, context: Context) -> Context:
        """Read, name, inspect and store every input that has no outcome yet."""
        intake = self._intake(context)
        if intake.pending() and self.journal.begin():
            self.store.sweep()  # The run before was killed: what it left half-written goes.
        try:
            ingested = take(intake, lambda: self.engine, self.progress)
        except UnreachableError:
            self.close()  # The next try begins with workers of its own.
            raise
        self.catalog.note_growth(ingested)
        return {"ingested": ingested}

    def _intake(self, context: Context) -> Intake:
        return Intake(
            workspace=self.workspace,
            dataset_id=self.dataset_id,
            checks=self.recipe.validate,
            http=self.recipe.http,
            inputs=context["listing"]["inputs"],
        )

    def place(self, context: Context) -> Context:
        """Give each new asset its verdict and its split, in arrival order."""
        self.progress.step("place", None)
        recipe = self.recipe
        named = judges(recipe.validate)
        placing = Placing(
            catalog=self.catalog,
            dataset_id=self.dataset_id,
            policy=self.policy,
            radius=recipe.dedup.radius,
            lookalike_radius=recipe.dedup.lookalike_radius,
            near=DedupPolicy(near=recipe.dedup.near),
            index_path=self.workspace.folder("cache") / f"{recipe.name}-{self.policy[:16]}.near",
            judge=lambda row: judge(row, named),
            filters=recipe.validate.mode == "strict",
            confirm=same_picture,
            same_pixels=functools.partial(same_bytes_pixels, self.store),
            settle=self._settle,
        )
        with contextlib.redirect_stdout(sys.stderr):  # A check may print; stdout is for JSON.
            placed = place(placing, self.progress)
        check_budget(self._intake(context), refused(self.catalog, self.dataset_id, self.policy))
        self.catalog.note_growth(placed)
        return {"placed": placed}

    def _settle(self, db: sa.Connection, kept: list[tuple[int, str, list[int]]]) -> set[int]:
        placed = [Placed(asset_id, sha256, near) for asset_id, sha256, near in kept]
        return assign_splits(self.catalog, db, self.dataset_id, placed, self.recipe.split)

    def label(self, _: Context) -> Context:
        """Enter what sources say, ask the labeling functions, and let the model join them."""
        enter_source_labels(self.catalog, self.dataset_id)
        state = self._state()
        if self.journal.last_state() == state and self._is_laid_out():
            return {"unchanged": True}
        self.journal.begin()
        functions = self.recipe.label.functions
        self.weak = self._ask_functions(functions) if functions else None
        said = self.weak.said if self.weak else []
        # All that the model says today: what it said of others before is withdrawn.
        voice = f"label model {self.recipe.label.model}"
        say(self.catalog, self.dataset_id, "weak", voice, said, complete=True)
        # Before the members are read: a label that comes in between is news to the next build.
        self.state = self._state()
        return {"unchanged": False}

    def _ask_functions(self, path: Path) -> WeakLabels:
        from autods.label import load_functions

        options = self.recipe.label
        functions = load_functions(path)
        with contextlib.redirect_stdout(sys.stderr):  # A function may print; stdout is for JSON.
            return weak_labels(
                self._members(), functions,
                classes=options.classes, model=options.model,
                tie_policy=options.tie_policy, min_probability=options.min_probability,
            )  # fmt: skip

    def freeze(self, context: Context) -> Context:
        """Freeze the members; the same members are the same version."""
        if context["unchanged"]:
            return {"version": self.journal.last_version()}
        self.progress.step("freeze")
        members = self._members().drop_columns(["asset_id"])
        if not members.num_rows:
            raise AutodsError(
                f"no member is left of {context['listing']['inputs']:,} inputs, so there is no "
                "version to make: `autods show --refused` says why"
            )
        version, new = freeze(
            self.catalog, self.store,
            dataset=self.recipe.name, members=members, recipe=plain(self.plan.written),
            stats={"members": members.num_rows},
        )  # fmt: skip
        self.new = self.new or new
        return {"version": version.number}

    def export(self, context: Context) -> Context:
        """Lay the version out for readers; only shards that changed are written."""
        if context["unchanged"]:
            return {}
        self.progress.step("export")
        lay_out(self.workspace, self._version(context), self.recipe)
        return {}

    def report(self, context: Context) -> Context:
        """Write what people look at, and note the state that all this stands for."""
        if context["unchanged"]:
            return {}
        self.progress.step("report")
        outcome = Outcome(
            policy=self.policy,
            listing=Listing(**context["listing"]),
            weak=self.weak,
            seconds=self.seconds,
            ingested=context["ingested"],
        )
        version = self._version(context)
        facts = write_facts(self.workspace, version, self.plan, outcome, self.engine)
        publish(self.workspace, version)
        self.journal.done(self.state, context["version"], self.seconds)
        return {"facts": facts}

    def tier(self, _: Context) -> Context:
        """Keep the first samples in the hot store and the others in the cold one, if there is."""
        threshold = self.workspace.settings.hot_storage_threshold
        settle_tiers(
            self.catalog, self.store, self.dataset_id, self.policy, threshold, self.progress
        )
        return {}

    def _version(self, context: Context) -> Version:
        return find_version(self.catalog, f"{self.recipe.name}@v{context['version']}")

    def _members(self) -> Any:
        return read_members(self.catalog, self.dataset_id, self.policy, in_force(self.dataset_id))

    def _state(self) -> list[Any]:
        return state(self.catalog, self.dataset_id, self.policy, self.recipe)

    def _is_laid_out(self) -> bool:
        number = self.journal.last_version()
        if number is None:
            return False
        version = find_version(self.catalog, f"{self.recipe.name}@v{number}")
        laid_out = is_laid_out(self.workspace, self.recipe, number, version.digest)
        return laid_out and self.store.has(version.manifest)
