"""NGCF against its equation: E' = LeakyReLU((L + I) E W1 + (L E * E) W2), concatenated over the layers."""

import math

import pytest
import torch
from oracles import at_random, neighbours_of

from mmkd_core.cost import parameters
from mmkd_core.models.bpr_mf import BPRMF
from mmkd_core.models.lightgcn import LightGCN
from mmkd_core.models.ngcf import NGCF


def random_start(data, **settings):
    """Larger weights than training starts with, so that every part of a layer shows."""
    return at_random(NGCF(data, **{"dim": 6, "layers": 2} | settings).eval())


def slow_layers(model, data):
    """The messages of the equation, one node and one neighbour at a time, in double precision."""
    neighbours = neighbours_of(data)
    blocks = [model.nodes.weight.detach().double()]
    for w1, w2 in (weights.detach().double() for weights in model.weights):
        x, rows = blocks[-1], []
        for node, around in enumerate(neighbours):
            message = x[node] @ w1
            for other in around:
                p = 1 / math.sqrt(len(around) * len(neighbours[other]))
                message = message + p * (x[other] @ w1 + (x[other] * x[node]) @ w2)
            rows.append(torch.where(message > 0, message, model.slope * message))
        blocks.append(torch.stack(rows))
    return blocks


def slow_tables(model, data):
    first, *others = slow_layers(model, data)
    return torch.cat([first, *(x / x.norm(dim=1, keepdim=True) for x in others)], 1).split(
        [data.num_users, data.num_items]
    )


def dense_operator(data):
    """D^-1/2 A D^-1/2 of the bipartite graph."""
    n = data.num_users + data.num_items
    matrix = torch.zeros(n, n, dtype=torch.float64)
    matrix[data.train[:, 0], data.num_users + data.train[:, 1]] = 1
    matrix = matrix + matrix.T
    scale = matrix.sum(1).clamp_min(1).rsqrt()
    return scale[:, None] * matrix * scale


def identity_layers(model):
    """W1 = I, W2 = 0: what is left of a layer, with slope 1 as its activation, is (L + I) E."""
    with torch.no_grad():
        for weights in model.weights:
            weights.copy_(torch.stack([torch.eye(weights.shape[1]), torch.zeros_like(weights[1])]))
    return model


