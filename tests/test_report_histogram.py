"""Binning loses no value, and picks the axis that shows something."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autods.errors import AutodsError, UsageError
from autods.report.histogram import Histogram, histogram

_floats = st.floats(allow_nan=True, allow_infinity=True, width=32)


@given(st.lists(_floats, max_size=50), st.integers(1, 30))
def test_every_value_is_in_a_bin_or_missing(values: list[float], bins: int) -> None:
    made = histogram(values, bins)
    assert made.total + made.missing == len(values)
    assert list(made.edges) == sorted(made.edges)


@given(st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=50))
def test_the_edges_are_the_least_and_the_greatest_value(values: list[float]) -> None:
    made = histogram(np.array(values))
    assert (made.edges[0], made.edges[-1]) == (min(values), max(values))


def test_no_values_make_no_bins() -> None:
    assert histogram([]) == Histogram(edges=(), counts=())
    assert histogram([float("nan")]).missing == 1


def test_equal_values_make_one_bin() -> None:
    made = histogram([7, 7, 7])
    assert (made.edges, made.counts) == ((7.0, 7.0), (3,))


def test_skewed_positive_values_get_a_logarithmic_axis_and_others_do_not() -> None:
    rng = np.random.default_rng(0)
    assert histogram(rng.lognormal(8, 1.5, 1000)).log
    assert not histogram(rng.normal(128, 30, 1000)).log
    assert not histogram(np.append(rng.lognormal(8, 1.5, 1000), 0.0)).log


def test_a_histogram_without_bins_is_refused() -> None:
    with pytest.raises(UsageError, match="bins is 0"):
        histogram([1], bins=0)
    with pytest.raises(AutodsError, match="2 counts has 2 edges"):
        Histogram(edges=(0.0, 1.0), counts=(1, 2))
