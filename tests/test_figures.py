"""The figures are what they say, without anyone looking: parts, labels, marks."""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from mmkd_core.datasets.demo_catalogue import load_demo
from mmkd_core.evidence import figures, style
from mmkd_core.evidence.compare import Comparison
from mmkd_core.evidence.questions import FIGURES, convergence, hyperparameters, tsne
from mmkd_core.evidence.questions.hyperparameters import GRIDS
from mmkd_core.evidence.store import Store
from mmkd_core.evidence.style import BLUE, VERMILION, parts
from mmkd_core.experiment import plan

mpl.use("agg")
RECORDS = Path(__file__).parents[1] / "book" / "records"


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


@pytest.fixture
def part():
    return parts(["only"], 4.0)[1][0]


def test_only_several_parts_need_titles():
    for titles in (["one"], ["one", "two"]):
        drawn = parts(titles, 1.0)[1]
        assert [p.get_suptitle() for p in drawn] == (titles if len(titles) > 1 else [""])


def test_a_figure_is_the_same_bytes_twice():
    first, second = (style.encoded(figures.intervals({"a": [0.0, 1.0]}, "x"), ".svg") for _ in range(2))
    assert first == second
    assert b"<svg" in first


# --- Figure 3 ---


def shares(values, name="X"):
    rows = [{"dataset": "d", "seed": s, "representation": name, "cosine": v, "full": 0.5} for s, v in enumerate(values)]
    return pd.DataFrame(rows, columns=["dataset", "seed", "representation", "cosine", "full"])


def test_representations_are_panels_of_all_points_by_modality_with_the_share_in_the_title(part):
    points = {"image": np.arange(20.0).reshape(2, 10), "text": np.zeros((2, 10))}
    tsne.draw_points(part, {"X": points}, shares([0.25, 0.35]))
    first, *others = part.axes
    assert first.get_title("left") == "X$^m$, raw\nmixing 0.30 ± 0.07"
    by_color = {}
    for drawn in first.collections:
        by_color.setdefault(to_hex(drawn.get_facecolor()[0]), []).append(drawn.get_offsets().data)
    image, text = (np.concatenate(by_color[color.lower()]) for color in (BLUE, VERMILION))
    assert sorted(map(tuple, image)) == [(float(x), float(x + 10)) for x in range(10)]
    assert len(text) == 10
    legend = part.axes[4].get_legend()
    assert [entry.get_text() for entry in legend.get_texts()] == ["image", "text"]
    assert "all alike: 0.50" in part.axes[4].texts[0].get_text()
    assert [ax.texts[0].get_text() for ax in others if ax is not part.axes[4]] == ["not run"] * 6


def test_a_share_without_points_is_told_and_a_single_seed_has_no_spread(part):
    tsne.draw_points(part, {}, shares([0.25], "F, prompt"))
    panel = part.axes[6]
    assert panel.get_title("left") == "F$^m$, prompt\nmixing 0.25"
    assert panel.texts[0].get_text() == "no points"


def test_what_the_prompt_changes_is_told_only_if_all_seeds_agree():
    by_name = {
        "f, w/o-Prompt": [0.1, 0.2], "f, prompt": [0.2, 0.4], "f, prompt tuned": [0.2, 0.1],
        "F, w/o-Prompt": [0.3, 0.3], "F, prompt": [0.1, 0.2],
    }  # fmt: skip
    found = tsne.share_differences(pd.concat([shares(values, name) for name, values in by_name.items()]))
    assert found.T.to_dict("list") == {
        "f, prompt minus without": ["+0.15 ± 0.07", "2 of 2", "more"],
        "f, prompt tuned minus without": ["0.00 ± 0.14", "1 of 2", "not told apart"],
        "F, prompt minus without": ["-0.15 ± 0.07", "0 of 2", "less"],
        "F, prompt tuned minus without": ["not run", "", "not run"],
    }
    single = pd.concat([shares([0.1], "f, w/o-Prompt"), shares([0.3], "f, prompt")])
    assert tsne.share_differences(single)["overlap"].tolist() == ["not told apart", *["not run"] * 3]


def test_the_table_of_shares_has_every_representation_run_or_not():
    table = tsne.share_table(shares([0.25, 0.35], "F, prompt").assign(euclidean=0.5))
    assert table.loc["F, prompt"].tolist() == ["0.30 ± 0.07", "0.50 ± 0.00"]
    assert len(table) == 7
    assert (table.drop(index="F, prompt") == "not run").all(axis=None)


def test_marks_differ_as_colours_do(part):
    ax = part.subplots()
    tsne.scatter(ax, {name: np.random.default_rng(0).normal(size=(2, 8)) for name in ("a", "b", "c")})
    shapes = {(to_hex(c.get_facecolor()[0]), len(c.get_paths()[0])) for c in ax.collections}
    assert len(shapes) == len({color for color, _ in shapes}) == 3


