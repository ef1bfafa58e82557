"""What happens to rows: relabelling, un-verification, odd classes, and clocks that disagree."""

import datetime as dt

from autods.recipes.candidates.world.drawing import DAY, MINUTE, SECOND, Drawer, Trouble
from autods.recipes.candidates.world.shapes import Life

UNKNOWN = ("Gothic", "Moody", "warm")
"""Classes that are in no list; one differs from a known one in a letter's case only."""


def _midnight_after(moment: dt.datetime) -> dt.datetime:
    return dt.datetime.combine(moment.date() + DAY, dt.time())


def _verified_late(drawer: Drawer, life: Life) -> bool:
    at = life.created + drawer.between(2 * DAY, 20 * DAY)
    life.change(at, style=drawer.other_class(life.style), is_verified=True)
    return True


def _relabelled(drawer: Drawer, life: Life) -> bool:
    at = life.created + drawer.between(DAY, 10 * DAY)
    life.change(at, style=drawer.other_class(life.style))
    return True


def _unverified(drawer: Drawer, life: Life) -> bool:
    life.change(life.created + drawer.between(MINUTE, DAY / 3), style=life.kind, is_verified=True)
    back = {"is_verified": False, "verified_by": None, "verified_at": None}
    life.change(life.created + drawer.between(DAY, 10 * DAY), **back)
    return True


def _touched(drawer: Drawer, life: Life) -> bool:
    life.change(life.created + drawer.between(DAY, 30 * DAY))
    return True


def _touched_at_midnight(drawer: Drawer, life: Life) -> bool:
    """Move a row out of its day's window before its day's run comes."""
    life.change(_midnight_after(life.created) + drawer.between(MINUTE, 4 * MINUTE))
    return True


def _without_style(_: Drawer, life: Life) -> bool:
    life.style, life.initial = None, life.kind
    return True


def _without_initial(_: Drawer, life: Life) -> bool:
    life.initial = None
    return True


def _without_class(_: Drawer, life: Life) -> bool:
    life.style = life.initial = None
    return True


def _of_unknown_class(drawer: Drawer, life: Life) -> bool:
    life.style = life.initial = drawer.random.choice(UNKNOWN)
    return True


def _put_right(drawer: Drawer, life: Life) -> bool:
    life.style = life.initial = drawer.random.choice(UNKNOWN)
    is_verified = drawer.random.random() < 0.5
    fields = {"is_verified": True} if is_verified else {}
    life.change(life.created + drawer.between(DAY, 10 * DAY), style=life.kind, **fields)
    return True


def _becomes_unknown(drawer: Drawer, life: Life) -> bool:
    at = life.created + drawer.between(DAY, 10 * DAY)
    life.change(at, style=drawer.random.choice(UNKNOWN), is_verified=True)
    return True


def _ahead_over_midnight(drawer: Drawer, life: Life) -> bool:
    """Have the clock that wrote `created_at` go ahead of the database's, into the next day."""
    midnight = _midnight_after(life.created)
    if drawer.is_quiet(midnight.date()) or midnight.date() >= drawer.setting.end:
        return False
    life.created = midnight + drawer.between(10 * SECOND, 6 * MINUTE)
    _come(life, midnight - drawer.between(30 * SECOND, 10 * MINUTE))
    return True


def _two_days_ahead(drawer: Drawer, life: Life) -> bool:
    created = life.created + 2 * DAY
    if drawer.is_quiet(created.date()) or created.date() >= drawer.setting.end:
        return False
    life.created = created
    return True


def _committed_late(drawer: Drawer, life: Life) -> bool:
    """Become visible up to 40 minutes after `updated_at`."""
    delay = drawer.between(10 * MINUTE, 40 * MINUTE - SECOND)
    _come(life, life.updated, life.updated + delay)
    return True


def _committed_past_midnight(drawer: Drawer, life: Life) -> bool:
    """Become visible only when the day's run is over."""
    midnight = _midnight_after(life.created)
    life.created = midnight - drawer.between(MINUTE, 20 * MINUTE)
    _come(life, life.created, midnight + drawer.between(7 * MINUTE, 19 * MINUTE))
    return True


def _at_midnight(_: Drawer, life: Life) -> bool:
    life.created = dt.datetime.combine(life.day, dt.time())
    _come(life, life.created)
    return True


def _without_confidence(_: Drawer, life: Life) -> bool:
    life.confidence = None
    return True


def _verified_is_null(_: Drawer, life: Life) -> bool:
    life.is_verified = None
    return True


def _come(life: Life, updated: dt.datetime, visible: dt.datetime | None = None) -> None:
    """Move a life's beginning, and its photos' with it."""
    life.updated, life.visible = updated, visible or updated
    life.shots = [shot._replace(at=updated - 5 * MINUTE) for shot in life.shots]


ROW_TROUBLES: dict[str, Trouble] = {
    "verified late, relabelled": _verified_late,
    "relabelled, not verified": _relabelled,
    "verified and not any more": _unverified,
    "touched": _touched,
    "touched just after midnight": _touched_at_midnight,
    "no style": _without_style,
    "no initial prediction": _without_initial,
    "no class": _without_class,
    "unknown class": _of_unknown_class,
    "unknown class, put right": _put_right,
    "relabelled into an unknown class": _becomes_unknown,
    "created ahead over midnight": _ahead_over_midnight,
    "created two days ahead": _two_days_ahead,
    "committed late": _committed_late,
    "committed after midnight": _committed_past_midnight,
    "at midnight exactly": _at_midnight,
    "no confidence": _without_confidence,
    "is_verified is null": _verified_is_null,
}
"""By name; a name is also what `World.census` counts."""
