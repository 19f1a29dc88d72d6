import pytest
import torch
import torch.nn.functional as F
from oracles import at_random, neighbours_of, unit

from mmkd_core.cost import parameters
from mmkd_core.graph import bipartite
from mmkd_core.layers import standardise
from mmkd_core.models.grcn import GRCN


def random_model(data, **settings):
    """Everything at random: some edges are cut, and no bias is zero."""
    return at_random(GRCN(data, **settings), std=0.7)


def attend(x, near, node):
    """Softmax over a node's neighbours of the inner products, and the neighbours' weighted sum."""
    if not near[node]:
        return [], torch.zeros_like(x[node])
    weights = torch.stack([x[node] @ x[other] for other in near[node]]).softmax(0)
    return weights.tolist(), sum(weight * x[other] for weight, other in zip(weights, near[node], strict=True))


def plain(model, data):
    """E node by node, from the paper's equations."""
    near, dim = neighbours_of(data), model.nodes.weight.shape[1]
    contents, trust = [], {}
    for m, (modality, project) in enumerate(zip(sorted(data.features), model.projections, strict=True)):
        preferences = model.preferences.weight[:, m * dim : (m + 1) * dim]
        features = standardise(data.features[modality])
        x = [unit(row) for row in preferences] + [unit(F.leaky_relu(project(row))) for row in features]
        for _ in range(model.routing):
            routed = [unit(x[user] + attend(x, near, user)[1]) for user in range(data.num_users)]
            x = routed + x[data.num_users :]
        for node in range(len(x)):
            for weight, other in zip(attend(x, near, node)[0], near[node], strict=True):
                trust.setdefault((node, other), []).append(weight * model.confidence[other, m].item())
        contents.append(torch.stack([x[node] + attend(x, near, node)[1] for node in range(len(x))]))
    layer = total = model.nodes.weight
    for _ in range(model.layers):
        after = torch.zeros_like(layer)
        for (node, other), values in trust.items():
            after[node] += max(0.0, *values) * layer[other]
        total, layer = total + after, after
    return torch.cat([total, *contents], dim=1)


@pytest.mark.parametrize(("layers", "routing"), [(1, 0), (2, 3)])
@pytest.mark.parametrize("modalities", [1, 4])
def test_the_tables_are_those_of_the_papers_equations(layers, routing, modalities, make_data):
    data = make_data(11, 13, modalities=modalities)
    model = random_model(data, dim=4, layers=layers, routing=routing)
    with torch.no_grad():
        torch.testing.assert_close(torch.cat(model.embed()), plain(model, data))


def test_the_loss_is_that_of_the_papers_equations(data, make_batch):
    model = random_model(data, dim=4, l2=0.3)
    batch = make_batch(data)
    with torch.no_grad():
        terms, (users, items) = model(batch), model.embed()
    bpr = l2 = 0.0
    for user, pos, (neg,) in zip(*(x.tolist() for x in batch[:3]), strict=True):
        bpr += float((1 + torch.exp(-users[user] @ (items[pos] - items[neg]))).log())
        ids = model.nodes.weight.detach()[[user, data.num_users + pos, data.num_users + neg]]
        l2 += 0.5 * float(ids.square().sum())
    assert float(terms["bpr"]) == pytest.approx(bpr / 16, rel=1e-4)
    assert float(terms["l2"]) == pytest.approx(0.3 * l2 / 16, rel=1e-4)


def test_routing_changes_the_preferences_of_users_who_have_items(data):
    model = random_model(data, dim=4)
    items = F.normalize(torch.randn(3, data.num_items, 4), dim=2)
    before = F.normalize(torch.randn(3, data.num_users, 4), dim=2)
    after = model.route(before, items)
    has_items = (torch.bincount(data.train[:, 0], minlength=data.num_users) > 0).tolist()
    for moved in (after - before).norm(dim=2) > 1e-3:
        assert moved.tolist() == has_items


def test_the_affinities_of_each_node_sum_to_one(data):
    model = random_model(data, dim=4)
    for affinity in model.contents()[1]:
        sums = torch.zeros(70).index_add(0, model.graph.row, affinity)
        expected = torch.tensor([float(bool(near)) for near in neighbours_of(data)])
        torch.testing.assert_close(sums, expected)


def test_affinity_one_and_confidence_one_give_the_plain_sum_over_neighbours(data, monkeypatch):
    model = random_model(data, dim=4, layers=2)
    torch.nn.init.ones_(model.confidence)
    contents, affinities = model.contents()
    monkeypatch.setattr(model, "contents", lambda: (contents, torch.ones_like(affinities)))
    adjacency = (bipartite(data.train, data.num_users, data.num_items).dense_rows(torch.arange(70)) > 0).float()
    e = model.nodes.weight
    expected = e + adjacency @ e + adjacency @ (adjacency @ e)
    torch.testing.assert_close(torch.cat(model.embed())[:, :4], expected)


def test_negative_confidence_everywhere_leaves_the_ids_alone(data):
    model = random_model(data, dim=4)
    torch.nn.init.constant_(model.confidence, -0.5)
    assert torch.equal(torch.cat(model.embed())[:, :4], model.nodes.weight)


def test_the_weight_of_an_edge_is_that_of_the_modality_that_trusts_it_most(data):
    model = random_model(data, dim=4)
    affinities = model.contents()[1]
    weights = model.refine(affinities)
    for edge in range(0, len(weights), 7):
        confidence = model.confidence[int(model.graph.col[edge])]
        expected = max(0.0, *((a[edge] * k).item() for a, k in zip(affinities, confidence, strict=True)))
        assert weights[edge].item() == pytest.approx(expected, abs=1e-6)
    assert (weights == 0).any()
    assert (weights > 0).any()


def test_items_without_a_modality_have_finite_loss_and_gradients(make_data, make_batch):
    data = make_data(missing=(0, 1, 39))
    model = GRCN(data).train()
    loss = sum(model(make_batch(data)).values())
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def formula(users, items, widths, dim):
    projections = sum(width * dim + dim for width in widths)
    return (users + items) * (dim + len(widths)) + len(widths) * users * dim + projections


@pytest.mark.parametrize(("users", "items", "dim"), [(20, 30, 4), (35, 50, 7)])
def test_the_number_of_parameters_follows_the_formula(users, items, dim, make_data):
    data = make_data(users, items)
    model = GRCN(data, dim=dim)
    widths = [x.shape[1] for x in data.features.values()]
    counts = parameters(model, model.embed())
    assert counts["trained"] == formula(users, items, widths, dim)
    assert counts["served"] == (users + items) * dim * (1 + len(widths))


def test_the_formula_at_the_papers_netflix():
    assert formula(43_739, 17_239, (512, 768), 64) == 9_705_188