# --- Figure 4 ---


def grid_rows(setting, values, in_force, **results):
    """Rows as `Store.rows` gives them; `results` maps a system to its values' lists of Recall, one a seed."""
    return pd.DataFrame(
        [
            {"setting": setting, "value": value, "in force": value == in_force, "system": system, "recall@20": recall}
            | {"capped": False}
            for system, lists in results.items()
            for value, recalls in zip(values, lists, strict=True)
            for recall in recalls
        ]
    )


def test_a_setting_is_a_curve_a_system_with_its_spread_and_hollow_where_there_is_one_seed(part):
    ax = part.subplots()
    rows = grid_rows("pair", [0.0, 1.0, 10.0], 1.0, MMKD=[[0.2], [0.3, 0.5], [float("nan")]])
    hyperparameters.sensitivity(ax, rows)
    in_force, curve, *_ = ax.lines
    assert list(in_force.get_xdata()) == [1.0, 1.0]
    assert curve.get_xydata().tolist() == [[0.0, 0.2], [1.0, 0.4]]
    several, single = ax.containers
    assert several[0].get_markerfacecolor() == VERMILION
    assert single[0].get_markerfacecolor() == "w"
    low, high = several[2][0].get_segments()[0][:, 1]
    assert (high - low) / 2 == pytest.approx(0.2 / 2**0.5)  # of 0.3 and 0.5, n - 1
    assert ax.get_xlabel() == "not run: 10"


def test_a_dagger_stands_above_a_mean_of_a_capped_run_and_the_legend_explains_it(part):
    rows = [grid_rows(name, grid, grid[1], MMKD=[[0.2]] * len(grid)) for name, (_, grid) in GRIDS.items()]
    rows = pd.concat(rows, ignore_index=True)
    rows.loc[2, "capped"] = True
    hyperparameters.sensitivities(part, rows)
    marks = [line.get_xydata().tolist() for line in part.axes[0].lines if line.get_marker() == r"$\dagger$"]
    assert [[x for x, _ in points] for points in marks] == [[GRIDS["teacher.dim"][1][2]]]
    assert marks[0][0][1] > 0.2
    assert "run ended at its cap of epochs" in [text.get_text() for text in part.legends[0].get_texts()]


def test_every_setting_has_its_panel_and_one_without_record_says_so(part):
    rows = [
        grid_rows(name, grid, grid[1], **{"MMKD's teacher": [[float("nan")]] * len(grid)})
        for name, (_, grid) in GRIDS.items()
    ]
    hyperparameters.sensitivities(part, pd.concat(rows))
    assert [ax.get_title("left") for ax in part.axes] == [label for label, _ in GRIDS.values()]
    assert [ax.texts[0].get_text() for ax in part.axes] == ["not run"] * len(GRIDS)
    for ax, (_, grid) in zip(part.axes, GRIDS.values(), strict=True):
        assert ax.get_xticks().tolist() == list(grid)


@pytest.mark.parametrize(
    ("values", "kind"),
    [((16, 32, 64, 128), "log"), ((1, 2, 3, 4), "linear"), ((0.0, 0.4, 0.8), "linear"), ((0.0, 0.01, 100.0), "symlog")],
)
def test_the_axis_suits_the_grid_and_0_has_a_place_on_it(part, values, kind):
    ax = part.subplots()
    hyperparameters.scale(ax, values)
    assert ax.get_xscale() == kind
    places = ax.transData.transform([(value, 0) for value in values])[:, 0]
    assert (np.diff(places) > 20).all()  # pixels
    left, right = ax.get_window_extent().x0, ax.get_window_extent().x1
    assert left < places[0]
    assert places[-1] < right


# --- Figure 5 ---


def history(terms, best=10):
    return {
        "losses": terms,
        "validation": [{"epoch": e, "recall@20": e / 100, "ndcg@20": e / 200} for e in (0, 10, 20)],
        "best_epoch": best,
    }


