"""Tables 1, 6 and 8: the paper's arithmetic to the digit, and what is made of measurements."""

import json
import re

import pandas as pd
import pytest

from mmkd_core.evidence import counts as counting
from mmkd_core.evidence import paper, tables
from mmkd_core.evidence.measurement import MeasurementRecord, find_or_take
from mmkd_core.evidence.questions import TABLES, complexity, consumption, parameters
from mmkd_core.evidence.shapes import SHAPES, random_data
from mmkd_core.evidence.store import Store
from mmkd_core.models import build
from mmkd_core.models.teacher import Teacher

NETFLIX, ELECTRONICS = SHAPES["netflix"], SHAPES["electronics"]


# --- Table 8 ---


def test_the_numbers_of_table_8_put_right():
    teacher = counting.teacher_weights(NETFLIX)
    assert counting.total(teacher) == 24_058_304
    assert teacher["item_id_embedding.weight"] == (17_239, 32)
    assert teacher["image_embedding.weight"] == (17_239, 512)
    assert teacher["text_embedding.weight"] == (17_239, 768)
    assert counting.total(counting.student_weights(NETFLIX)) == 1_951_296
    assert counting.total(counting.gcn_weights()) == 2_048


@pytest.mark.parametrize("name", paper.TABLE_8)
def test_the_printed_numbers_add_up_to_the_printed_total(name):
    assert sum(number for _, number in paper.TABLE_8[name].values()) == paper.TABLE_8_TOTALS[name]


def test_table_8_marks_the_four_wrong_entries_and_no_other(tmp_path):
    frames = parameters.frames([], Store(tmp_path))
    wrong = {
        (title, weight): mark
        for title, frame in list(frames.items())[:3]
        for weight, mark in frame["wrong in print"].items()
        if mark
    }
    assert wrong == {
        ("teacher, Netflix", "item_id_embedding.weight"): "shape, number",
        ("teacher, Netflix", "image_embedding.weight"): "shape",
        ("teacher, Netflix", "text_embedding.weight"): "shape",
        ("teacher, Netflix", "total"): "number",
    }


def test_what_the_teachers_numbers_are():
    frame = parameters.made_of(NETFLIX)
    assert frame.loc["raw features", "of the total"] == "91.72 %"
    assert frame.loc["reductions", "numbers"] == "41,024"
    assert frame.loc["prompt", "numbers"] == "2,112"
    assert frame.loc["trained: reductions, embeddings, prompt", "numbers"] == "1,994,432"
    assert frame.loc["the student"].tolist() == ["1,951,296", "8.11 %", "97.84 %"]


def test_the_trained_numbers_are_those_of_this_librarys_teacher():
    shape = SHAPES["demo"]
    trained = sum(p.numel() for p in Teacher(random_data(shape), dim=8).parameters())
    assert trained == sum(counting.trained_teacher(shape, 8, prompts=1).values())


# --- Table 6 ---


def test_the_counts_behind_table_6_to_the_digit():
    assert counting.as_printed("netflix") == {
        "teacher": 24_906_304, "lattice": 24_058_242, "bm3": 24_059_296, "mmkd": 1_951_296,
    }  # fmt: skip
    assert counting.as_printed("electronics") == {
        "teacher": 99_037_632, "lattice": 98_390_786, "bm3": 98_391_840, "mmkd": 2_668_224,
    }  # fmt: skip
    assert counting.counts(counting.counted_shape("electronics"))["teacher"] == 98_390_848
    assert counting.counts(ELECTRONICS)["teacher"] == 112_157_888
    assert counting.counts(ELECTRONICS)["mmkd"] == 2_021_440


@pytest.mark.parametrize("dataset", paper.TABLE_6)
def test_every_count_and_ratio_of_table_6_comes_out_as_printed(dataset):
    behind, printed = counting.as_printed(dataset.lower()), paper.TABLE_6[dataset]
    for model, line in printed.items():
        assert f"{behind[model] / 1e6:.2f}" == str(line.millions)
        if str(line.ratio) != "-":
            assert 100 * line.millions / printed["teacher"].millions == pytest.approx(line.ratio, abs=0.005)


def test_the_third_ratio_is_of_a_student_with_as_many_items_as_users():
    ratio = 100 * 2 * (NETFLIX.users * 32) / counting.as_printed("netflix")["teacher"]
    assert ratio == pytest.approx(paper.TEXT["ratio"], abs=0.005)


def test_the_right_ratios():
    frame = consumption.counts6()
    assert frame.loc["Netflix: MMKD", "right ratio"] == "8.11 %"
    assert frame.loc["Electronics: MMKD", "right ratio"] == "2.05 %"
    assert set(frame.loc[frame.index.str.contains("LATTICE|BM3"), "right ratio"]) == {"100.00 %"}


