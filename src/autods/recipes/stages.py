"""What recipes do, stage by stage: each handler takes a small context and adds to it."""

import contextlib
import datetime as dt
import functools
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa

from autods.assemble.checks import judge, judges
from autods.assemble.members import read_members
from autods.assemble.splits import Placed, assign_splits
from autods.dedup.confirm import FINGERPRINT as CONFIRM
from autods.dedup.confirm import same_picture
from autods.dedup.decide import DedupPolicy
from autods.dedup.place import place
from autods.dedup.waiting import Placing, judge_waiting
from autods.engine import Engine, LocalEngine
from autods.errors import EmptyError
from autods.ingest.listing import Listing, count_refs, list_refs, refs_of
from autods.label.ledger import enter_source_labels, in_force, say
from autods.label.weak import WeakLabels, weak_labels
from autods.recipes.bond import bind
from autods.recipes.facts import Outcome, write_facts
from autods.recipes.file import Plan
from autods.recipes.history import Journal
from autods.recipes.intake import Intake, check_budget, fingerprint, take
from autods.recipes.layout import is_laid_out, lay_out
from autods.recipes.passing import FINGERPRINT, PRELOAD, same_bytes_pixels
from autods.recipes.publish import publish
from autods.recipes.state import plain, refused, state, text_of
from autods.recipes.tiers import settle_tiers
from autods.records import Ref
from autods.run import Context, Progress
from autods.versions import Version, find_version, freeze
from autods.workspace import Workspace

Handler = Callable[[Context], Context]


