"""The softmax teachers, the baselines with their loss, and the graph of content: against loops from the equations."""

import pytest
import torch
import torch.nn.functional as F

from mmkd_core.graph import content_graph
from mmkd_core.layers import standardise
from mmkd_core.models import MODELS, VARIANTS, build
from mmkd_core.models.softmax import SoftmaxFactors, SoftmaxTeacher, interactions_per_user
from mmkd_core.sampling import Sampler
from mmkd_core.training import FitConfig, Trainer

KINDS = MODELS | VARIANTS


def started(kind, data, **settings):
    """A model whose tables are large enough for scores that differ."""
    model = kind(data, **settings)
    for table in model.parameters():
        torch.nn.init.normal_(table, std=0.5)
    return model.eval()


def batch_of(model, data):
    sampler = Sampler(data.train, data.num_items, model.negatives, candidates=model.candidates)
    return next(sampler.epoch(16, torch.Generator().manual_seed(1)))


def neighbours_of(data, item, count):
    """For each modality the other items of the largest positive cosine."""
    for x in (standardise(x).double() for x in data.features.values()):
        cosines = torch.stack([F.cosine_similarity(x[item], row, dim=0) for row in x])
        cosines[item] = -1
        yield [j for j in cosines.argsort(descending=True).tolist()[:count] if cosines[j] > 0]


@pytest.mark.parametrize("count", [1, 4, 100])
def test_a_row_of_the_content_graph_is_the_mean_over_neighbours_then_over_modalities(count, make_data):
    data = make_data(missing=(3, 7))
    matrix = content_graph(data, count).dense_rows(torch.arange(data.num_items)).double()
    for item in range(data.num_items):
        expected = torch.zeros(data.num_items, dtype=torch.float64)
        by_modality = [near for near in neighbours_of(data, item, count) if near]
        for near in by_modality:
            expected[near] += 1 / len(near) / len(by_modality)
        torch.testing.assert_close(matrix[item], expected, atol=1e-6, rtol=1e-6)
    assert not matrix.diagonal().any()


def test_the_content_graph_of_data_without_content_is_empty(make_data):
    data = make_data(modalities=0)
    assert not content_graph(data, 10)(torch.ones(data.num_items, 3)).any()


def tables(model, data):
    """What a teacher serves, from its equations, in float64."""
    nodes = data.num_users + data.num_items
    adjacency = torch.zeros(nodes, nodes, dtype=torch.float64)
    for user, item in data.train.tolist():
        adjacency[user, data.num_users + item] = adjacency[data.num_users + item, user] = 1
    scale = adjacency.sum(1).clamp_min(1).rsqrt()
    start = model.nodes.weight.detach().double()
    layers = [start]
    for _ in range(model.layers):
        layers.append(scale[:, None] * (adjacency @ (scale[:, None] * layers[-1])))
    users, items = torch.stack(layers).mean(0).split([data.num_users, data.num_items])
    if model.content_weight:
        matrix = content_graph(data, 4).dense_rows(torch.arange(data.num_items)).double()
        items = items + model.content_weight * matrix @ start[data.num_users :]
    return (F.normalize(users), F.normalize(items)) if model.cosine else (users, items)


CASES = [
    (SoftmaxTeacher, {}),
    (SoftmaxTeacher, {"layers": 3, "cosine": False, "content_weight": 2.0}),
    (SoftmaxTeacher, {"content_weight": 0.0}),
    (SoftmaxFactors, {}),
]


