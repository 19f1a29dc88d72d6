"""BM3 against its equations, and what its paper promises."""

import pytest
import torch
from oracles import at_random

from mmkd_core.cost import parameters
from mmkd_core.data import Batch
from mmkd_core.graph import bipartite
from mmkd_core.layers import standardise
from mmkd_core.models.bm3 import BM3


def random_start(data, **settings):
    """A model none of whose weights is zero."""
    return at_random(BM3(data, **{"dim": 6, "layers": 2, "content_weight": 0.7, "l2": 0.3} | settings))


def slow_rows(model, data):
    """The equations' h_u, h_i and f^m, dense and in double precision, with the weights that they depend on."""
    operator = model.graph.dense_rows(torch.arange(model.graph.shape[0])).double()
    layer = model.nodes.weight.detach().double()
    total = layer.clone()
    for _ in range(model.layers):
        layer = operator @ layer
        total += layer
    nodes = total / (model.layers + 1)
    items = nodes[data.num_users :] + model.nodes.weight.detach().double()[data.num_users :]
    contents = [
        standardise(x).double() @ project.weight.detach().double().T + project.bias.detach().double()
        for (_, x), project in zip(sorted(data.features.items()), model.projections, strict=True)
    ]
    return nodes[: data.num_users], items, contents


def slow_predict(model, row):
    return model.predictor.weight.detach().double() @ row + model.predictor.bias.detach().double()


def distance(first, second):
    return float(1 - first @ second / (first.norm() * second.norm()))


def test_scores_follow_the_equation(make_data):
    data = make_data(7, 9, missing=(2,))
    model = random_start(data)
    users, items, _ = slow_rows(model, data)
    expected = torch.tensor(
        [[float(slow_predict(model, user) @ slow_predict(model, item)) for item in items] for user in users]
    )
    torch.testing.assert_close(model.embed().scores(torch.arange(7)), expected, atol=1e-4, rtol=1e-4)


def test_loss_terms_follow_the_equations(make_data, make_batch):
    data = make_data(7, 9, missing=(2,))
    model, batch = random_start(data), make_batch(data, size=5)
    users, items, contents = slow_rows(model, data)
    expected = dict.fromkeys(("reconstruct", "align", "mask", "l2"), 0.0)
    for u, i in zip(batch.users.tolist(), batch.pos.tolist(), strict=True):
        user, item = users[u], items[i]
        expected["reconstruct"] += distance(slow_predict(model, user), item) / 5
        expected["reconstruct"] += distance(slow_predict(model, item), user) / 5
        for content in contents:
            expected["align"] += 0.7 * distance(slow_predict(model, content[i]), item) / 5
            expected["mask"] += 0.7 * distance(slow_predict(model, content[i]), content[i]) / 5
        expected["l2"] += 0.3 * 0.5 * float(user @ user + item @ item) / 5
    assert {name: term.item() for name, term in model.loss(batch).items()} == pytest.approx(expected, rel=1e-4)


def test_the_graph_is_lightgcns(data):
    ours, plain = random_start(data).graph, bipartite(data.train, data.num_users, data.num_items)
    nodes = torch.arange(data.num_users + data.num_items)
    assert torch.equal(ours.dense_rows(nodes), plain.dense_rows(nodes))


@pytest.mark.parametrize("seed", range(5))
def test_the_terms_stay_in_their_range(seed, data, make_batch):
    torch.manual_seed(seed)
    model = random_start(data, content_weight=2.0).train()
    terms = model.loss(make_batch(data))
    assert 0 <= terms["reconstruct"] <= 4
    assert 0 <= terms["align"] <= 2.0 * 2 * 3
    assert 0 <= terms["mask"] <= 2.0 * 2 * 3


