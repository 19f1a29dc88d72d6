"""LATTICE against its equations, and what its paper promises."""

import pytest
import torch
import torch.nn.functional as F
from oracles import at_random

from mmkd_core import FitConfig, evaluate, fit
from mmkd_core.cost import parameters
from mmkd_core.models.lattice import LATTICE, Entries
from mmkd_core.models.lightgcn import LightGCN


def random_start(data, **settings):
    """A model none of whose weights is zero."""
    return at_random(LATTICE(data, **{"dim": 6, "neighbours": 4, "raw_weight": 0.6, "l2": 0.3} | settings))


def slow_laplacian(rows, neighbours):
    """Cosines, the largest of each row, at least 0, D^-1/2 A D^-1/2: one entry at a time; a row of zeros has none."""
    items = len(rows)
    matrix = torch.zeros(items, items, dtype=torch.float64)
    for i in range(items):
        norms = [float(rows[i].norm() * rows[j].norm()) for j in range(items)]
        cosines = [float(rows[i] @ rows[j]) / norm if norm else 0.0 for j, norm in enumerate(norms)]
        for j in sorted(range(items), key=lambda j: -cosines[j])[:neighbours]:
            matrix[i, j] = max(cosines[j], 0)
    degree = matrix.sum(1)
    for i in range(items):
        for j in range(items):
            if matrix[i, j]:
                matrix[i, j] /= (degree[i] * degree[j]) ** 0.5
    return matrix


def slow_structure(model, data):
    """S of the equations."""
    weights = model.importance.detach().double().exp()
    structure = 0
    for share, (_, x), project in zip(weights, sorted(data.features.items()), model.projections, strict=True):
        unit = F.normalize(x.double(), dim=1)
        projected = unit @ project.weight.detach().double().T + project.bias.detach().double()
        projected[~x.any(1)] = 0
        raw, mined = slow_laplacian(unit, model.neighbours), slow_laplacian(projected, model.neighbours)
        structure = structure + share / weights.sum() * (model.raw_weight * raw + (1 - model.raw_weight) * mined)
    return structure


def slow_tables(model, data):
    operator = model.graph.dense_rows(torch.arange(model.graph.shape[0])).double()
    layer = nodes = model.nodes.weight.detach().double()
    for _ in range(model.layers):
        layer = operator @ layer
        nodes = nodes + layer
    users, items = (nodes / (model.layers + 1)).split([data.num_users, data.num_items])
    h = model.nodes.weight.detach().double()[data.num_users :]
    for _ in range(model.item_layers):
        h = slow_structure(model, data) @ h
    return users, items + F.normalize(h, dim=1)


def dense(structure):
    return structure.graph().dense_rows(torch.arange(len(structure.cols)))


@pytest.mark.parametrize("item_layers", [1, 2])
def test_scores_follow_the_equations(item_layers, make_data):
    data = make_data(7, 12, missing=(2, 5))
    model = random_start(data, item_layers=item_layers)
    users, items = slow_tables(model, data)
    torch.testing.assert_close(model.embed().scores(torch.arange(7)), (users @ items.T).float(), atol=1e-4, rtol=1e-4)


def test_loss_terms_follow_the_equations(make_data, make_batch):
    data = make_data(7, 12)
    model, batch = random_start(data), make_batch(data, size=5)
    users, items = slow_tables(model, data)
    bpr = l2 = 0.0
    for user, pos, neg in zip(batch.users, batch.pos, batch.neg[:, 0], strict=True):
        bpr += float(torch.log1p((users[user] @ (items[neg] - items[pos])).exp())) / 5
        rows = model.nodes.weight.detach()[torch.stack([user, 7 + pos, 7 + neg])]
        l2 += 0.3 * 0.5 * float(rows.square().sum()) / 5
    for training in (False, True, True):  # mined for this call, mined and kept, the kept one
        terms = model.train(training).loss(batch)
        assert {name: term.item() for name, term in terms.items()} == pytest.approx({"bpr": bpr, "l2": l2}, rel=1e-4)


def test_the_structure_follows_the_equations(make_data):
    data = make_data(7, 12, missing=(2, 5))
    model = random_start(data)
    torch.testing.assert_close(dense(model.mine()), slow_structure(model, data).float(), atol=1e-5, rtol=1e-4)


