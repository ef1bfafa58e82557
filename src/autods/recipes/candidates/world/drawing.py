"""Draws the whole history of a made-up world from its seed: users, their predictions, and gold."""

import datetime as dt
import json
import random
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from autods.recipes.candidates.world.shapes import File, GoldEvent, Life, Shot

DAY = dt.timedelta(days=1)
MINUTE = dt.timedelta(minutes=1)
SECOND = dt.timedelta(seconds=1)

QUIET_EVERY, QUIET = 30, 9
"""One day in thirty nobody uses the service."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a world is asked to be."""

    start: dt.date
    days: int
    per_day: int
    seed: int
    gold: int
    classes: Sequence[str]
    trouble: float
    bucket: str
    host: str

    @property
    def begin(self) -> dt.datetime:
        """The first moment."""
        return dt.datetime.combine(self.start, dt.time())

    @property
    def end(self) -> dt.date:
        """The day after the last."""
        return self.start + dt.timedelta(days=self.days)


@dataclass
class Drawer:
    """What is known while a world is drawn, and the dice."""

    setting: Setting
    lives: list[Life] = field(default_factory=list)
    gold: list[GoldEvent] = field(default_factory=list)
    census: Counter[str] = field(default_factory=Counter)
    pictures: int = 0
    users: list[str] = field(default_factory=list)
    good: list[tuple[Life, int]] = field(default_factory=list)
    """Photos that can be had at once, as (life, place): what a copy may be made of."""

    def __post_init__(self) -> None:
        self.random = random.Random(self.setting.seed)  # noqa: S311 - an example, not a secret

    def name(self) -> str:
        """Draw an id as PostgreSQL writes it."""
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def picture(self, kind: str = "jpg") -> File:
        """Take a picture that is like none before it."""
        self.pictures += 1
        return File(self.pictures - 1, kind)

    def between(self, low: dt.timedelta, high: dt.timedelta) -> dt.timedelta:
        """Draw a span of whole seconds."""
        return dt.timedelta(
            seconds=self.random.randint(int(low.total_seconds()), int(high.total_seconds()))
        )

    def other_class(self, than: str | None) -> str:
        """Draw a class that is not this one."""
        return self.random.choice([name for name in self.setting.classes if name != than])

    def is_quiet(self, day: dt.date) -> bool:
        """Tell whether nobody comes on a day."""
        number = (day - self.setting.start).days
        return self.setting.trouble > 0 and number % QUIET_EVERY == QUIET

    def user(self) -> int:
        """Draw who it is: somebody who came lately, or somebody new."""
        if self.users and self.random.random() < 0.5:
            return self.random.randrange(max(0, len(self.users) - 40), len(self.users))
        self.users.append(self.name())
        return len(self.users) - 1

    def life(self, created: dt.datetime) -> Life:
        """Draw a prediction with one to four good photos; nothing happens to it yet."""
        kind = self.random.choice(self.setting.classes)
        guess = kind if self.random.random() < 0.8 else self.other_class(kind)
        user = self.user()
        life = Life(
            number=len(self.lives),
            id=self.name(),
            user=user,
            user_id=self.users[user],
            kind=kind,
            initial=guess,
            style=guess,
            confidence=round(self.random.uniform(0.3, 0.99), 4),
            created=created,
            updated=created,
            visible=created,
        )
        count = self.random.choices((1, 2, 3, 4), (30, 30, 25, 15))[0]
        life.shots = [self.shot(life) for _ in range(count)]
        self.lives.append(life)
        return life

    def shot(self, life: Life) -> Shot:
        """Draw a new photo of a user, uploaded before the row is there."""
        key = f"users/{life.user + 1}/{self.random.getrandbits(48):012x}.jpg"
        return Shot(key, key, self.picture(), life.visible - 5 * MINUTE)

    def respell(self, life: Life, place: int, form: str) -> None:
        """Write a photo's URL in another way."""
        self.replace(life, place, url=form.format(key=life.shots[place].key, **self._hosts()))

    def replace(self, life: Life, place: int, **changes: object) -> None:
        """Change something of a photo."""
        life.shots[place] = life.shots[place]._replace(**changes)  # type: ignore[arg-type]

    def _hosts(self) -> dict[str, str]:
        return {"bucket": self.setting.bucket, "host": self.setting.host}