@dataclass
class Stages:
    """The stages of one run over one dataset; a context is all that goes from one to the next.

    Handlers are idempotent, and need nothing of those before them but the context: a run that was
    killed goes on in another process. `verb` is the recipe the journal keeps; with `run_id` the
    run is in it already. `threshold` is how many images lie hot, if not what the settings say;
    without `html` no report is written to look at; crawls begun after `since` are not begun again.
    """

    workspace: Workspace
    plan: Plan
    progress: Progress
    verb: str = "build"
    run_id: int | None = None
    weak: WeakLabels | None = field(default=None, init=False)
    new: bool = field(default=False, init=False)
    facts: Any = field(default=None, init=False)
    threshold: int | None = None
    html: bool = True
    since: dt.datetime | None = None
    manners: Any = field(default=None, init=False)
    allow: Any = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.recipe = self.plan.recipe
        self.catalog, self.store = self.workspace.catalog, self.workspace.store
        self.dataset_id = self.catalog.dataset_id(self.recipe.name)
        self.patience = self.workspace.settings.patience
        self.journal = Journal(self.catalog, self.dataset_id, self.verb, self.run_id)
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

    def close(self) -> None:
        """Stop the workers, if they were started."""
        if "engine" in self.__dict__:
            self.engine.close()
            del self.engine

    def alone(self, step: Handler, lock: str = "") -> Handler:
        """Let no other run do the same with this dataset meanwhile."""

        def alone(context: Context) -> Context:
            def waiting() -> None:
                self.progress.step(f"waiting for another build of {self.recipe.name}")

            with self.catalog.lock(lock or self.recipe.name, waiting):
                return step(context)

        return alone

    def timed(self, name: str, step: Handler) -> Handler:
        """Note how long a stage took, in the context's `seconds`."""

        def timed(context: Context) -> Context:
            started = time.perf_counter()
            added = step(context)
            spent = context.get("seconds", {})
            took = spent.get(name, 0.0) + time.perf_counter() - started
            return {**added, "seconds": {**spent, name: round(took, 3)}}

        return timed

    def list_sources(self, _: Context) -> Context:
        """Ask the sources what there is; the catalog's refs become that."""
        bind(self.catalog, self.store)
        crawled = self._crawl()
        sources: list[Callable[[], Iterator[Ref]]] = [*self._found(), *self.plan.sources]
        found = itertools.chain.from_iterable(map(refs_of, sources))
        listing = list_refs(self.catalog, self.dataset_id, found)
        self.catalog.note_growth(listing.new)
        return {"listing": asdict(listing), "crawled": crawled}

    def _crawl(self) -> dict[str, Any]:
        """Crawl what is to be crawled, taking images in on the way."""
        if not self.plan.crawls:
            return {}
        from autods.recipes.crawling import Crawling

        intake = self._intake({"listing": {"inputs": 0}})
        crawling = Crawling(intake, lambda: self.engine, self.progress, self.since)
        self.manners, self.allow = crawling.manners, crawling.allow
        with self._afresh():
            return {source.name: crawling.crawl(source) for source in self.plan.crawls}

    def _found(self) -> list[Callable[[], Iterator[Ref]]]:
        """Give the images of each crawl, in the order in which they were found."""
        if not self.plan.crawls:
            return []
        from autods.crawl.crawl import crawl_refs

        def images(name: str) -> Iterator[Ref]:
            return (ref for _, ref in crawl_refs(self.catalog, self.dataset_id, name))

        return [functools.partial(images, source.name) for source in self.plan.crawls]

    def recall_sources(self, _: Context) -> Context:
        """Take what another run has listed for what there is."""
        bind(self.catalog, self.store)
        inputs = count_refs(self.catalog, self.dataset_id)
        return {"listing": asdict(Listing(inputs=inputs, repeated=0, changed=0, new=0, gone=0))}

    def ingest(self, context: Context) -> Context:
        """Read, name, inspect and store every input that has no outcome yet."""
        intake = self._intake(context)
        if intake.pending():
            self.journal.begin()
            if self.journal.was_killed:
                self.store.sweep()  # What the run before left half-written goes.
        with self._afresh():
            ingested = take(intake, lambda: self.engine, self.progress)
        self.catalog.note_growth(ingested)
        on_the_way = sum(crawl["taken_in"] for crawl in context.get("crawled", {}).values())
        return {"ingested": ingested + on_the_way}

    @contextlib.contextmanager
    def _afresh(self) -> Iterator[None]:
        """Let the next try begin with workers of its own: an engine that was left is closed."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _intake(self, context: Context) -> Intake:
        return Intake(
            workspace=self.workspace,
            dataset_id=self.dataset_id,
            checks=self.recipe.validate,
            http=self.recipe.http,
            inputs=context["listing"]["inputs"],
            manners=self.manners,
            allow=self.allow,
        )

    def validate(self, _: Context) -> Context:
        """Ask the checks about every new asset; what they say counts when it is placed."""
        self.progress.step("validate")
        with contextlib.redirect_stdout(sys.stderr):  # A check may print; stdout is for JSON.
            return {"refused_by": judge_waiting(self._placing(), self.progress)}

    def place(self, context: Context) -> Context:
        """Give each new asset its verdict and its split, in arrival order."""
        self.progress.step("place")
        with contextlib.redirect_stdout(sys.stderr):
            placed = place(self._placing(), self.progress)
        check_budget(self._intake(context), refused(self.catalog, self.dataset_id, self.policy))
        self.catalog.note_growth(placed)
        return {"placed": placed}

    def _placing(self) -> Placing:
        recipe = self.recipe
        named = judges(recipe.validate)
        return Placing(
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

    def _settle(self, db: sa.Connection, kept: list[tuple[int, str, list[int]]]) -> set[int]:
        placed = [Placed(asset_id, sha256, near) for asset_id, sha256, near in kept]
        return assign_splits(self.catalog, db, self.dataset_id, placed, self.recipe.split)

    def label(self, _: Context) -> Context:
        """Enter what sources say, ask the labeling functions, and let the model join them.

        The state is that before the members are read: a label that comes in between is news to
        the next run.
        """
        enter_source_labels(self.catalog, self.dataset_id)
        state = self._state()
        if self.journal.last_state() == state and self._is_laid_out():
            return {"unchanged": True}
        self.journal.begin()
        self.weak = self._weak()
        said = self.weak.said if self.weak else []
        # All that the model says today: what it said of others before is withdrawn.
        voice = f"label model {self.recipe.label.model}"
        say(self.catalog, self.dataset_id, "weak", voice, said, complete=True)
        return {"unchanged": False, "state": self._state()}

    def _weak(self) -> WeakLabels | None:
        """Ask the labeling functions, where the recipe names some."""
        from autods.label import load_functions

        options = self.recipe.label
        if not options.functions:
            return None
        functions = load_functions(options.functions)
        with contextlib.redirect_stdout(sys.stderr):  # A function may print; stdout is for JSON.
            return weak_labels(
                self.members(), functions,
                classes=options.classes, model=options.model,
                tie_policy=options.tie_policy, min_probability=options.min_probability,
            )  # fmt: skip

    def freeze(self, context: Context) -> Context:
        """Freeze the members; the same members are the same version."""
        if context["unchanged"]:
            return {"version": self.journal.last_version()}
        self.progress.step("freeze")
        members = self.members().drop_columns(["asset_id"])
        if not members.num_rows:
            raise EmptyError(
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
        lay_out(self.workspace, self.version(context), self.recipe)
        return {}

    def report(self, context: Context) -> Context:
        """Write what people look at, and note the state that all this stands for."""
        if context["unchanged"]:
            return {}
        self.progress.step("report")
        outcome = Outcome(
            policy=self.policy,
            listing=Listing(**context["listing"]),
            weak=self.weak or self._weak(),  # Asked by another process, before it was killed.
            seconds=_spent(context),
            ingested=context["ingested"],
            html=self.html,
        )
        version = self.version(context)
        self.facts = write_facts(self.workspace, version, self.plan, outcome, self.engine)
        publish(self.workspace, version)
        self.journal.done(context["state"], context["version"], _spent(context))
        return {}

    def tier(self, _: Context) -> Context:
        """Keep the first samples in the hot store and the others in the cold one, if there is."""
        threshold = self.threshold
        if threshold is None:
            threshold = self.workspace.settings.hot_storage_threshold
        settle_tiers(
            self.catalog, self.store, self.dataset_id, self.policy, threshold, self.progress
        )
        return {}

    def version(self, context: Context) -> Version:
        """Give the version that a context has come to."""
        return find_version(self.catalog, f"{self.recipe.name}@v{context['version']}")

    def members(self) -> Any:
        """Read what a version made now would hold."""
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


def _spent(context: Context) -> dict[str, float]:
    """Give the seconds of each stage; what a crawl took in on the way was no listing."""
    spent = dict(context["seconds"])
    taking_in = sum(crawl["seconds"] for crawl in context.get("crawled", {}).values())
    for stage, more in (("list", -taking_in), ("ingest", taking_in)):
        spent[stage] = round(spent.get(stage, 0.0) + more, 3)
    return spent
