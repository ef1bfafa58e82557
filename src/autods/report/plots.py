"""The geometry of a histogram's drawing: numbers in, coordinates and labels out."""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from autods.report.histogram import Histogram
from autods.report.wording import count, decimal, share, size, things

WIDTH, HEIGHT = 320, 176
LEFT, RIGHT, TOP, BOTTOM = 44, 308, 20, 134
"""The box between the axes, in units of the drawing."""

_TICKS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """A rectangle, and the sentence that a pointer over it shows."""

    x: float
    y: float
    width: float
    height: float
    tip: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """A label at a place along one axis."""

    at: float
    label: str
    anchor: str = "middle"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plot:
    """A histogram ready to be drawn; `alt` says in words what it shows."""

    title: str
    axis: str
    alt: str
    note: str
    bars: tuple[Bar, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class _Measure:
    title: str
    axis: str = ""
    write: Callable[[float], str] = decimal


def _pixels(value: float) -> str:
    return count(round(value))


_MEASURES = {
    "width": _Measure("Width", "pixels", _pixels),
    "height": _Measure("Height", "pixels", _pixels),
    "megapixels": _Measure("Resolution", "megapixels"),
    "file_size": _Measure("File size", "bytes of a file", size),
    "brightness": _Measure("Brightness", "dark to bright"),
    "contrast": _Measure("Contrast", "flat to strong"),
    "sharpness": _Measure("Sharpness", "blurred to sharp"),
    "entropy": _Measure("Entropy", "plain to detailed"),
}


def draw(name: str, data: Histogram) -> Plot:
    """Lay a histogram out; `name` picks the title, the unit and how values are written."""
    measure = _MEASURES.get(name) or _Measure(name.replace("_", " ").capitalize())
    write = measure.write
    summary = f"median {write(data.median)}, 5–95 %: {write(data.low)} to {write(data.high)}"
    missing = f"; {count(data.missing)} could not be measured" if data.missing else ""
    alt = f"Histogram of {measure.title.lower()} over {things(data.total, 'image')}: {summary}"
    step = _step(max(data.counts, default=0))
    top = step * math.ceil(max(data.counts, default=0) / step)
    return Plot(
        title=measure.title,
        axis=measure.axis + (", logarithmic" if data.log else ""),
        alt=alt,
        note=summary[0].upper() + summary[1:] + missing,
        bars=tuple(_bars(data, top, write)),
        x_ticks=tuple(_x_ticks(data, write)),
        y_ticks=tuple(
            Tick(at=_y(value, top), label=count(value), anchor="end")
            for value in range(0, top + 1, step)
        ),
    )


def _bars(data: Histogram, top: int, write: Callable[[float], str]) -> Iterable[Bar]:
    width = (RIGHT - LEFT) / max(len(data.counts), 1)
    for index, number in enumerate(data.counts):
        if not number:
            continue
        low, high = write(data.edges[index]), write(data.edges[index + 1])
        where = low if low == high else f"{low} to {high}"
        # A bin with one image among thousands is still to be seen.
        y = min(_y(number, top), BOTTOM - 1.0)
        yield Bar(
            x=round(LEFT + index * width + 0.5, 2),
            y=y,
            width=round(min(width, 40.0) - 1, 2),
            height=round(BOTTOM - y, 2),
            tip=f"{where}: {things(number, 'image')} ({share(number, data.total)})",
        )


def _x_ticks(data: Histogram, write: Callable[[float], str]) -> Iterable[Tick]:
    bins = len(data.counts)
    if bins == 1:
        labels = list(dict.fromkeys(write(edge) for edge in data.edges))
        yield Tick(at=LEFT, label=" to ".join(labels), anchor="start")
        return
    for value in _decades(data.edges) if data.log else _multiples(data.edges):
        at = LEFT + (RIGHT - LEFT) * _place(value, data) / bins
        yield Tick(at=round(at, 2), label=write(value))


def _multiples(edges: Sequence[float]) -> list[float]:
    """Give round values between the first and the last edge, 2 to 6 of them.

    >>> _multiples([3.2, 200, 255])
    [50.0, 100.0, 150.0, 200.0, 250.0]
    """
    if not edges:
        return []
    least, most = edges[0], edges[-1]
    rough = (most - least) / 6
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    return [k * step for k in range(math.ceil(least / step), math.floor(most / step) + 1)]


def _decades(edges: Sequence[float]) -> list[float]:
    """Give powers of ten between the second and the last edge; if few, also 3 (or 2 and 5) times.

    >>> _decades([3, 40, 9000]), _decades([30, 40, 2000, 20000])
    ([100.0, 300.0, 1000.0, 3000.0], [100.0, 1000.0, 10000.0])
    """
    low, high = math.floor(math.log10(edges[1])), math.ceil(math.log10(edges[-1]))
    for factors in ((1,), (1, 3), (1, 2, 5)):
        values = [10.0**k * factor for k in range(low, high + 1) for factor in factors]
        inside = [value for value in values if edges[1] <= value <= edges[-1]]
        if len(inside) >= 3:
            break
    every = math.ceil(len(inside) / 6)
    return inside[::every]


def _place(value: float, data: Histogram) -> float:
    """Tell where a value lies among the bins, which are drawn equally wide: 0 to their number."""
    edges = data.edges
    index = min(max(bisect_right(edges, value) - 1, 0), len(data.counts) - 1)
    low, high = edges[index], edges[index + 1]
    if data.log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return index + (value - low) / (high - low)


def _y(value: float, top: float) -> float:
    return round(BOTTOM - (BOTTOM - TOP) * value / max(top, 1), 2)


def _step(most: int) -> int:
    """Give 1, 2 or 5 times a power of ten, so that a few steps reach `most`.

    >>> [_step(most) for most in (0, 3, 7, 90, 1234)]
    [1, 1, 2, 50, 500]
    """
    rough = max(most / _TICKS, 1)
    power = 10 ** math.floor(math.log10(rough))
    return next(int(power * factor) for factor in (1, 2, 5, 10) if power * factor >= rough)