@pytest.mark.parametrize("model", ["lattice", "bm3"])
def test_the_papers_way_of_counting_is_our_trained_and_raw_numbers(model):
    shape = SHAPES["demo"]
    trained = sum(p.numel() for p in build(model, random_data(shape), {"dim": 8}).parameters())
    assert counting.counts(shape, 8)[model] == trained + counting.raw_features(shape)


def weighed(trained, served, gpu=None):
    peak = {"resident": 400} | ({"gpu": gpu} if gpu else {})
    return {
        "seconds": {"epoch": 12.34, "first step": 0.5, "tables": 0.0123},
        "memory": {"build": peak, "train": peak},
        "numbers": {"trained": trained, "frozen": 1, "constants": 1000, "served": served},
        "serving": {"seconds": 2.5, "memory": peak},
    }


def test_a_line_of_table_6_has_the_ratios_to_the_teacher_and_the_papers_own():
    frame = consumption.spent({"MMKD's teacher": weighed(200, 80), "MMKD": weighed(50, 80), "BM3": None}, "netflix")
    assert frame.loc["MMKD"].tolist() == [
        "12.3", "0.50", "0.012", "2.50", "400", "400", "400", "50", "1,001", "80", "25.00 %", "100.00 %",
        "23.3", "2.03",
    ]  # fmt: skip
    assert frame.loc["BM3"].tolist() == ["not run"] * 12 + ["39.5", "2.69"]
    on_gpu = consumption.spent({"MMKD": weighed(50, 80, gpu=7)}, "demo").loc["MMKD"]
    assert on_gpu["build, MiB"] == "400 (GPU 7)"
    assert on_gpu["trained / teacher's"] == "not run"
    assert on_gpu["paper, s"] == ""


# --- Table 1 ---


@pytest.mark.parametrize(
    ("expected", "typeset"),
    [
        ("Σ |I| d_m d", r"$\sum \lvert\mathcal{I}\rvert d_m d$"),
        ("Σ B d² + B² d; 0", r"$\sum B d^2$ ${}+ B^2 d$; 0"),
        ("wrong: |E| d and (|U|+|I|) d² too",
         r"wrong: $\lvert\mathcal{E}\rvert d$ and $(\lvert\mathcal{U}\rvert+\lvert\mathcal{I}\rvert) d^2$ too"),
        ("|I|¹ d_m¹", r"$\lvert\mathcal{I}\rvert^1 d_m^1$"),
        ("in proportion to d_m", "in proportion to $d_m$"),
        ("LATTICE, R", "LATTICE, R"),
        ("1", "1"),
    ],
)  # fmt: skip
def test_formulas_are_in_plain_signs_on_a_terminal(expected, typeset):
    assert tables.plain(typeset) == expected


@pytest.mark.parametrize("model", complexity.FORMS)
def test_every_formula_is_set_whole(model):
    for form in complexity.FORMS[model].values():
        assert re.sub(r"\$[^$]*\$|; ", "", form).strip() == ""
        assert not any(" + " in term for term in re.findall(r"\$([^$]*)\$", form))  # a line breaks between terms


@pytest.mark.parametrize(
    ("counts", "power"),
    [
        ([1, 2, 4, 8], 1), ([1, 4, 16, 64], 2), ([1001, 1008, 1064, 1512], 3), ([7, 7, 7, 7], 0), ([0, 0, 0, 0], 0),
        ([100, 103, 99, 102], 0), ([51, 52, 54, 58], 1),
    ],
)  # fmt: skip
def test_a_constant_part_and_small_noise_do_not_hide_the_power(counts, power):
    assert complexity.growth([1, 2, 4, 8], counts) == pytest.approx(power)