def test_stages_show_metrics_terms_their_sum_and_the_epoch_kept(part):
    teacher = [history([{"bpr": 0.5, "l2": 0.25}, {"bpr": 0.25, "l2": 0.25}]) for _ in range(2)]
    student = [history([{"bpr": 0.25, "l2": 0.0, "list_kd": 1e-9}] * 2, best=20)]
    convergence.stages(part, {"one": teacher, "two": student, "three": []})
    above, below = part.axes[:3], part.axes[3:]
    assert [ax.get_title("left") for ax in above] == ["one", "two", "three"]
    assert [line.get_xydata().tolist() for line in above[1].lines] == [
        [[0, 0], [10, 0.1], [20, 0.2]], [[20, 0.2]], [[0, 0], [10, 0.05], [20, 0.1]], [[20, 0.1]],
    ]  # fmt: skip
    assert len(above[0].lines) == 2 * len(above[1].lines)  # a line a seed
    assert [line.get_ydata().tolist() for line in below[0].lines[:3]] == [[0.5, 0.25], [0.25, 0.25], [0.75, 0.5]]
    assert below[0].get_yscale() == "log"
    assert [ax.texts[0].get_text() for ax in (above[2], below[2])] == ["not run"] * 2
    labels = [text.get_text() for text in part.legends[0].get_texts()]
    assert labels == ["sum", "bpr", "l2", "list_kd (too small)"]


def test_a_tiny_term_does_not_stretch_the_axis_and_a_zero_has_no_place_on_it(part):
    convergence.stages(part, {"one": [history([{"bpr": 1.0, "l2": 0.0, "list_kd": 1e-30}] * 2)]})
    low, high = part.axes[1].get_ylim()
    assert low == pytest.approx(convergence.FLOOR)
    assert high == pytest.approx(1.5)
    zero = part.axes[1].lines[1]
    assert np.isnan(zero.get_ydata()).all()


def test_a_single_epoch_is_a_point(part):
    convergence.stages(part, {"one": [history([{"bpr": 1.0}])]})
    assert {line.get_marker() for line in part.axes[1].lines} == {"o"}


def test_progress_reads_the_way_of_a_run_from_its_record():
    store = Store(RECORDS)
    found = convergence.progress(convergence.cases(["tiktok"], [0]), store).set_index("system").loc["MMKD"]
    record = next(record for record in store.records.values() if record.experiment == plan("mmkd", "tiktok", seed=0))
    validation, losses = record.history["validation"], record.history["losses"]
    assert (found["kept"], found["epochs"]) == (record.history["best_epoch"], len(losses))
    assert found["best"] == record.validation["recall@20"]
    assert [found["start"], found["last"]] == [validation[0]["recall@20"], validation[-1]["recall@20"]]
    assert found["loss kept"] == pytest.approx(sum(losses[found["kept"] - 1].values()))
    assert found["loss last"] == pytest.approx(sum(losses[-1].values()))


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_has_one_part_a_data_set_and_says_whose_it_is(name, tmp_path):
    figure = FIGURES[name]
    drawn = figure.draw(figure.cases(["demo", "tiktok"], [0]), Store(tmp_path))
    assert [part.get_suptitle() for part in drawn.subfigs] == ["Demo", "TikTok"]
    assert any("our records alone" in note for note in figure.notes)


def test_differences_are_told_by_place_colour_and_filling():
    def pair(difference, low, high, p, by_seed=(0.1, 0.1), capped=False):
        return Comparison(difference, low, high, p, 0.01, 100, by_seed=by_seed, capped=capped)

    figure = figures.differences(
        {
            "one": {"A": pair(0.02, 0.01, 0.03, 0.001), "B": pair(-0.02, -0.04, 0.0, 0.2)},
            "tiktok": {"B": pair(-0.03, -0.04, -0.02, 0.01, by_seed=(-0.07, 0.01))},
            "three": {"A": None},
        },
        "this minus that",
    )
    axes = figure.subfigs[0].axes
    assert [ax.get_title(loc="left") for ax in axes] == ["one", "TikTok"]
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["A", "B"]
    marks = [[points for points, _, _ in ax.containers] for ax in axes]
    found = [[(*m.get_xydata()[0], m.get_color(), m.get_markerfacecolor()) for m in own] for own in marks]
    assert found == [[(0.02, 0, BLUE, BLUE), (-0.02, 1, "0.45", "w")], [(-0.03, 1, VERMILION, VERMILION)]]
    assert [[m.get_fillstyle() for m in own] for own in marks] == [["full", "full"], ["bottom"]]
    (bar,) = axes[1].containers[0][2]
    assert bar.get_segments()[0] == pytest.approx(np.array([[-0.04, 1], [-0.02, 1]]))
    assert not figure.subfigs[0].legends
    (ax,) = figures.differences({"three": {"A": None}}, "this minus that").subfigs[0].axes
    assert [text.get_text() for text in ax.texts] == ["not run"]
    figure = figures.differences({"one": {"A": pair(0.02, 0.01, 0.03, 0.001, capped=True)}}, "this minus that")
    (mark, _, _), *_ = figure.subfigs[0].axes[0].containers
    assert (mark.get_marker(), mark.get_color()) == ("x", "0.45")
    assert "capped: a run ended at its cap" in figure.subfigs[0].legends[0].get_texts()[0].get_text()
