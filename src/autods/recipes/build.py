"""The main job: sources in; an immutable, deduplicated, labelled, split, sharded version out."""

import contextlib
import functools
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from autods.assemble.checks import judge, judges
from autods.assemble.members import read_members
from autods.assemble.splits import Placed, assign_splits
from autods.catalog.tables import labels, placements, refs
from autods.dedup.confirm import FINGERPRINT as CONFIRM
from autods.dedup.confirm import same_picture
from autods.dedup.decide import DedupPolicy
from autods.dedup.place import Placing, place
from autods.engine import Engine, LocalEngine
from autods.errors import AutodsError, SourceError
from autods.ingest.listing import Listing, list_refs
from autods.label.ledger import enter_source_labels, in_force, say
from autods.label.weak import WeakLabels, weak_labels
from autods.recipes.facts import Outcome, write_facts
from autods.recipes.file import Plan
from autods.recipes.history import Journal
from autods.recipes.intake import Intake, check_budget, fingerprint, take
from autods.recipes.layout import is_laid_out, lay_out
from autods.recipes.passing import FINGERPRINT, PRELOAD, same_bytes_pixels
from autods.records import Ref
from autods.run import Context, Progress, Silent, WorkflowStep, run_steps
from autods.versions import Version, find_version, freeze
from autods.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Built:
    """What a build ended in; `new` tells whether anything differed from the last version."""

    version: Version
    new: bool
    folder: Path
    facts: Any = field(repr=False)


def build(workspace: Workspace, plan: Plan, progress: Progress | None = None) -> Built:
    """Run a recipe; run again after a kill it goes on, run again after success it does nothing.

    Raises SourceError, PlaceError or BudgetError; a bad input is no error but a row.
    """
    with workspace.catalog.lock(plan.recipe.name):
        job = _Build(workspace, plan, progress or Silent())
        return job.run()


