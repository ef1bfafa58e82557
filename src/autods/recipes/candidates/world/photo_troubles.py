"""What is wrong with the photos of predictions: how they are named, and what their files are."""

import datetime as dt
import json
from collections.abc import Callable
from functools import partial

from autods.recipes.candidates.world.drawing import DAY, Drawer, Trouble
from autods.recipes.candidates.world.shapes import File, Life

_NOON = dt.time(12)


def _without_photos(drawer: Drawer, life: Life) -> bool:
    life.shots = []
    life.photo_urls = drawer.random.choice((None, "null", "[]", '[null, "  "]'))
    life.photo_url = drawer.random.choice((None, "", "  "))
    return True


def _blanks_among(drawer: Drawer, life: Life) -> bool:
    urls: list[str | None] = [shot.url for shot in life.shots]
    urls.insert(drawer.random.randrange(len(urls) + 1), None)
    urls.insert(drawer.random.randrange(len(urls) + 1), drawer.random.choice(("", " ")))
    life.photo_urls = json.dumps(urls)
    life.photo_url = urls[0]
    return True


def _only(text: str | None) -> Trouble:
    """`photo_urls` says nothing: `photo_url` counts."""

    def single(_: Drawer, life: Life) -> bool:
        life.shots = life.shots[:1]
        life.photo_urls, life.photo_url = text, life.shots[0].url
        return True

    return single


def _encoded_twice(_: Drawer, life: Life) -> bool:
    urls = [shot.url for shot in life.shots]
    life.photo_urls = json.dumps(json.dumps(urls))
    life.photo_url = urls[0]
    return True


def _too_many(drawer: Drawer, life: Life, count: int) -> bool:
    life.shots += [drawer.shot(life) for _ in range(count - len(life.shots))]
    return True


def _named_twice(_: Drawer, life: Life) -> bool:
    if len(life.shots) > 3:
        return False
    life.shots.append(life.shots[0])
    return True


def _spelled(form: str) -> Trouble:
    def spelled(drawer: Drawer, life: Life) -> bool:
        for place in range(len(life.shots)):
            drawer.respell(life, place, form)
        return True

    return spelled


def _elsewhere(drawer: Drawer, life: Life) -> bool:
    place = drawer.random.randrange(len(life.shots))
    url = f"https://cdn.example.org/pictures/{life.number}.jpg"
    drawer.replace(life, place, url=url, key=None, file=None)
    return True


def _missing(drawer: Drawer, life: Life) -> bool:
    drawer.replace(life, drawer.random.randrange(len(life.shots)), file=None)
    return True


def _late(drawer: Drawer, life: Life, days: int) -> bool:
    """Have a photo come at noon, some days after."""
    at = dt.datetime.combine(life.day + days * DAY, _NOON)
    drawer.replace(life, drawer.random.randrange(len(life.shots)), at=at)
    return True


def _broken(form: str) -> Trouble:
    def broken(drawer: Drawer, life: Life) -> bool:
        place = drawer.random.randrange(len(life.shots))
        file = life.shots[place].file
        drawer.replace(life, place, file=file and file._replace(form=form))
        return True

    return broken


def _of_kind(kind: str) -> Trouble:
    def of_kind(drawer: Drawer, life: Life) -> bool:
        for place, shot in enumerate(life.shots):
            drawer.replace(life, place, file=shot.file and shot.file._replace(kind=kind))
        return True

    return of_kind


def _copy(form: str, fits: Callable[[Life, Life], bool]) -> Trouble:
    """One of the photos shows what an earlier prediction's showed."""

    def copy(drawer: Drawer, life: Life) -> bool:
        for _ in range(min(60, len(drawer.good))):
            other, place = drawer.random.choice(drawer.good[-400:])
            file = other.shots[place].file
            if file and file.form == "plain" and other is not life and fits(life, other):
                if form == "resaved" and file.kind == "webp":
                    continue
                turned = file._replace(form=form, turn=life.number if form != "plain" else 0)
                drawer.replace(life, drawer.random.randrange(len(life.shots)), file=turned)
                return True
        return False

    return copy


def _any(life: Life, other: Life) -> bool:
    return (life.day.month, life.day.year) == (other.day.month, other.day.year)


def _of_another_month(life: Life, other: Life) -> bool:
    return not _any(life, other)


def _of_another_class(life: Life, other: Life) -> bool:
    return _any(life, other) and life.kind != other.kind


def _of_a_model_before_a_human(life: Life, other: Life) -> bool:
    """Hold if nobody ever verified the other; this one somebody verifies on the spot."""
    if not _any(life, other) or other.is_ever_verified or life.changes:
        return False
    life.change(life.created + DAY / 24, style=life.kind, is_verified=True)
    return True


def _near_gold(drawer: Drawer, life: Life) -> bool:
    files = [event.file for event in drawer.gold if event.file and event.at < life.created]
    good = [file for file in files if file.form == "plain"]
    if not good:
        return False
    file = drawer.random.choice(good)._replace(form="near", turn=life.number)
    drawer.replace(life, drawer.random.randrange(len(life.shots)), file=file)
    return True


def _same_as_gold(drawer: Drawer, life: Life) -> bool:
    files: list[File] = [event.file for event in drawer.gold if event.file]
    good = [file for file in files if file.form == "plain"]
    if not good:
        return False
    drawer.replace(life, 0, file=drawer.random.choice(good))
    return True


PHOTO_TROUBLES: dict[str, Trouble] = {
    "no photos": _without_photos,
    "blanks among URLs": _blanks_among,
    "no list, one URL": _only(None),
    "empty list, one URL": _only("[]"),
    "blank list, one URL": _only('["", null]'),
    "list encoded twice": _encoded_twice,
    "five URLs": partial(_too_many, count=5),
    "six URLs": partial(_too_many, count=6),
    "URL named twice": _named_twice,
    "URL with host and bucket": _spelled("http://{host}/{bucket}/{key}"),
    "URL with the bucket as host": _spelled("https://{bucket}.{host}/{key}"),
    "s3 URL": _spelled("s3://{bucket}/{key}"),
    "leading slash": _spelled("/{key}"),
    "photo elsewhere": _elsewhere,
    "missing photo": _missing,
    "photo a day late": partial(_late, days=1),
    "photo two days late": partial(_late, days=2),
    "photo nine days late": partial(_late, days=9),
    "truncated photo": _broken("cut"),
    "HTML as photo": _broken("page"),
    "empty photo": _broken("empty"),
    "PNG photo": _of_kind("png"),
    "WebP photo": _of_kind("webp"),
    "same bytes": _copy("plain", _any),
    "same pixels": _copy("resaved", _any),
    "near": _copy("near", _any),
    "near, other month": _copy("near", _of_another_month),
    "near, other class": _copy("near", _of_another_class),
    "near, human after model": _copy("near", _of_a_model_before_a_human),
    "near gold": _near_gold,
    "same bytes as gold": _same_as_gold,
}
"""By name; a name is also what `World.census` counts."""