Trouble = Callable[[Drawer, Life], bool]
"""Makes a prediction untidy, or tells that it cannot: False, and nothing is changed."""


class Deck:
    """Troubles in a drawn order, each equally often, with many predictions that have none."""

    def __init__(self, dice: random.Random, names: Sequence[str], size: int, share: float) -> None:
        each = round(size * share / len(names))
        if share > 0:
            each = max(each, 1)
        self._cards: list[str | None] = [name for name in names for _ in range(each)]
        self._cards += [None] * (size - len(self._cards))
        dice.shuffle(self._cards)

    def deal(self, fits: Callable[[str], bool]) -> str | None:
        """Deal the next; one that does not fit goes under the deck for another."""
        name = self._cards.pop() if self._cards else None
        if name is None or fits(name):
            return name
        self._cards.insert(0, name)
        return None


def draw_predictions(
    drawer: Drawer, photos: Mapping[str, Trouble], rows: Mapping[str, Trouble]
) -> None:
    """Draw all days; troubles of `photos` and `rows` are dealt out independently."""
    days = [drawer.setting.start + n * DAY for n in range(drawer.setting.days)]
    moments = [moment for day in days for moment in _moments(drawer, day)]
    share = 0.5 * drawer.setting.trouble
    photo_deck = Deck(drawer.random, [*photos], len(moments), share)
    row_deck = Deck(drawer.random, [*rows], len(moments), share)
    for moment in moments:
        life = drawer.life(moment)
        row = row_deck.deal(lambda name: rows[name](drawer, life))  # noqa: B023 - called at once
        photo = photo_deck.deal(lambda name: photos[name](drawer, life))  # noqa: B023
        drawer.census.update(name for name in (row, photo) if name)
        _verify(drawer, life, is_free=row is None)
        seal(drawer, life)
        drawer.good += [
            (life, place)
            for place, shot in enumerate(life.taken)
            if shot.file and not shot.file.is_broken and shot.at < life.visible
        ]


def _moments(drawer: Drawer, day: dt.date) -> list[dt.datetime]:
    """Draw when people come on a day, in order; half of the clocks count microseconds."""
    if drawer.is_quiet(day):
        return []
    midnight = dt.datetime.combine(day, dt.time())
    mean = drawer.setting.per_day
    count = drawer.random.randint(max(1, mean - mean // 3), mean + mean // 3)
    seconds = sorted(drawer.random.randrange(1, 86_400) for _ in range(count))
    fractions = [drawer.random.choice((0, drawer.random.randrange(1_000_000))) for _ in seconds]
    return [
        midnight + dt.timedelta(seconds=second, microseconds=micro)
        for second, micro in zip(seconds, fractions, strict=True)
    ]


def _verify(drawer: Drawer, life: Life, *, is_free: bool) -> None:
    """Have a person look at two of five, half of them soon; a trouble has its own plan."""
    if not is_free or life.changes or drawer.random.random() >= 0.4:
        return
    soon = drawer.random.random() < 0.5
    delay = drawer.between(20 * MINUTE, DAY / 2) if soon else drawer.between(DAY, 20 * DAY)
    life.change(life.created + delay, style=life.kind, is_verified=True)


def seal(drawer: Drawer, life: Life) -> None:
    """Write the photos into the row's two columns, unless a trouble has written them."""
    if life.photo_urls is None and life.photo_url is None and life.shots:
        urls = [shot.url for shot in life.shots]
        life.photo_urls = json.dumps(urls)
        life.photo_url = drawer.random.choice((urls[0], None))
