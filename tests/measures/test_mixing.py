"""How far modalities mix: the number against what must come out, and the representations it is taken of."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import cosine_distances

from mmkd_core.data import DataError
from mmkd_core.evidence.measurement import Measurement
from mmkd_core.evidence.questions import tsne
from mmkd_core.evidence.questions.tsne import METRICS, layers_of, measurable, mixing, mixing_share, picture, raw
from mmkd_core.experiment import Experiment, plan
from mmkd_core.models.teacher import Teacher
from mmkd_core.runs import restore
from mmkd_core.training import FitConfig

SHORT = FitConfig(epochs=2, batch_size=64, lr=1e-2, evaluate_every=1)


def apart(count, parts, distance):
    """Points of each modality around a centre of its own, in a direction of its own."""
    return torch.randn(count, parts, 8) + distance * torch.eye(parts, 8)


@pytest.mark.parametrize("metric", METRICS)
def test_far_apart_modalities_do_not_mix(metric):
    assert mixing_share(apart(50, 3, 100.0), metric) == 0


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("parts", [2, 3])
def test_modalities_of_one_distribution_mix_fully(metric, parts):
    count = 600
    full = count * (parts - 1) / (count * parts - 1)
    assert mixing_share(apart(count, parts, 0.0), metric) == pytest.approx(full, abs=0.02)


@pytest.mark.parametrize("metric", METRICS)
def test_the_share_does_not_depend_on_the_order_of_items_or_modalities(metric):
    points = apart(80, 3, 2.0)
    share = mixing_share(points, metric)
    assert 0 < share < 2 / 3
    assert mixing_share(points[torch.randperm(80)][:, [2, 0, 1]], metric) == pytest.approx(share, abs=1e-12)


def test_a_share_by_hand():
    # Two items on a line, at 0 and 3 by the first modality and at 1 and 5 by the second. In 20 copies, a point's 10
    # nearest neighbours are its own copies. In 6 copies, 5 are, and 5 lie in the nearest other place: that is 1 for the
    # points at 0, 0 for those at 1, 1 or 5 (as far) for those at 3, and 3 for those at 5: always the other modality.
    line = torch.tensor([[0.0, 1.0], [3.0, 5.0]])[:, :, None]
    assert mixing_share(line.repeat(20, 1, 1), "euclidean") == 0
    assert mixing_share(line.repeat(6, 1, 1), "euclidean") == 0.5


def test_cosine_sees_directions_alone_and_euclidean_distance_lengths_too():
    points = apart(200, 2, 0.0)
    longer = points * torch.tensor([1.0, 50.0])[:, None]
    assert mixing_share(longer, "cosine") == pytest.approx(mixing_share(points, "cosine"), abs=1e-12)
    assert mixing_share(longer, "euclidean") < 0.6 * mixing_share(points, "euclidean")


def test_the_cosine_is_that_of_scikit_learn():
    points = apart(100, 3, 2.0)
    flat, modality = points.flatten(0, 1).double().numpy(), np.tile(range(3), 100)
    distance = cosine_distances(flat)
    np.fill_diagonal(distance, np.inf)
    expected = (modality[distance.argsort(1)[:, :10]] != modality[:, None]).mean()
    assert mixing_share(points, "cosine") == pytest.approx(expected, abs=1e-12)


def test_an_unknown_metric_is_named():
    with pytest.raises(ValueError, match=r"unknown metric 'manhattan'; one of \['cosine', 'euclidean'\]"):
        mixing_share(apart(20, 2, 0.0), "manhattan")


def test_items_without_a_modality_or_without_training_interactions_are_left_out(make_data):
    data = make_data(missing=[3, 5])
    seen = set(data.train[:, 1].tolist())
    assert data.num_items - 1 not in seen
    assert set(measurable(data).tolist()) == seen - {3, 5}


def test_one_modality_has_nothing_to_mix_with(make_data):
    with pytest.raises(DataError, match=r"random: modalities \['text'\]; expected two at least"):
        measurable(make_data(modalities=1))


def test_too_few_items_are_refused(make_data):
    data = make_data(modalities=2, missing=range(36))
    with pytest.raises(DataError, match="items with all modalities; 10 neighbours need more"):
        measurable(data)


def test_raw_features_of_different_widths_get_the_width_of_the_narrowest(data):
    items = measurable(data)
    points = raw(data, items)
    assert points.shape == (len(items), 3, min(x.shape[1] for x in data.features.values()))
    assert points.mean(0).abs().max() < 1e-5  # principal components are centred
    for part in points.unbind(1):
        inner = part.T @ part
        assert torch.allclose(inner, inner.diagonal().diag(), atol=1e-3)  # and uncorrelated


def test_wide_raw_features_get_64_components(make_data):
    data = make_data(num_users=60, num_items=120, modalities=2)
    wide = replace(data, features={name: torch.randn(120, width) for name, width in (("image", 100), ("text", 70))})
    assert raw(wide, measurable(wide)).shape[1:] == (2, 64)


def test_the_layers_are_eq_4_without_dropout_and_two_means_over_neighbours(data):
    teacher = Teacher(data, dim=4, dropout=0.9, prompt_rate=3.0).train()
    found = layers_of(teacher)
    prompt = teacher.prompt()
    users, items = data.train.T
    edges = torch.zeros(data.num_users, data.num_items)
    edges[users, items] = 1
    to_users = edges / edges.sum(1, keepdim=True).clamp_min(1)
    to_items = edges.T / edges.sum(0)[:, None].clamp_min(1)
    for place, (x, weight) in enumerate(zip(teacher.reduction.features, teacher.reduction.weights, strict=True)):
        reduced = (x + 3.0 / len(x) * prompt @ (prompt.T @ x)) @ weight
        torch.testing.assert_close(found["f"][:, place], reduced)
        torch.testing.assert_close(found["F"][:, place], to_items @ (to_users @ reduced))


def test_a_picture_has_the_same_items_whatever_the_representation_and_is_drawn_once():
    points = apart(300, 2, 3.0)
    first = picture(points)
    assert [[len(axis) for axis in modality] for modality in first] == [[250, 250], [250, 250]]
    assert first == picture(points)
    assert first == [[[round(v, 2) for v in axis] for axis in modality] for modality in first]
    image, text = torch.tensor(first).unbind(0)
    assert (image.mean(1) - text.mean(1)).norm() > 5  # they lie apart in the plane as they do in 8 dimensions


@pytest.fixture(scope="module")
def catalogue(make_data):
    return make_data(num_items=60, missing=[3, 5])


@pytest.fixture(scope="module")
def jobs():
    teacher = Experiment("random", "teacher", 0, {"dim": 8}, SHORT)
    student = Experiment("random", "mmkd", 0, {"dim": 8, "list": 1.0}, SHORT, teacher)
    return student, Experiment("random", "teacher", 0, {"dim": 8, "prompt_rate": 0.0}, SHORT)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def take(jobs, catalogue, store):
    arguments = {"taught": jobs[0], "unprompted": jobs[1]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tsne, "load", lambda name, **options: catalogue)
        yield lambda **more: mixing(store, **arguments | more)


@pytest.fixture(scope="module")
def taken(take):
    return take(coordinates=True)


def test_every_representation_has_its_share_and_its_points(taken, catalogue):
    names = ["X", *(f"{layer}, {stage}" for layer in "fF" for stage in ("w/o-Prompt", "prompt", "prompt tuned"))]
    count = len(measurable(catalogue))
    assert list(taken["share"]) == list(taken["coordinates"]) == names
    assert (taken["items"], taken["full"]) == (count, 2 * count / (3 * count - 1))
    assert taken["modalities"] == sorted(catalogue.features)
    assert all(0 <= share <= 1 for by in taken["share"].values() for share in by.values())
    assert all(list(points) == taken["modalities"] for points in taken["coordinates"].values())


def test_the_representations_are_those_of_the_trained_teachers(taken, jobs, catalogue, store):
    student, plain = jobs
    items = measurable(catalogue)
    teachers = {
        "w/o-Prompt": restore(plain.file(store, catalogue.fingerprint), catalogue),
        "prompt": restore(student.teacher.file(store, catalogue.fingerprint), catalogue),
        "prompt tuned": restore(student.file(store, catalogue.fingerprint), catalogue).teacher,
    }
    before, after = (layers_of(teachers[stage])["F"] for stage in ("prompt", "prompt tuned"))
    assert not torch.equal(before, after)  # the student's stage moved the prompt
    for stage, teacher in teachers.items():
        for layer, points in layers_of(teacher).items():
            assert taken["share"][f"{layer}, {stage}"]["cosine"] == mixing_share(points[items], "cosine")


def test_trained_teachers_are_found_again_and_points_are_there_on_demand_alone(taken, take, store):
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*")}
    again = take()
    assert again == {name: value for name, value in taken.items() if name != "coordinates"}
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*")} == before


def test_a_student_without_a_teacher_is_refused(take, jobs):
    with pytest.raises(ValueError, match="an experiment of teacher; expected one of mmkd"):
        take(taught=jobs[1])


def test_the_cases_measure_settings_in_force_and_picture_the_first_seed_alone():
    cases = tsne.cases()
    assert [(case.labels["dataset"], case.labels["seed"]) for case in cases] == [("tiktok", seed) for seed in (0, 1, 2)]
    for (labels, job), pictured in zip(cases, (True, False, False), strict=True):
        assert isinstance(job, Measurement)
        assert job.arguments["coordinates"] is pictured
        student, plain = (job.arguments[name] for name in ("taught", "unprompted"))
        assert student == plan("mmkd", "tiktok", seed=labels["seed"])
        assert plain == plan("teacher", "tiktok", seed=labels["seed"], hparams={"prompt_rate": 0.0})
