"""The figures are what they say, without anyone looking: parts, labels, marks."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from mmkd_core import figures
from mmkd_core.datasets.demo import load_demo

mpl.use("agg")


@pytest.fixture(scope="module")
def data():
    return load_demo()


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def test_posters_are_drawn_titled_and_marked(data):
    figure = figures.posters(data, {"first": [0, 1, 2], "second": [3]}, marked=[1, 3])
    drawn = [ax for ax in figure.axes if ax.images]
    assert [ax.images[0].get_array().shape for ax in drawn] == [(64, 64, 3)] * 4
    titles = [ax.get_xlabel().replace("\n", " ") for ax in drawn]
    assert titles[0] == data.title(0)
    assert [title.startswith("✓") for title in titles] == [False, True, False, True]
    assert [ax.get_title("left") for ax in figure.axes if ax.get_title("left")] == ["first", "second"]


def test_sound_shows_the_whole_wave_and_no_level_above_its_peak(data):
    wave, spectrogram, _ = figures.sound(data, 5).axes
    assert len(wave.lines[0].get_xdata()) == data.sounds.shape[1]
    assert spectrogram.collections[0].get_array().max() == 0


def test_curves_show_every_term_and_the_epoch_kept():
    history = {
        "losses": [{"bpr": 0.7, "l2": 0.1}, {"bpr": 0.5, "l2": 0.2}],
        "validation": [{"epoch": e, "recall@20": r} for e, r in ((0, 0.1), (1, 0.3), (2, 0.2))],
        "best_epoch": 1,
    }
    left, right = figures.curves(history).axes
    assert [line.get_label() for line in left.lines] == ["bpr", "l2"]
    assert list(left.lines[0].get_xdata()) == [1, 2]
    assert right.lines[1].get_xydata().tolist() == [[1, 0.3]]


def test_intervals_are_means_with_their_standard_errors():
    values = np.array([0.0, 1.0, 0.0, 1.0])
    (ax,) = figures.intervals({"a": values}, "Recall@20").axes
    (container,) = ax.containers
    low, high = container[2][0].get_segments()[0][:, 0]
    assert (low + high) / 2 == pytest.approx(0.5)
    assert high - 0.5 == pytest.approx(1.96 * values.std(ddof=1) / 2)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a"]


def test_lines_bars_and_matrix_draw_what_they_are_given():
    _, (first, second, third) = figures.panels(3, 2.0)
    figures.lines(first, [0, 1], {"a": [1, 2], "b": [3, 4]}, "lines", xlabel="x")
    assert [line.get_ydata().tolist() for line in first.lines] == [[1, 2], [3, 4]]
    assert len({line.get_linestyle() for line in first.lines}) == 2
    figures.bars(second, ["one", "two"], {"a": [0.1, 0.2], "b": [0.3, 0.4]}, "bars")
    assert [patch.get_height() for patch in second.patches] == [0.1, 0.2, 0.3, 0.4]
    figures.matrix(third, [[0.0, 0.5], [0.25, 0.0]], ["u", "i"], 1, "matrix")
    assert [text.get_text() for text in third.texts] == ["0.50", "0.25"]
