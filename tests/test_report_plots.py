"""A drawn histogram stays inside its axes, and its labels are round."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autods.report.histogram import histogram
from autods.report.plots import BOTTOM, LEFT, RIGHT, TOP, draw

_values = st.lists(
    st.floats(-1e9, 1e9) | st.floats(1e-9, 1e-3) | st.floats(1, 1e9), min_size=0, max_size=40
)


@given(_values, st.integers(1, 24))
def test_everything_is_drawn_inside_the_axes(values: list[float], bins: int) -> None:
    plot = draw("width", histogram(values, bins))
    for bar in plot.bars:
        assert bar.x >= LEFT
        assert bar.x + bar.width <= RIGHT
        assert bar.y >= TOP
        assert bar.y + bar.height == pytest.approx(BOTTOM, abs=0.02)
    assert all(LEFT <= tick.at <= RIGHT for tick in plot.x_ticks)
    assert all(TOP <= tick.at <= BOTTOM for tick in plot.y_ticks)
    assert len(plot.x_ticks) <= 7


def test_a_plot_says_in_words_what_it_shows() -> None:
    plot = draw("file_size", histogram([1000, 2000, 3000], bins=2))
    assert plot.alt == (
        "Histogram of file size over 3 images: median 2 kB, 5–95 %: 1.1 kB to 2.9 kB"
    )
    assert [bar.tip for bar in plot.bars] == [
        "1 kB to 2 kB: 1 image (33.3 %)",
        "2 kB to 3 kB: 2 images (66.7 %)",
    ]
    assert [tick.label for tick in plot.x_ticks] == ["1 kB", "1.5 kB", "2 kB", "2.5 kB", "3 kB"]


def test_a_skewed_measure_is_labelled_with_powers_of_ten() -> None:
    plot = draw("file_size", histogram([10**k for k in range(2, 8)] * 3))
    assert plot.axis.endswith("logarithmic")
    assert [tick.label for tick in plot.x_ticks] == ["1 kB", "10 kB", "100 kB", "1 MB", "10 MB"]


def test_a_measure_of_another_name_is_drawn_too() -> None:
    assert draw("aesthetic_score", histogram([0.5])).title == "Aesthetic score"