def test_scores_follow_the_equation(data):
    model = random_start(data)
    users, items = slow_tables(model, data)
    torch.testing.assert_close(model.embed().scores(torch.arange(30)), (users @ items.T).float(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("negatives", [1, 3])
def test_loss_terms_follow_the_equation(negatives, data, make_batch):
    model = random_start(data, l2=0.3)
    batch = make_batch(data, negatives, size=7)  # fewer than the nodes, some of them twice
    users, items = slow_tables(model, data)
    table, bpr, l2 = model.nodes.weight.detach(), 0.0, 0.0
    for user, pos, negs in zip(batch.users, batch.pos, batch.neg, strict=True):
        for neg in negs:
            bpr += math.log1p(math.exp(users[user] @ (items[neg] - items[pos]))) / (7 * negatives)
        l2 += 0.5 * table[torch.stack([user, 30 + pos, 30 + negs[0]])].square().sum().item() / 7
    terms = {name: term.item() for name, term in model.loss(batch).items()}
    assert terms == pytest.approx({"bpr": bpr, "l2": 0.3 * l2}, rel=1e-4)


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_the_loss_sees_the_scores_that_serve(layers, data, make_batch):
    model, batch = random_start(data, layers=layers, l2=0.0), make_batch(data)
    scores = model.embed().scores(torch.arange(30))
    margin = scores[batch.users, batch.pos] - scores[batch.users, batch.neg[:, 0]]
    torch.testing.assert_close(model.loss(batch)["bpr"], torch.nn.functional.softplus(-margin).mean())


def test_gradients_are_those_of_the_loss_over_all_rows(data, make_batch):
    """The last layer of the batch's rows alone has the gradients that the whole table would have."""
    model, batch = random_start(data, l2=0.0), make_batch(data)
    model.loss(batch)["bpr"].backward()
    got = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    scores = model.embed().scores(torch.arange(30))
    margin = scores[batch.users, batch.pos] - scores[batch.users, batch.neg[:, 0]]
    torch.nn.functional.softplus(-margin).mean().backward()
    torch.testing.assert_close(got, {name: p.grad for name, p in model.named_parameters()}, atol=1e-5, rtol=1e-4)


def test_identity_weights_leave_sums_of_lightgcns_layers(data):
    model = identity_layers(random_start(data, layers=3, slope=1.0))
    lightgcn = LightGCN(data, dim=6, layers=1)
    with torch.no_grad():
        lightgcn.nodes.weight.copy_(model.nodes.weight)
    blocks = model._blocks()
    first = 2 * torch.cat(lightgcn.embed()) - blocks[0]  # LightGCN's layer 1, out of its mean with layer 0
    torch.testing.assert_close(blocks[1] - blocks[0], first)  # W1's self loop adds E^(0)
    powers = [model.nodes.weight.double()]
    for _ in range(3):
        powers.append(dense_operator(data) @ powers[-1])
    for layer, block in enumerate(blocks):  # (L + I)^l
        expected = sum(math.comb(layer, k) * powers[k] for k in range(layer + 1))
        torch.testing.assert_close(block, expected.float(), atol=1e-4, rtol=1e-4)


def test_no_layers_are_matrix_factorisation(data, make_batch):
    model, plain, batch = random_start(data, layers=0, l2=0.1), BPRMF(data, dim=6, l2=0.1), make_batch(data)
    with torch.no_grad():
        plain.nodes.weight.copy_(model.nodes.weight)
    assert torch.equal(torch.cat(model.embed()), torch.cat(plain.embed()))
    torch.testing.assert_close(model.loss(batch), plain.loss(batch))


def test_every_block_behind_the_first_has_rows_of_unit_norm(data):
    model = random_start(data, layers=3)
    first, *blocks = torch.cat(model.embed()).split(6, dim=1)
    assert torch.equal(first, model.nodes.weight)
    for block in blocks:
        torch.testing.assert_close(block.norm(dim=1), torch.ones(70))


def test_the_next_layer_reads_what_is_not_normalised(data):
    model = random_start(data, layers=2)
    for block, slow in zip(model._blocks(), slow_layers(model, data), strict=True):
        torch.testing.assert_close(block, slow.float(), atol=1e-4, rtol=1e-4)


def test_the_operator_has_no_self_loop(data):
    assert dense_operator(data).diagonal().count_nonzero() == 0
    rows = NGCF(data).graph.dense_rows(torch.arange(70))
    torch.testing.assert_close(rows, dense_operator(data).float())


def test_dropout_is_off_when_the_model_serves(data, make_batch):
    model = random_start(data, dropout=0.5)
    assert torch.equal(model.embed().users, model.embed().users)
    model.train()
    assert not torch.equal(model.embed().users, model.embed().users)
    batch = make_batch(data)
    assert model.loss(batch)["bpr"] != model.loss(batch)["bpr"]


def test_a_node_has_one_embedding_in_a_training_step(data, make_batch):
    """A node that a batch names twice meets one dropout mask."""
    model = random_start(data, dropout=0.5, l2=0.0).train()
    batch = make_batch(data, size=4)
    twice = type(batch)(*(x.repeat_interleave(2, 0) for x in batch[:3]))
    torch.manual_seed(1)
    once = model.loss(batch)["bpr"]
    torch.manual_seed(1)
    torch.testing.assert_close(model.loss(twice)["bpr"], once)


def test_nodes_without_neighbours_have_finite_tables_and_gradients(data, make_batch):
    model = NGCF(data).train()  # the last user and the last item are alone
    batch = make_batch(data)
    batch.users[0], batch.pos[0], batch.neg[1] = 29, 39, 39
    sum(model.loss(batch).values()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    model.eval()
    with torch.no_grad():
        model.nodes.weight.zero_()  # rows of norm zero
    assert torch.cat(model.embed()).count_nonzero() == 0
    model.loss(batch)["bpr"].backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_content_is_not_read(make_data):
    with_content, without = make_data(), make_data(modalities=0)
    torch.manual_seed(1)
    first = NGCF(with_content).eval()
    torch.manual_seed(1)
    assert torch.equal(NGCF(without).eval().embed().items, first.embed().items)


def formula(users, items, dim, layers):
    """The tables, and W1 and W2 of each layer."""
    return (users + items) * dim + layers * 2 * dim * dim


@pytest.mark.parametrize(("users", "items", "dim", "layers"), [(20, 30, 4, 2), (35, 50, 7, 3)])
def test_parameter_counts_follow_the_formula(users, items, dim, layers, make_data):
    data = make_data(users, items)
    model = NGCF(data, dim=dim, layers=layers)
    counts = parameters(model, model.embed())
    assert counts["trained"] == formula(users, items, dim, layers)
    assert counts["served"] == (users + items) * (layers + 1) * dim


def test_the_formula_at_the_papers_netflix():
    biases = 3 * 2 * 64  # of the public code's layers; the paper's equation has none
    assert formula(43_739, 17_239, 64, 3) + biases == 3_927_552
