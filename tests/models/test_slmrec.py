"""SLMRec against its equations, and what its paper promises."""

import pytest
import torch
import torch.nn.functional as F
from oracles import at_random

from mmkd_core.cost import parameters
from mmkd_core.data import Batch
from mmkd_core.graph import propagate
from mmkd_core.models.slmrec import SLMRec


def random_start(data, **settings):
    """A model none of whose weights is zero."""
    return at_random(SLMRec(data, **{"dim": 6, "layers": 3, "ssl": 0.7, "ssl_temperature": 0.5, "l2": 0.3} | settings))


def slow_channels(model, data):
    """z^0, ..., z^M of all nodes: each modality's stack [U; X W + b] through the dense graph."""
    operator = model.graph.dense_rows(torch.arange(model.graph.shape[0])).double()
    users, items = model.split(model.nodes.weight.detach().double())
    tables = [items]
    for (_, x), projection in zip(sorted(data.features.items()), model.projections, strict=True):
        weight = projection.detach().double()
        rows = [row / row.norm() if row.any() else row for row in x.double()]
        tables.append(torch.stack(rows) @ weight[:, :-1].T + weight[:, -1])
    channels = []
    for table in tables:
        layer = total = torch.cat([users, table])
        for _ in range(model.layers):
            layer = operator @ layer
            total = total + layer
        channels.append(total / (model.layers + 1))
    return channels


def slow_linear(layer, rows):
    return rows @ layer.weight.detach().double().T + layer.bias.detach().double()


def slow_tables(model, data):
    rows = torch.cat(slow_channels(model, data), dim=1)
    return slow_linear(model.fuse_users, rows[: data.num_users]), slow_linear(model.fuse_items, rows[data.num_users :])


def slow_infonce(x, y, others, temperature):
    """-log of the positive's share of exp(cos / temperature) among itself and the others."""
    exp = [torch.exp(F.cosine_similarity(x, row, dim=0) / temperature) for row in [y, *others]]
    return -torch.log(exp[0] / sum(exp))


@pytest.mark.parametrize("layers", [0, 1, 2, 3])
def test_scores_follow_the_equation(layers, make_data):
    data = make_data(7, 9, missing=(2,))
    model = random_start(data, layers=layers)
    users, items = slow_tables(model, data)
    torch.testing.assert_close(model.embed().scores(torch.arange(7)), (users @ items.T).float(), atol=1e-4, rtol=1e-4)


def test_the_main_term_follows_the_equation(make_data, make_batch):
    data = make_data(7, 9, missing=(2,))
    model, batch = random_start(data), make_batch(data, size=12)
    users, items = slow_tables(model, data)
    pairs = list(zip(batch.users.tolist(), batch.pos.tolist(), strict=True))
    assert len(set(batch.pos.tolist())) < len(pairs)  # some item comes twice
    expected = []
    for user, item in pairs:
        others = [items[j] for j in sorted(set(batch.pos.tolist())) if (user, j) not in pairs]
        expected.append(slow_infonce(users[user], items[item], others, model.temperature))
    torch.testing.assert_close(model.loss(batch)["infonce"], torch.stack(expected).mean().float())


def test_fac_follows_the_equation(make_data, make_batch):
    data = make_data(7, 9, missing=(2,))
    model, batch = random_start(data), make_batch(data, size=12)
    ids = sorted(set(batch.pos.tolist()))
    x, *channels = [z[data.num_users :][ids] for z in slow_channels(model, data)]
    expected = 0.0
    for h, g, channel in zip(model.from_chain, model.from_modality, channels, strict=True):
        x, y = slow_linear(h, x), slow_linear(g, channel)
        rows = [
            slow_infonce(x[i], y[i], [y[j] for j in range(len(ids)) if j != i], model.ssl_temperature)
            for i in range(len(ids))
        ]
        expected += torch.stack(rows).mean()
    torch.testing.assert_close(model.loss(batch)["ssl"], 0.7 * expected.float())


def test_l2_is_that_of_the_layer_0_rows_of_the_pairs(data, make_batch):
    model, batch = random_start(data), make_batch(data)
    users, items = model.split(model.nodes.weight)
    squares = users[batch.users].square().sum() + items[batch.pos].square().sum()
    torch.testing.assert_close(model.loss(batch)["l2"], 0.3 * 0.5 * squares / len(batch.users))


