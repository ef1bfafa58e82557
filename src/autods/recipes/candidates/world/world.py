"""A made-up service whose users send photos: its database, its photos and its gold, over time."""

import datetime as dt
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from autods.errors import UsageError
from autods.recipes.candidates.config import CLASSES
from autods.recipes.candidates.world import truth
from autods.recipes.candidates.world.database import create_table, write_rows
from autods.recipes.candidates.world.drawing import DAY, MINUTE, Drawer, Setting, draw_predictions
from autods.recipes.candidates.world.ground import (
    draw_deletions,
    draw_gold,
    draw_mass_update,
    draw_older_rows,
    gold_at,
    tend_gold,
)
from autods.recipes.candidates.world.photo_troubles import PHOTO_TROUBLES
from autods.recipes.candidates.world.row_troubles import ROW_TROUBLES
from autods.recipes.candidates.world.shapes import File, Life, Look

if TYPE_CHECKING:
    from autods.recipes.candidates.world.pictures import Pictures

Put = Callable[[str, bytes | None], None]
"""Writes an object, or deletes it where there are no bytes."""

OVERLAP = dt.timedelta(hours=1)


class World:
    """The whole history of a service, drawn from a seed; it becomes real up to any moment.

    `per_day` predictions come on an average day, `gold` images are there before the first, and
    `trouble` says how much of it is untidy: at 0 nothing, at 1 more than half. `bucket` and `host`
    are what photo URLs name where they name more than a key. `census` tells how many there are of
    each trouble. All moments are UTC without a zone. Raises UsageError if a number is too small.

    >>> world = World(dt.date(2024, 11, 1), 30)
    >>> world.census["unknown class, put right"] > 0
    True
    """

    def __init__(
        self,
        start: dt.date,
        days: int,
        *,
        per_day: int = 8,
        seed: int = 7,
        gold: int = 60,
        classes: Sequence[str] = CLASSES,
        trouble: float = 1.0,
        bucket: str = "photos",
        host: str = "minio:9000",
    ) -> None:
        self.setting = Setting(
            start=start, days=days, per_day=per_day, seed=seed, gold=gold, classes=(*classes,),
            trouble=trouble, bucket=bucket, host=host,
        )  # fmt: skip
        _refuse_small(self.setting)
        drawer = _drawn(self.setting)
        self.lives: list[Life] = drawer.lives
        self.census = dict(sorted(drawer.census.items()))
        self._gold = drawer.gold
        self._applied: dict[str, dt.datetime] = {}

    @cached_property
    def pictures(self) -> "Pictures":
        """The pictures of this world, by number."""
        from autods.recipes.candidates.world.pictures import Pictures

        return Pictures(self.setting.seed)

    def create(self, url: str, *, zoned: bool = False) -> None:
        """Create `user_styles` in a database, empty; `zoned` makes its times `timestamptz`."""
        create_table(url, zoned=zoned)

    def advance(self, url: str, photos: Put, gold: Put, until: dt.datetime) -> None:
        """Let everything happen that happens before `until` and has not happened here yet."""
        since = self._applied.get(url, dt.datetime.min)  # noqa: DTZ901 - UTC throughout
        for key, file in self._photo_changes(since, until):
            photos(key, file if file is None else self.pictures.data(file))
        self._write_gold(gold, since, until)
        write_rows(url, self.lives, since, until)
        self._applied[url] = max(since, until)

    def _photo_changes(
        self, since: dt.datetime, until: dt.datetime
    ) -> "list[tuple[str, File | None]]":
        """List uploads in their order, then what goes with its user."""
        come, go = dict[str, tuple[dt.datetime, File]](), list[tuple[str, File | None]]()
        for life in self.lives:
            gone = life.gone if life.gone is not None and life.gone < until else None
            for shot in life.shots:
                if shot.key is None or shot.file is None:
                    continue
                if gone is not None and gone >= since and shot.at < since:
                    go.append((shot.key, None))
                elif gone is None and since <= shot.at < until:
                    come[shot.key] = (shot.at, shot.file)
        order = sorted(come.items(), key=lambda item: item[1][0])
        return [*((key, file) for key, (_, file) in order), *dict(go).items()]

    def _write_gold(self, put: Put, since: dt.datetime, until: dt.datetime) -> None:
        before, after = gold_at(self._gold, since), gold_at(self._gold, until)
        for key in sorted(before.keys() | after.keys()):
            if key not in after:
                put(key, None)
            elif before.get(key) != after[key]:
                put(key, self.pictures.data(after[key]))

    def usual_looks(self, until: dt.datetime) -> list[Look]:
        """Give the runs that were due by then: at 00:05 for the day before, at 01:00 on the 1st."""
        looks = []
        day = self.setting.start
        while (at := dt.datetime.combine(day + DAY, dt.time(0, 5))) <= until:
            looks.append(Look(at, day))
            monthly = at + 55 * MINUTE
            if monthly.day == 1 and monthly <= until:
                looks.append(Look(monthly, month=(day.year, day.month)))
            day += DAY
        return looks

    def day_truth(
        self, day: dt.date, as_of: dt.datetime, runs: Sequence[Look] | None = None
    ) -> truth.DayTruth:
        """Work out what a day's folder must hold after the runs up to a moment.

        A run sees what happened before its own moment. `runs`, in order of time, tells which there
        were, where they were not the usual ones: late, missed, twice.
        """
        looks = self._looks(as_of, runs)
        while looks and not truth.publishes(looks[-1], day):
            looks.pop()
        known = truth.see(self.lives, looks, OVERLAP)
        return truth.day_of(day, known, looks, self.setting.classes, self.pictures.digest)

    def month_truth(
        self, year: int, month: int, as_of: dt.datetime, runs: Sequence[Look] | None = None
    ) -> truth.MonthTruth:
        """Work out what a month's datasets must hold if a monthly run looks at this moment."""
        looks = self._looks(as_of, runs)
        if not looks or looks[-1] != (this := Look(as_of, month=(year, month))):
            looks.append(this)
        known = truth.see(self.lives, looks, OVERLAP)
        classes, digest = self.setting.classes, self.pictures.digest
        ours = [one for one in known if (one.life.day.year, one.life.day.month) == (year, month)]
        gold = [*truth.gold_photos(gold_at(self._gold, as_of), classes)]

        def chosen(*, only_verified: bool) -> truth.SetTruth:
            new = truth.candidate_photos(ours, as_of, classes, only_verified=only_verified)
            return truth.set_of([*gold, *new], classes, digest)

        days = sorted({one.life.day for one in ours})
        dates = [
            day.isoformat()
            for day in days
            if truth.day_of(day, ours, looks, classes, digest).objects
        ]
        return truth.MonthTruth(
            verified=chosen(only_verified=True),
            full=chosen(only_verified=False),
            collection_dates=dates,
        )

    def _looks(self, as_of: dt.datetime, runs: Sequence[Look] | None) -> list[Look]:
        if runs is None:
            return self.usual_looks(as_of)
        return [look for look in runs if look.at <= as_of]


def _drawn(setting: Setting) -> Drawer:
    drawer = Drawer(setting)
    draw_gold(drawer)
    draw_predictions(drawer, PHOTO_TROUBLES, ROW_TROUBLES)
    draw_older_rows(drawer)
    draw_deletions(drawer)
    draw_mass_update(drawer)
    tend_gold(drawer)
    days = [setting.start + number * DAY for number in range(setting.days)]
    drawer.census["days without predictions"] = sum(drawer.is_quiet(day) for day in days)
    return drawer


def _refuse_small(setting: Setting) -> None:
    """Refuse numbers that make no world."""
    least = {"days": 1, "per_day": 1, "gold": 0, "trouble": 0}
    for name, low in least.items():
        if getattr(setting, name) < low:
            raise UsageError(f"{name} is {getattr(setting, name)}: choose {low} or more")
    if setting.trouble > 1:
        raise UsageError(f"trouble is {setting.trouble}: choose 0 to 1")
    if len(setting.classes) < 2:
        raise UsageError(f"classes are {len(setting.classes)}: two are needed at least")