def test_gradients_are_those_of_a_dense_structure(make_data, make_batch):
    data = make_data(7, 12)
    model, batch = random_start(data).train(), make_batch(data)
    model.loss(batch)["bpr"].backward()
    structure = 0
    projections = [torch.cat([p.weight, p.bias[:, None]], 1).detach().requires_grad_() for p in model.projections]
    importance = model.importance.detach().clone().requires_grad_()
    for share, x, projection in zip(importance.softmax(0), model.features, projections, strict=True):
        rows = F.normalize(F.pad(x, (0, 1), value=1.0) @ projection.T, dim=1)
        for unit, weight in ((x, 0.6), (rows, 0.4)):
            cosines = unit @ unit.T
            kept = torch.zeros_like(cosines).scatter(1, cosines.topk(4, 1).indices, 1.0)
            values = cosines.relu() * kept
            scale = values.sum(1).rsqrt()
            structure = structure + weight * share * scale[:, None] * values * scale
    tables = model.fuse(Entries(torch.arange(12).repeat(12, 1), structure))
    rows, lists = tables.users[batch.users], tables.items[batch.lists]
    scores = (rows[:, None] * lists).sum(-1)
    F.softplus(scores[:, 1] - scores[:, 0]).mean().backward()
    torch.testing.assert_close(model.importance.grad, importance.grad)
    for ours, plain in zip(model.projections, projections, strict=True):
        torch.testing.assert_close(ours.weight.grad, plain.grad[:, :-1], atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(ours.bias.grad, plain.grad[:, -1], atol=1e-6, rtol=1e-4)


def test_raw_weight_one_keeps_the_graph_and_gives_the_projections_no_gradient(data, make_batch):
    model = random_start(data, raw_weight=1.0).train()
    before = dense(model.mine())
    sum(model.loss(make_batch(data)).values()).backward()
    assert all(p.weight.grad is None and p.bias.grad is None for p in model.projections)
    assert model.importance.grad.any()
    for project in model.projections:
        torch.nn.init.normal_(project.weight)
    assert torch.equal(dense(model.mine()), before)


def test_no_item_layer_leaves_the_items_own_rows(data):
    model = random_start(data, item_layers=0)
    plain = LightGCN(data, dim=6)
    plain.load_state_dict({"nodes.weight": model.nodes.weight})
    rows = F.normalize(model.nodes.weight[data.num_users :], dim=1)
    torch.testing.assert_close(model.embed().items, plain.embed().items + rows)
    assert torch.equal(model.embed().users, plain.embed().users)


def test_all_neighbours_and_the_same_features_give_all_items_the_same_h(make_data):
    data = make_data()
    same = type(data)("same", 30, 40, data.train, data.val, data.test, {"text": torch.randn(1, 7).expand(40, 7)})
    model = random_start(same, neighbours=40, layers=0)
    h = model.embed().items - model.nodes.weight[30:]
    torch.testing.assert_close(h, h[:1].expand(40, 6), atol=1e-5, rtol=1e-4)
    assert h.any()


def test_the_structure_is_not_negative_and_bounded(data):
    structure = dense(random_start(data).mine())
    assert (structure >= 0).all()
    assert 0.1 < torch.linalg.eigvals(structure).abs().max() < 2  # kNN is not symmetric, so 1 is no bound


def test_neighbours_with_negative_cosines_give_no_nan(make_data, make_batch):
    data = make_data(missing=(0, 3))
    model = random_start(data, neighbours=40).train()  # half of all cosines are negative
    terms = model.loss(make_batch(data))
    sum(terms.values()).backward()
    assert all(term.isfinite() for term in terms.values())
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("modalities", [1, 4])
def test_missing_modalities_leave_loss_and_gradients_finite(modalities, make_data, make_batch):
    data = make_data(modalities=modalities, missing=range(40))
    model = LATTICE(data, dim=6).train()
    terms = model.loss(make_batch(data))
    sum(terms.values()).backward()
    assert all(term.isfinite() for term in terms.values())
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_an_item_without_a_modality_has_no_neighbour_there(make_data):
    data = make_data(modalities=1, missing=(4,))
    structure = dense(random_start(data).mine())
    assert not structure[4].any()
    assert not structure[:, 4].any()


def test_an_epoch_mines_once_and_trains_the_projections_at_its_first_step(data, make_batch):
    model, batch = LATTICE(data, dim=6).train(), make_batch(data)
    for _ in range(2):
        model.refresh()
        trained = []
        for _ in range(3):
            model.zero_grad()
            sum(model.loss(batch).values()).backward()
            trained.append(all(p.weight.grad is not None for p in model.projections))
            assert model.nodes.weight.grad.any()
        assert trained == [True, False, False]


def test_evaluation_uses_the_graph_of_the_current_weights(data, make_batch):
    model = LATTICE(data, dim=6).train()
    model.loss(make_batch(data))  # keeps a graph
    for project in model.projections:
        torch.nn.init.normal_(project.weight)
    stale = model.embed().items
    served = model.eval().embed().items
    assert not torch.equal(served, stale)
    model.refresh()
    assert torch.equal(model.embed().items, served)


def test_the_restored_state_scores_as_it_was_evaluated(data):
    model = LATTICE(data, dim=6)
    history = fit(model, data, FitConfig(epochs=6, batch_size=64, lr=0.03, evaluate_every=1))
    with torch.no_grad():
        again = evaluate(model.embed(), data, "val", (20,))
    assert {name: float(values.mean()) for name, values in again.items()} == history.best


def test_repeated_entries_add_up(data):
    structure = random_start(data).mine()
    x = torch.randn(40, 3)
    assert structure.cols.shape == (40, 2 * 3 * 4)
    assert len(structure.graph().col) < structure.cols.numel()
    torch.testing.assert_close(structure.graph() @ x, structure(x))


def test_the_loss_ignores_a_constant_shift_of_importance(data, make_batch):
    model, batch = random_start(data), make_batch(data)
    before = model.loss(batch)["bpr"]
    with torch.no_grad():
        model.importance += 3
    torch.testing.assert_close(model.loss(batch)["bpr"], before)


def count(users, items, widths, dim):
    """Trained parameters: IDs, projections with bias, one weight a modality."""
    return (users + items) * dim + sum(width * dim + dim for width in widths) + len(widths)


@pytest.mark.parametrize(("users", "items", "dim"), [(20, 30, 4), (35, 50, 7)])
def test_the_parameter_count_follows_the_formula(users, items, dim, make_data):
    data = make_data(users, items)
    model = LATTICE(data, dim=dim).eval()
    widths = [x.shape[1] for x in data.features.values()]
    assert parameters(model, model.embed())["trained"] == count(users, items, widths, dim)
    assert sum(x.numel() for x in model.features) == items * sum(widths)


@pytest.mark.parametrize(("dim", "published"), [(64, 26_050_562), (32, 24_058_242)])
def test_the_formula_at_the_papers_netflix(dim, published):
    users, items, widths = 43_739, 17_239, (512, 768)
    stored = items * sum(widths)  # the public code trains the raw features; here they are constants
    assert count(users, items, widths, dim) + stored == published