def test_without_its_weight_fac_gives_its_heads_no_gradient(data, make_batch):
    model = random_start(data, ssl=0.0)
    sum(model.loss(make_batch(data)).values()).backward()
    heads = [*model.from_chain.parameters(), *model.from_modality.parameters()]
    assert all(p.grad is None for p in heads)
    assert model.fuse_users.weight.grad.any()


def test_a_batch_of_one_pair_has_no_loss_and_finite_gradients(data, make_batch):
    model = random_start(data, l2=0.0)
    terms = model.loss(make_batch(data, size=1))
    assert terms["infonce"] == 0
    assert terms["ssl"] == 0
    sum(terms.values()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_the_loss_does_not_depend_on_the_scale_of_the_embeddings(data, make_batch):
    model, batch = random_start(data, l2=0.0), make_batch(data)
    before = model.loss(batch)
    scores = model.embed().scores(torch.arange(data.num_users))
    with torch.no_grad():
        for p in [
            *model.fuse_users.parameters(),
            *model.from_chain[-1].parameters(),
            *model.from_modality.parameters(),
        ]:
            p.mul_(3)
    after = model.loss(batch)
    torch.testing.assert_close(after, before)
    torch.testing.assert_close(model.embed().scores(torch.arange(data.num_users)), 3 * scores)


def test_an_item_that_comes_twice_is_no_negative_of_itself(data):
    model = random_start(data, l2=0.0, ssl=0.0)
    pairs = data.train[data.train[:, 1] == data.train[0, 1]]  # one item, many users
    assert len(pairs) > 1
    assert model.loss(Batch(*pairs.T, pairs[:, 1:]))["infonce"] == 0


def test_no_other_item_of_the_user_is_a_negative(data):
    model = random_start(data, l2=0.0, ssl=0.0)
    pairs = data.train[data.train[:, 0] == data.train[0, 0]]  # one user, many items
    assert len(pairs) > 1
    assert model.loss(Batch(*pairs.T, pairs[:, 1:]))["infonce"] == 0


def test_the_id_channel_is_lightgcn(data):
    model = random_start(data)
    torch.testing.assert_close(model._channels()[0], propagate(model.graph, model.nodes.weight, 3))


def test_items_without_a_modality_have_finite_loss_and_gradients(make_data, make_batch):
    data = make_data(missing=tuple(range(40)))
    model = SLMRec(data, dim=6)
    terms = model.loss(make_batch(data))
    sum(terms.values()).backward()
    assert all(term.isfinite() for term in terms.values())
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(("modalities", "widths"), [(1, [6]), (2, [6, 3]), (4, [6, 6, 6, 3])])
def test_the_chain_has_a_link_a_modality(modalities, widths, make_data, make_batch):
    data = make_data(modalities=modalities)
    model = random_start(data)
    assert [h.out_features for h in model.from_chain] == [g.out_features for g in model.from_modality] == widths
    sum(model.loss(make_batch(data)).values()).backward()
    assert all(p.grad.any() for p in model.parameters())


def trained(users, items, widths, dim):
    links = [dim] * (len(widths) - 1) + [dim // 2 if len(widths) > 1 else dim]
    chain = sum(a * b + b for a, b in zip([dim, *links], links, strict=False))
    heads = sum(dim * b + b for b in links)
    fusion = 2 * ((len(widths) + 1) * dim * dim + dim)
    return (users + items) * dim + sum(width * dim + dim for width in widths) + fusion + chain + heads


@pytest.mark.parametrize(("users", "items", "dim"), [(20, 30, 4), (35, 50, 7)])
def test_parameter_counts_follow_the_formula(users, items, dim, make_data):
    data = make_data(users, items)
    model = SLMRec(data, dim=dim)
    assert parameters(model, model.embed())["trained"] == trained(users, items, (7, 12, 5), dim)


def test_the_formula_at_the_papers_netflix():
    # The public code keeps the two heads of a third modality that is not there: one has no use, and the other only
    # stands before the next linear layer.
    absent = 2 * (64 * 64 + 64)
    assert trained(43_739, 17_239, (512, 768), 64) + absent == 4_030_144
