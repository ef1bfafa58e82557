"""What is drawn around the predictions: gold, rows of an older time, deletions, one mass update."""

import datetime as dt
from collections import Counter

from autods.recipes.candidates.world.drawing import DAY, MINUTE, Drawer, seal
from autods.recipes.candidates.world.shapes import File, GoldEvent, Life, class_of, object_name

GOLD = "datasets/gold"

_SETTLED = dt.timedelta(days=4, hours=12)
"""Gold is tended at noon of a month's fifth day."""


def draw_gold(drawer: Drawer) -> None:
    """Draw the gold that is there before the first day, a few untidy objects among it."""
    at, classes = drawer.setting.begin - DAY, drawer.setting.classes
    for number in range(drawer.setting.gold):
        kind = "png" if number % 10 == 3 else "jpg"
        name = f"{classes[number % len(classes)]}/gold_{number:04d}.{kind}"
        drawer.gold.append(GoldEvent(at, f"{GOLD}/{name}", drawer.picture(kind)))
    if drawer.setting.trouble and drawer.setting.gold:
        _untidy_gold(drawer, at)


def _untidy_gold(drawer: Drawer, at: dt.datetime) -> None:
    classes = drawer.setting.classes
    first = drawer.gold[0].file or drawer.picture()
    untidy = {
        "gold copied within its class": (f"{classes[0]}/zz_copy.jpg", first),
        "gold near, other class": (
            f"{classes[-1]}/zz_near.jpg",
            first._replace(form="near", turn=1),
        ),
        "gold truncated": (f"{classes[0]}/zz_cut.jpg", drawer.picture()._replace(form="cut")),
        "gold of an unknown class": ("Gothic/gold_1.jpg", drawer.picture()),
    }
    for name, (path, file) in untidy.items():
        drawer.gold.append(GoldEvent(at, f"{GOLD}/{path}", file))
        drawer.census[name] += 1


def draw_older_rows(drawer: Drawer) -> None:
    """Draw predictions from before the first day that are updated later: nobody's candidates."""
    total = drawer.setting.days * drawer.setting.per_day
    for _ in range(max(2, round(total * 0.02)) if drawer.setting.trouble else 0):
        life = drawer.life(drawer.setting.begin - drawer.between(DAY / 24, 30 * DAY))
        seal(drawer, life)
        span = drawer.setting.days * DAY
        life.change(
            drawer.setting.begin + drawer.between(MINUTE, span), style=life.kind, is_verified=True
        )
        drawer.census["from before the start"] += 1


def draw_deletions(drawer: Drawer) -> None:
    """Let some users leave: all their rows and photos go at one moment."""
    late = {life.user for life in drawer.lives for s in life.shots if s.at >= life.visible}
    users = sorted({life.user for life in drawer.lives} - late)
    count = round(len(users) * 0.05 * drawer.setting.trouble) if drawer.setting.trouble else 0
    for user in drawer.random.sample(users, min(len(users), max(count, 2))) if count else []:
        lives = [life for life in drawer.lives if life.user == user]
        last = max(life.visible for life in lives)
        soon = drawer.census["deleted users"] % 4 == 3
        span = (MINUTE, DAY / 4) if soon else (DAY, 25 * DAY)
        gone = last + drawer.between(*span)
        for life in lives:
            life.gone = gone
        drawer.census["deleted users"] += 1
        drawer.census["deleted rows"] += len(lives)


def draw_mass_update(drawer: Drawer) -> None:
    """Touch all rows of some days at one and the same moment, as a migration does."""
    if not drawer.setting.trouble:
        return
    at = drawer.setting.begin + (drawer.setting.days // 2) * DAY + DAY / 2
    for life in drawer.lives:
        if at - 5 * DAY < life.visible < at - 2 * MINUTE:
            life.change(at)
            drawer.census["updated at one moment"] += 1


def tend_gold(drawer: Drawer) -> None:
    """Let gold change in every month after the first: added, changed, removed and promoted."""
    if not (drawer.setting.trouble and drawer.setting.gold):
        return
    _take_a_name(drawer)
    for month in _months_after(drawer):
        at = dt.datetime.combine(month, dt.time()) + _SETTLED
        for number in range(3):
            folder = drawer.random.choice(drawer.setting.classes)
            key = f"{GOLD}/{folder}/added_{month:%Y%m}_{number}.jpg"
            drawer.gold.append(GoldEvent(at, key, drawer.picture()))
            drawer.census["gold added"] += 1
        plain = sorted(key for key, file in gold_at(drawer.gold, at).items() if "gold_" in key)
        changed, removed = drawer.random.sample(plain, 2)
        drawer.gold.append(GoldEvent(at, changed, drawer.picture(changed[-3:])))
        drawer.gold.append(GoldEvent(at, removed, None))
        drawer.census.update(("gold changed", "gold removed"))
        _promote(drawer, month, at)


def gold_at(events: list[GoldEvent], moment: dt.datetime) -> dict[str, File]:
    """Give the gold objects that are there at a moment, by key."""
    there: dict[str, File] = {}
    for event in sorted(events, key=lambda event: event.at):
        if event.at < moment and event.file:
            there[event.key] = event.file
        elif event.at < moment:
            there.pop(event.key, None)
    return there


def _months_after(drawer: Drawer) -> list[dt.date]:
    """Give the first days of the months that begin after the first day, the end's among them."""
    span = range(1, drawer.setting.days + 1)
    days = [drawer.setting.start + number * DAY for number in span]
    return [day for day in days if day.day == 1]


def _promote(drawer: Drawer, month: dt.date, at: dt.datetime) -> None:
    """Copy two verified candidates of the month before into gold, under their names."""
    before = month - DAY
    found = [
        (life, place, label)
        for life, place in drawer.good
        if (life.day.year, life.day.month) == (before.year, before.month)
        and (label := _verified_as(drawer, life, at)) is not None
    ]
    for life, place, label in drawer.random.sample(found, min(2, len(found))):
        file = life.shots[place].file
        assert file is not None
        name = object_name(life, place, file.extension)
        drawer.gold.append(GoldEvent(at, f"{GOLD}/{label}/{name}", file))
        drawer.census["gold promoted"] += 1


def _verified_as(drawer: Drawer, life: Life, at: dt.datetime) -> str | None:
    row = life.row_at(at)
    label = class_of(row.style, life.initial) if row and row.is_verified else None
    return label if label in drawer.setting.classes else None


def _take_a_name(drawer: Drawer) -> None:
    """Give one gold object the name that a candidate will have, and another picture."""
    shown = Counter(shot.file.picture for life in drawer.lives for shot in life.shots if shot.file)
    calm = [
        (life, place)
        for life, place in drawer.good
        if not life.changes
        and life.gone is None
        and life.style in drawer.setting.classes
        and (file := life.shots[place].file) == File(file.picture if file else -1)
        and shown[file.picture] == 1
    ]
    if calm:
        life, place = drawer.random.choice(calm)
        key = f"{GOLD}/{life.style}/{object_name(life, place, 'jpg')}"
        drawer.gold.append(GoldEvent(drawer.setting.begin - DAY, key, drawer.picture()))
        drawer.census["gold has a candidate's name"] += 1