@dataclass
class _Build:
    workspace: Workspace
    plan: Plan
    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)
    weak: WeakLabels | None = None

    def __post_init__(self) -> None:
        self.recipe = self.plan.recipe
        self.catalog, self.store = self.workspace.catalog, self.workspace.store
        self.dataset_id = self.catalog.dataset_id(self.recipe.name)
        self.journal = Journal(self.catalog, self.dataset_id, "build")
        self.policy = fingerprint(
            asdict(self.recipe.dedup), asdict(self.recipe.validate), FINGERPRINT, CONFIRM,
            _text_of(self.recipe.validate.checks),
        )  # fmt: skip

    @functools.cached_property
    def engine(self) -> Engine:
        """Start the workers when first needed: a build that finds nothing to do needs none."""
        return LocalEngine(
            self.recipe.workers, item_timeout=self.recipe.item_timeout, preload=PRELOAD
        )

    def run(self) -> Built:
        """Run the steps; the journal notes how it ended, unless nothing was there to do."""
        steps = {
            "list": self.list_sources,
            "ingest": self.ingest,
            "place": self.place,
            "label": self.label,
            "freeze": self.freeze,
            "export": self.export,
            "report": self.report,
        }
        timed = [WorkflowStep(name, self._timed(name, step)) for name, step in steps.items()]
        try:
            with self.journal:
                context = run_steps(timed, {}, self.progress)
        finally:
            if "engine" in self.__dict__:
                self.engine.close()
        version = find_version(self.catalog, f"{self.recipe.name}@v{context['version']}")
        folder = self.workspace.dataset_folder(version.dataset, version.number)
        return Built(version=version, new=context["new"], folder=folder, facts=context.get("facts"))

    def _timed(self, name: str, step: Callable[[Context], Context]) -> Callable[[Context], Context]:
        def timed(context: Context) -> Context:
            started = time.perf_counter()
            added = step(context)
            self.seconds[name] = time.perf_counter() - started
            return added

        return timed

    def list_sources(self, _: Context) -> Context:
        """Ask the sources what there is; the catalog's refs become that."""
        found = itertools.chain.from_iterable(map(_refs_of, self.plan.sources))
        listing = list_refs(self.catalog, self.dataset_id, found)
        return {"listing": asdict(listing)}

    def ingest(self, context: Context) -> Context:
        """Read, name, inspect and store every input that has no outcome yet."""
        intake = self._intake(context)
        if intake.pending() and self.journal.begin():
            self.store.sweep()  # The run before was killed: what it left half-written goes.
        return {"ingested": take(intake, lambda: self.engine, self.progress)}

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
        check_budget(self._intake(context), self._refused())
        return {"placed": placed}

    def _refused(self) -> int:
        """Count what was refused by the pass or by the checks."""
        refused = sa.select(sa.func.count()).where(
            refs.c.dataset_id == self.dataset_id,
            refs.c.gone_at.is_(None),
            refs.c.status.in_(("rejected", "failed")),
        )
        judged = sa.select(sa.func.count()).where(*self._mine, placements.c.verdict == "rejected")
        with self.catalog.read() as db:
            return (db.scalar(refused) or 0) + (db.scalar(judged) or 0)

    @property
    def _mine(self) -> tuple[sa.ColumnElement[bool], ...]:
        here = placements.c.dataset_id == self.dataset_id
        return (here, placements.c.policy == self.policy)

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
            return {"version": self.journal.last_version(), "new": False}
        self.progress.step("freeze")
        members = self._members().drop_columns(["asset_id"])
        if not members.num_rows:
            raise AutodsError(
                f"no member is left of {context['listing']['inputs']:,} inputs, so there is no "
                "version to make: `autods show --refused` says why"
            )
        version, new = freeze(
            self.catalog, self.store,
            dataset=self.recipe.name, members=members, recipe=_plain(self.plan.written),
            stats={"members": members.num_rows},
        )  # fmt: skip
        return {"version": version.number, "new": new}

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
        self.journal.done(self._state(), context["version"], self.seconds)
        return {"facts": facts}

    def _version(self, context: Context) -> Version:
        return find_version(self.catalog, f"{self.recipe.name}@v{context['version']}")

    def _members(self) -> Any:
        return read_members(self.catalog, self.dataset_id, self.policy, in_force(self.dataset_id))

    def _state(self) -> list[Any]:
        """Sum up all that a version is made from, cheaply: equal states give equal versions."""
        live = (refs.c.dataset_id == self.dataset_id, refs.c.gone_at.is_(None))
        with self.catalog.read() as db:
            placed = db.execute(
                sa.select(sa.func.count(), sa.func.max(placements.c.seq)).where(*self._mine)
            ).one()
            seen = db.execute(
                sa.select(
                    sa.func.count(), sa.func.max(refs.c.id), sa.func.max(refs.c.changed_at)
                ).where(*live)
            ).one()
            said = db.scalar(
                sa.select(sa.func.max(labels.c.id)).where(labels.c.dataset_id == self.dataset_id)
            )
        recipe = fingerprint(_plain(asdict(self.recipe)), _text_of(self.recipe.label.functions))
        return [recipe, self.policy, *placed, *seen[:2], str(seen[2]), said]

    def _is_laid_out(self) -> bool:
        number = self.journal.last_version() or 0
        return is_laid_out(self.workspace, self.recipe, number)


def _refs_of(source: Callable[[], Iterator[Ref]]) -> Iterator[Ref]:
    """List a source; whatever a user's own function raises is one sentence."""
    try:
        yield from source()
    except (AutodsError, OSError):
        raise
    except Exception as error:
        raise SourceError(f"a source failed: {type(error).__name__}: {error}") from error


def _text_of(path: Path | None) -> str | None:
    return path.read_text(encoding="utf-8") if path and path.is_file() else None


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a recipe into what JSON can hold: a date in a YAML file is no JSON."""
    return json.loads(json.dumps(value, default=str))  # type: ignore[no-any-return]