@pytest.mark.parametrize(("kind", "settings"), CASES)
def test_tables_follow_the_equations(kind, settings, data):
    model = started(kind, data, dim=6, neighbours=4, **settings)
    with torch.no_grad():
        served = model.embed()
    for ours, expected in zip(served, tables(model, data), strict=True):
        torch.testing.assert_close(ours, expected.float(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("kind", "settings"), CASES)
def test_the_loss_is_the_softmax_of_the_tables_that_serve_and_l2_of_all_rows_used(kind, settings, data):
    model = started(kind, data, dim=6, neighbours=4, candidates=9, prior=0.5, **settings)
    batch = batch_of(model, data)
    users, items = tables(model, data)
    losses, pairs, start = [], 0.0, model.nodes.weight.detach().double()
    for user, pos in zip(batch.users.tolist(), batch.pos.tolist(), strict=True):
        others = [item for item in batch.candidates.tolist() if item != pos]
        logits = torch.stack([users[user] @ items[item] for item in (pos, *others)]) / model.temperature
        losses.append(-logits.log_softmax(0)[0])
        pairs += float(start[user].square().sum() + start[data.num_users + pos].square().sum())
    shared = float(start[data.num_users + batch.candidates].square().sum()) / 9
    terms = model.loss(batch)
    torch.testing.assert_close(terms["softmax"], torch.stack(losses).mean().float(), atol=1e-5, rtol=1e-5)
    expected = 0.5 / interactions_per_user(data) * 0.5 * (pairs / len(batch.users) + shared)
    assert terms["l2"].item() == pytest.approx(expected, rel=1e-4)


def test_interactions_per_user_leave_out_who_has_none(make_data):
    data = make_data(num_users=30)
    degrees = torch.bincount(data.train[:, 0], minlength=30)
    assert (degrees == 0).any()
    assert interactions_per_user(data) == pytest.approx(float(degrees[degrees > 0].double().mean()))


@pytest.mark.parametrize("name", ["softmax-teacher", "softmax-factors"])
@pytest.mark.parametrize("settings", [{}, {"content_weight": 0.0}])
def test_without_content_a_teacher_is_lightgcn_or_bpr_mf_with_this_loss(name, settings, make_data):
    bare = make_data(modalities=0)
    model = started(KINDS[name], bare, dim=6, **settings)
    assert model.content is None
    base, layers = ("lightgcn", {"layers": model.layers}) if model.layers else ("bpr-mf", {})
    other = started(KINDS[base], bare, dim=6, **layers)
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        for ours, theirs in zip(model.embed(), other.embed(), strict=True):
            torch.testing.assert_close(ours, F.normalize(theirs) if model.cosine else theirs)


@pytest.mark.parametrize("cosine", [True, False])
def test_vbpr_with_softmax_has_that_of_the_tables_that_serve(cosine, data):
    model = started(KINDS["vbpr+softmax"], data, dim=6, cosine=cosine, candidates=9, temperature=0.7)
    batch = batch_of(model, data)
    with torch.no_grad():
        users, items = (table.double() for table in model.embed())
    if cosine:
        for table in (users, items):
            torch.testing.assert_close(table.norm(dim=1), torch.ones(len(table)).double(), atol=1e-5, rtol=1e-5)
    losses = []
    for user, pos in zip(batch.users.tolist(), batch.pos.tolist(), strict=True):
        others = [item for item in batch.candidates.tolist() if item != pos]
        logits = torch.stack([users[user] @ items[item] for item in (pos, *others)]) / 0.7
        losses.append(-logits.log_softmax(0)[0])
    torch.testing.assert_close(model.loss(batch)["softmax"], torch.stack(losses).mean().float(), atol=1e-5, rtol=1e-4)


def test_a_batch_without_candidates_is_refused(data, make_batch):
    with pytest.raises(ValueError, match="a batch without candidates; expected one of a `Sampler` that was asked"):
        SoftmaxTeacher(data, dim=4).loss(make_batch(data, 0))


def test_a_trainer_draws_as_many_candidates_as_a_model_asks_for_or_all_items(data):
    for asked, got in ((7, 7), (1000, data.num_items)):
        trainer = Trainer(build("softmax-teacher", data, {"candidates": asked}), data, FitConfig(batch_size=64))
        assert {len(batch.candidates) for batch in trainer.batches()} == {got}
