"""Binning a column of numbers once, so that facts stay small however large the dataset is."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autods.errors import AutodsError, UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_SKEWED, _FAR = 3.0, 10.0
"""A 95th percentile, or a maximum, so many times the median calls for a logarithmic axis: the
widths of a crawl do, brightness does not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Histogram:
    """How often values fall into each bin: `counts[i]` of them in `edges[i] .. edges[i + 1]`.

    `low`, `median` and `high` are the 5th, 50th and 95th percentile. `missing` values were not
    finite and are in no bin. `log` says that the bins grow by a factor. Without any value both
    tuples are empty.

    Raises AutodsError where edges and counts do not belong together.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    low: float = 0.0
    median: float = 0.0
    high: float = 0.0
    log: bool = False
    missing: int = 0

    def __post_init__(self) -> None:
        if len(self.edges) != (len(self.counts) + 1 if self.counts else 0):
            raise AutodsError(
                f"a histogram of {len(self.counts)} counts has {len(self.edges)} edges; "
                "it must have one more than counts, or none of either"
            )

    @property
    def total(self) -> int:
        """How many values were counted."""
        return sum(self.counts)


def histogram(values: "ArrayLike", bins: int = 24) -> Histogram:
    """Bin n numbers of any shape into `bins` bins from the least to the greatest.

    The bins are equally wide, or grow by a factor where the values are all positive and the 95th
    percentile exceeds three times the median or the maximum ten times; then they are counted from
    the 1st percentile on, and the first one takes in all that is below. Infinite and NaN values are
    counted as missing. Values that are all the same make one bin. Raises UsageError for less than
    one bin.

    >>> ages = histogram([1, 2, 2, 5], bins=4)
    >>> ages.edges, ages.counts, ages.median
    ((1.0, 2.0, 3.0, 4.0, 5.0), (1, 2, 0, 1), 2.0)
    """
    import numpy as np

    if bins < 1:
        raise UsageError(f"bins is {bins}; a histogram has at least 1")
    everything = np.asarray(values, dtype=np.float64).ravel()
    finite = everything[np.isfinite(everything)]
    missing = everything.size - finite.size
    if not finite.size:
        return Histogram(edges=(), counts=(), missing=missing)
    low, median, high = (float(q) for q in np.percentile(finite, (5, 50, 95)))
    skewed = high > _SKEWED * median or finite.max() > _FAR * median
    log = bool(finite.min() > 0 and skewed)
    edges = _edges(finite, bins, log=log)
    counts, _ = np.histogram(finite, edges)
    return Histogram(
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
        low=low,
        median=median,
        high=high,
        log=log,
        missing=missing,
    )


def _edges(finite: "NDArray[Any]", bins: int, *, log: bool) -> "NDArray[Any]":
    import numpy as np

    least, most = finite.min(), finite.max()
    if not log:
        edges = np.linspace(least, most, bins + 1)
    else:
        edges = np.geomspace(np.percentile(finite, 1), most, bins + 1)
    # Rounding must push neither end inside, and neighbours that differ by the last bit only
    # leave no room for so many bins.
    edges[0], edges[-1] = least, most
    return edges if np.all(np.diff(edges) > 0) else np.array([least, most])