def test_counts_that_fall_are_refused():
    with pytest.raises(ValueError, match=r"counts \[1, 9, 5\] at sizes \[1, 2, 4\]; expected what grows"):
        complexity.growth([1, 2, 4], [1, 9, 5])


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    """Table 1 with fewer doublings: frames, and the values by model and size.

    A model is counted once at the sizes from which each of them grows.
    """
    store = tmp_path_factory.mktemp("store")
    cases, count, counts = complexity.cases(budget="smoke"), complexity._count, {}

    def once(model, widths, sizes):
        key = model, *sizes.items()
        if key not in counts:
            counts[key] = count(model, widths, sizes)
        return counts[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(complexity, "_count", once)
        for case in cases:
            find_or_take(case.job, complexity.operations, store)
    frames = complexity.frames(cases, Store(store))
    models = {}
    for labels, job in cases:
        values = json.loads(job.file(store, job.fingerprint()).read_text())["values"]
        models.setdefault(labels["model"], {})[labels["size"]] = values
    return frames, models


def highest(form):
    """The highest power of each size in a formula's text."""
    found = {}
    for size, symbol in complexity.SYMBOLS.items():
        places = [place for place in range(len(form)) if form.startswith(symbol, place)]
        after = [form[place + len(symbol) :][:2] for place in places]
        if size == "dim":  # the d of d_m is another size
            after = [mark for mark in after if mark[:1] != "_"]
        found[size] = 2 if "^2" in after else int(bool(after))
    return found


def test_the_formulas_shown_have_the_powers_counted_and_leave_nothing_out(counted):
    _, models = counted
    for model, counts in models.items():
        for phase in complexity.TITLES:
            for part in complexity.PARTS:
                done = any(any(values[phase][part]) for values in counts.values())
                form = complexity.FORMS[model].get((phase, part))
                assert done == (form is not None), (model, phase, part)
                if form is not None:
                    found = complexity.powers(counts, [(phase, part)])
                    rounded = {size: round(power) for size, power in found.items()}
                    assert rounded == highest(form), (model, phase, part, found)


def test_the_two_wrong_entries_are_found_and_the_others_are_right_or_cheaper_here(counted):
    answers = next(iter(counted[0].values()))["as printed?"]
    kinds = {entry: tables.plain(answer).partition(":")[0].split(" (")[0] for entry, answer in answers.items()}
    assert kinds == {
        "MMGCN, R": "yes", "MMGCN, GNN": "no, counted d²", "GRCN, R": "yes", "GRCN, GNN": "no, counted |I|⁰",
        "LATTICE, R": "yes", "LATTICE, GNN": "yes", "SLMRec, R": "no, counted |I|⁰", "SLMRec, GNN": "yes",
        "BM3, R": "no, counted |I|⁰", "BM3, GNN": "yes", "MMKD, R": "yes", "MMKD, GNN": "yes",
        "MMKD's teacher": "missing, with its prompt",
    }  # fmt: skip
    assert answers["GRCN, GNN"].endswith(": routing runs along edges")
    assert answers["MMKD, GNN"] == "yes (when serving)"
    for model in ("SLMRec", "BM3"):  # cheaper here
        assert answers[f"{model}, R"].partition(": ")[2].startswith("less here, ")
    powers = next(iter(counted[0].values()))["counted"]
    assert tables.plain(powers["GRCN, GNN"]) == "|I|⁰ L¹ |E|¹ d¹"
    assert tables.plain(powers["MMGCN, GNN"]) == "L¹ |E|¹ d²"
    assert tables.plain(powers["LATTICE, GNN"]) == "|I|² d_m¹ L¹ |E|¹ d¹"


def test_without_records_table_1_says_so(tmp_path):
    frames = TABLES["1"].frames(complexity.cases(), Store(tmp_path))
    first = next(iter(frames.values()))
    assert set(first["as printed?"]) - {complexity._READ["missing"]} == {"not run"}


# --- cases ---


def test_the_names_of_shapes_and_of_data_sets_are_checked_each_by_the_questions_about_them():
    for name in ("1", "6", "8"):
        with pytest.raises(ValueError, match="unknown shape 'tiktok'"):
            TABLES[name].cases(["tiktok"])
    for name in ("3", "4", "5", "7"):
        with pytest.raises(ValueError, match="'netflix': no such data set or folder; one of"):
            TABLES[name].cases(["netflix"])


def test_table_6_weighs_all_at_the_papers_shapes_and_width():
    cases = consumption.cases()
    assert [labels["dataset"] for labels, _ in cases[::5]] == ["netflix", "electronics"]
    assert {job.arguments["dim"] for _, job in cases} == {32}
    assert {job.arguments["batch"] for _, job in cases} == {2048}


def test_bars_in_a_cell_do_not_end_it():
    frame = pd.DataFrame({"|I|": ["|E| d"]}, index=pd.Index(["x"], name="part"))
    assert tables.markdown(frame) == "| part | \\|I\\| |\n| --- | --- |\n| x | \\|E\\| d |"


def test_table_6_shows_what_was_measured_on_a_gpu_in_a_store_inside_the_store(tmp_path):
    case = next(c for c in consumption.cases() if c.labels == {"dataset": "netflix", "system": "BM3"})
    peaks = [{"resident": 9, "gpu": mib} for mib in (107, 251, 102)]
    values = {
        "seconds": {"build": 9.0, "first step": 9.0, "other step": 0.00344, "epoch": 0.812, "tables": 0.0005},
        "memory": {"build": peaks[0], "train": peaks[1]},
        "serving": {"memory": peaks[2]},
    }
    data = {"fingerprint": case.job.fingerprint()}
    MeasurementRecord(case.job, values, {}, {"device": "a card"}, data).save(tmp_path / "card")
    frames = consumption.frames([case], Store(tmp_path))
    line = frames["netflix: measured on a GPU, a card"].loc["BM3"]
    assert line.tolist() == ["0.81", "0.0034", "0.0005", "107", "251", "102", "39.5", "2.69"]
    assert (frames["netflix: measured here"].loc["BM3"].iloc[:12] == "not run").all()
