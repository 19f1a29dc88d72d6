"""LightGCN: the mean over the layers of D^-1/2 A D^-1/2 applied again and again; test_graph has its operator."""

import pytest
import torch

from mmkd_core.models.bpr_mf import BPRMF
from mmkd_core.models.lightgcn import LightGCN


def random_start(data, **settings):
    model = LightGCN(data, dim=6, **settings)
    torch.nn.init.normal_(model.nodes.weight, std=0.5)
    return model


def scores_of(model):
    with torch.no_grad():
        return model.embed().scores(torch.arange(model.num_users))


@pytest.mark.parametrize("layers", [1, 3])
def test_scores_follow_the_equation(layers, data):
    model = random_start(data, layers=layers)
    nodes = data.num_users + data.num_items
    adjacency = torch.zeros(nodes, nodes, dtype=torch.float64)
    for user, item in data.train.tolist():
        adjacency[user, data.num_users + item] = adjacency[data.num_users + item, user] = 1
    degree = adjacency.sum(1)
    scale = torch.where(degree > 0, degree, 1).rsqrt()
    x = model.nodes.weight.detach().double()
    total = x.clone()
    for _ in range(layers):
        x = scale[:, None] * (adjacency @ (scale[:, None] * x))
        total += x
    users, items = (total / (layers + 1)).split([data.num_users, data.num_items])
    torch.testing.assert_close(scores_of(model), (users @ items.T).float(), atol=1e-5, rtol=1e-5)


def test_no_layer_is_matrix_factorisation_bit_for_bit(data):
    model, plain = random_start(data, layers=0), BPRMF(data, dim=6)
    plain.load_state_dict(model.state_dict())
    assert torch.equal(scores_of(model), scores_of(plain))


def test_l2_is_of_the_layer_0_rows(data, make_batch):
    model, batch = random_start(data, l2=0.7), make_batch(data, 2)
    table, offset = model.nodes.weight.detach(), data.num_users
    rows = torch.stack([table[batch.users], table[offset + batch.pos], table[offset + batch.neg[:, 0]]])
    expected = 0.7 * 0.5 * rows.square().sum() / len(batch.users)
    torch.testing.assert_close(model.loss(batch)["l2"], expected)


@pytest.mark.parametrize("layers", [1, 2])
def test_the_tables_are_linear_in_the_start(layers, data):
    first, second, both = (random_start(data, layers=layers) for _ in range(3))
    with torch.no_grad():
        both.nodes.weight.copy_(2 * first.nodes.weight - 3 * second.nodes.weight)
        whole, one, two = (torch.cat(model.embed()) for model in (both, first, second))
    torch.testing.assert_close(whole, 2 * one - 3 * two, atol=1e-5, rtol=1e-5)