def test_the_loss_is_zero_where_all_views_agree_and_the_predictor_is_the_identity(data, make_batch):
    model = random_start(data, layers=0, l2=0.0)
    with torch.no_grad():
        row = torch.randn(6)
        model.nodes.weight.copy_(row.expand_as(model.nodes.weight))
        model.predictor.weight.copy_(torch.eye(6))
        model.predictor.bias.zero_()
        for project in model.projections:
            project.weight.zero_()
            project.bias.copy_(row)
    for term in model.loss(make_batch(data)).values():
        assert term.item() == pytest.approx(0, abs=1e-5)
    model.train()  # dropout alone makes a difference
    assert model.loss(make_batch(data))["reconstruct"] > 0.1


def test_no_gradient_reaches_the_targets(data, make_batch):
    model = random_start(data, l2=0.0).train()
    torch.nn.init.zeros_(model.predictor.weight)  # every prediction is the bias: what is left would go through targets
    sum(model.loss(make_batch(data)).values()).backward()
    assert model.predictor.bias.grad.any()
    assert not model.nodes.weight.grad.any()
    assert not any(project.weight.grad.any() or project.bias.grad.any() for project in model.projections)


def test_the_loss_needs_no_negative_item(data, make_batch):
    model, batch = random_start(data), make_batch(data)
    others = Batch(batch.users, batch.pos, (batch.neg + 1) % data.num_items)
    none = Batch(batch.users, batch.pos, batch.neg[:, :0])
    for changed in (others, none):
        torch.testing.assert_close(model.loss(changed), model.loss(batch), atol=0, rtol=0)


def test_the_terms_ignore_the_scale_of_the_targets(data, make_batch):
    model, batch = random_start(data, l2=0.0), make_batch(data)
    torch.nn.init.zeros_(model.predictor.bias)
    before = model.loss(batch)["reconstruct"]
    with torch.no_grad():
        model.nodes.weight.mul_(3)
    torch.testing.assert_close(model.loss(batch)["reconstruct"], before)


def test_dropout_is_for_training_alone(data, make_batch):
    model, batch = random_start(data), make_batch(data)
    assert model.loss(batch)["mask"] == model.loss(batch)["mask"]
    model.train()
    assert model.loss(batch)["mask"] != model.loss(batch)["mask"]
    torch.testing.assert_close(model.embed(), model.eval().embed(), atol=0, rtol=0)


def test_an_item_keeps_its_own_row_beside_the_propagated_one(data):
    model = random_start(data, layers=1)
    isolated = data.num_items - 1
    row = model.nodes.weight[-1]
    torch.testing.assert_close(model.collaborate().items[isolated], row / 2 + row)


def test_content_weight_zero_leaves_the_projections_alone(data, make_batch):
    model = random_start(data, content_weight=0.0).train()
    sum(model.loss(make_batch(data)).values()).backward()
    assert not any(project.weight.grad.any() for project in model.projections)


@pytest.mark.parametrize("modalities", [1, 4])
def test_missing_modalities_leave_loss_and_gradients_finite(modalities, make_data, make_batch):
    data = make_data(modalities=modalities, missing=range(40))
    model = BM3(data, dim=6).train()
    terms = model.loss(make_batch(data))
    sum(terms.values()).backward()
    assert all(term.isfinite() for term in terms.values())
    assert all(p.grad.isfinite().all() for p in model.parameters())


def count(users, items, widths, dim):
    """Trained parameters: IDs, projections with bias, predictor with bias."""
    return (users + items) * dim + sum(width * dim + dim for width in widths) + dim * dim + dim


@pytest.mark.parametrize(("users", "items", "dim"), [(20, 30, 4), (35, 50, 7)])
def test_the_parameter_count_follows_the_formula(users, items, dim, make_data):
    data = make_data(users, items)
    model = BM3(data, dim=dim)
    widths = [x.shape[1] for x in data.features.values()]
    assert parameters(model, model.embed())["trained"] == count(users, items, widths, dim)
    assert sum(x.numel() for x in model.features) == items * sum(widths)


def test_the_formula_at_the_papers_netflix():
    users, items, widths = 43_739, 17_239, (512, 768)
    stored = items * sum(widths)  # the public code trains the raw features; here they are constants
    assert count(users, items, widths, 64) + stored == 26_054_720
