from itertools import product

import pytest
import torch

from mmkd_core.graph import bipartite, item_knn, neighbour_mean, propagate

# users 0..3, items 0..4; user 3 and item 4 are isolated
EDGES = torch.tensor([[0, 0], [0, 2], [1, 1], [1, 2], [2, 2], [2, 3]])
USERS, ITEMS = 4, 5


def dense(graph):
    return graph.dense_rows(torch.arange(graph.shape[0])).double()


def symmetric_operator():
    """D^-1/2 A D^-1/2, entry by entry."""
    operator = torch.zeros(USERS + ITEMS, USERS + ITEMS).double()
    for user, item in EDGES.tolist():
        user_degree = sum(u == user for u, _ in EDGES.tolist())
        item_degree = sum(i == item for _, i in EDGES.tolist())
        value = 1 / (user_degree * item_degree) ** 0.5
        operator[user, USERS + item] = operator[USERS + item, user] = value
    return operator


def test_bipartite_is_the_symmetric_operator():
    torch.testing.assert_close(dense(bipartite(EDGES, USERS, ITEMS)).float(), symmetric_operator().float())


def test_user_rows_read_item_rows_alone_and_item_rows_user_rows():
    matrix = dense(bipartite(EDGES, USERS, ITEMS))
    assert not matrix[:USERS, :USERS].any()
    assert not matrix[USERS:, USERS:].any()
    assert (matrix[:USERS, USERS:] != 0).nonzero().tolist() == EDGES.tolist()


def test_bipartite_is_symmetric_with_spectral_radius_one():
    matrix = dense(bipartite(EDGES, USERS, ITEMS))
    assert torch.equal(matrix, matrix.T)
    assert torch.linalg.eigvalsh(matrix).abs().max() == pytest.approx(1, abs=1e-6)


def test_gradient_through_two_products_is_that_of_the_dense_matrix():
    graph = bipartite(EDGES, USERS, ITEMS)
    x = torch.randn(USERS + ITEMS, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(USERS + ITEMS, 3, dtype=torch.float64)
    (ours,) = torch.autograd.grad((weight * (graph @ (graph @ x))).sum(), x)
    (plain,) = torch.autograd.grad((weight * (dense(graph) @ (dense(graph) @ x))).sum(), x)
    torch.testing.assert_close(ours, plain)


def test_isolated_nodes_become_zeros_and_get_no_gradient():
    x = torch.ones(USERS + ITEMS, 2, requires_grad=True)
    out = bipartite(EDGES, USERS, ITEMS) @ x
    out.sum().backward()
    for isolated in (3, USERS + 4):
        assert not out[isolated].any()
        assert not x.grad[isolated].any()
    assert out.isfinite().all()


def test_a_complete_bipartite_graph_gives_all_users_the_same_vector():
    everything = torch.cartesian_prod(torch.arange(5), torch.arange(7))
    out = bipartite(everything, 5, 7) @ torch.randn(12, 3)
    torch.testing.assert_close(out[:5], out[:1].expand(5, 3))
    torch.testing.assert_close(out[5:], out[5:6].expand(7, 3))


def test_neighbour_mean_is_the_mean_over_the_neighbours():
    x = torch.randn(ITEMS, 3)
    out = neighbour_mean(*EDGES.T, (USERS, ITEMS)) @ x
    torch.testing.assert_close(out[1], (x[1] + x[2]) / 2)
    torch.testing.assert_close(out[0], (x[0] + x[2]) / 2)


def test_rows_of_neighbour_mean_sum_to_one_or_to_zero():
    sums = dense(neighbour_mean(*EDGES.T, (USERS, ITEMS))).sum(1)
    torch.testing.assert_close(sums, torch.tensor([1.0, 1.0, 1.0, 0.0]).double())


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_propagate_is_the_mean_over_the_layers(layers):
    x = torch.randn(USERS + ITEMS, 3).double()
    powers = [torch.linalg.matrix_power(symmetric_operator(), layer) @ x for layer in range(layers + 1)]
    out = propagate(bipartite(EDGES, USERS, ITEMS), x, layers)
    torch.testing.assert_close(out, sum(powers) / (layers + 1), atol=1e-6, rtol=1e-6)


def test_propagate_without_layers_is_the_table_itself_bit_for_bit():
    x = torch.randn(USERS + ITEMS, 3)
    assert torch.equal(propagate(bipartite(EDGES, USERS, ITEMS), x, 0), x)


def test_propagate_is_linear():
    graph = bipartite(EDGES, USERS, ITEMS)
    x, y = torch.randn(2, USERS + ITEMS, 3).double()
    torch.testing.assert_close(propagate(graph, 2 * x - y, 2), 2 * propagate(graph, x, 2) - propagate(graph, y, 2))


@pytest.mark.parametrize("block", [1, 4, 100])
def test_item_knn_finds_what_a_dense_comparison_finds(block):
    x = torch.randn(11, 3, generator=torch.Generator().manual_seed(0))
    x[[2, 5]] = 0  # no modality
    x[[3, 7, 8]] = x[1].clone()  # ties, also with itself
    cosines = torch.zeros(11, 11)
    for i, j in product(range(11), repeat=2):
        if x[i].any() and x[j].any():
            cosines[i, j] = (x[i] @ x[j]) / (x[i].norm() * x[j].norm())
    found = item_knn(x, 3, block)
    torch.testing.assert_close(found.cosines, cosines.topk(3).values, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(found.cosines, cosines.gather(1, found.items), atol=1e-6, rtol=1e-5)
    assert all(len(set(row)) == 3 for row in found.items.tolist())  # each neighbour once


def test_item_knn_gives_all_rows_where_more_are_asked_for():
    found = item_knn(torch.randn(4, 3), 10)
    assert found.items.sort(1).values.tolist() == [[0, 1, 2, 3]] * 4


@pytest.mark.parametrize("scale", [1e-30, 1e-13, 1e30])
def test_item_knn_ignores_the_scale_of_all_rows(scale):
    x = torch.randn(9, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(item_knn(scale * x, 4), item_knn(x, 4), rtol=1e-5, atol=1e-6)


def test_item_knn_ignores_the_length_of_rows():
    x = torch.randn(9, 3, dtype=torch.float64)
    assert torch.equal(item_knn(x, 4).items, item_knn(x * torch.arange(1, 10)[:, None], 4).items)
