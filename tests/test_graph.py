from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmkd_core.graph import (
    Graph,
    Pattern,
    bipartite,
    item_knn,
    listed_scores,
    neighbour_mean,
    propagate,
    segment_softmax,
)

# users 0..3, items 0..4; user 3 and item 4 are isolated
EDGES = torch.tensor([[0, 0], [0, 2], [1, 1], [1, 2], [2, 2], [2, 3]])
USERS, ITEMS = 4, 5


def dense(graph):
    return graph.dense_rows(torch.arange(graph.shape[0])).double()


def random_graph(rows=6, cols=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    where = (torch.rand(rows, cols, generator=generator) < 0.4).nonzero()
    values = torch.randn(len(where), generator=generator)
    shuffled = torch.randperm(len(where), generator=generator)
    matrix = torch.zeros(rows, cols).double()
    matrix[where[:, 0], where[:, 1]] = values.double()
    return Graph(*where[shuffled].T, values[shuffled], (rows, cols)), matrix


def symmetric_operator():
    """D^-1/2 A D^-1/2, entry by entry."""
    operator = torch.zeros(USERS + ITEMS, USERS + ITEMS).double()
    for user, item in EDGES.tolist():
        user_degree = sum(u == user for u, _ in EDGES.tolist())
        item_degree = sum(i == item for _, i in EDGES.tolist())
        value = 1 / (user_degree * item_degree) ** 0.5
        operator[user, USERS + item] = operator[USERS + item, user] = value
    return operator


@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 20))
def test_product_is_that_of_the_dense_matrix(rows, cols, seed):
    graph, matrix = random_graph(rows, cols, seed)
    x = torch.randn(cols, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(graph @ x, matrix @ x)


def test_gradient_of_the_product():
    graph, _ = random_graph()
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True, generator=torch.Generator().manual_seed(1))
    assert torch.autograd.gradcheck(lambda x: graph @ x, x)


def test_gradient_through_two_products_is_that_of_the_dense_matrix():
    graph = bipartite(EDGES, USERS, ITEMS)
    x = torch.randn(USERS + ITEMS, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(USERS + ITEMS, 3, dtype=torch.float64)
    (ours,) = torch.autograd.grad((weight * (graph @ (graph @ x))).sum(), x)
    (plain,) = torch.autograd.grad((weight * (dense(graph) @ (dense(graph) @ x))).sum(), x)
    torch.testing.assert_close(ours, plain)


def test_product_of_a_view_that_is_not_contiguous():
    graph, matrix = random_graph()
    x = torch.randn(3, 4, dtype=torch.float64).T
    torch.testing.assert_close(graph @ x, matrix @ x)


def test_a_wrong_number_of_rows_is_named():
    graph, _ = random_graph()
    with pytest.raises(ValueError, match=r"got 5 rows for a graph of shape \(6, 4\); expected 4"):
        graph @ torch.ones(5, 2)


def test_dense_rows_in_the_order_asked_for():
    graph, matrix = random_graph()
    rows = torch.tensor([5, 0, 3, 0])
    torch.testing.assert_close(graph.dense_rows(rows).double(), matrix[rows])


def test_a_graph_stays_out_of_the_state_dict():
    assert random_graph()[0].state_dict() == {}


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


def plain_scores(users, items, rows, lists, parts):
    product = users[rows][:, None] * items[lists]
    return product.unflatten(-1, (parts, -1)).sum(-1)


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("batch", [3, 600])  # 600: more than two chunks
def test_listed_scores_and_both_gradients_are_those_of_plain_autograd(parts, batch):
    generator = torch.Generator().manual_seed(0)
    users = torch.randn(5, 6, dtype=torch.float64, requires_grad=True, generator=generator)
    items = torch.randn(7, 6, dtype=torch.float64, requires_grad=True, generator=generator)
    rows = torch.randint(4, (batch,), generator=generator)  # ids repeat; user 4 and item 6 never come
    lists = torch.randint(6, (batch, 4), generator=generator)
    lists[0] = 2
    weight = torch.randn(batch, 4, parts, dtype=torch.float64, generator=generator)
    ours = listed_scores(users, items, rows, lists, parts)
    plain = plain_scores(users, items, rows, lists, parts)
    torch.testing.assert_close(ours, plain)
    gradients = torch.autograd.grad((weight * ours).sum(), (users, items))
    torch.testing.assert_close(gradients, torch.autograd.grad((weight * plain).sum(), (users, items)))
    assert not gradients[0][4].any()
    assert not gradients[1][6].any()


def test_listed_scores_need_a_gradient_for_one_side_alone():
    users, items = torch.randn(3, 2), torch.randn(4, 2, requires_grad=True)
    listed_scores(users, items, torch.tensor([0, 2]), torch.tensor([[1, 1], [3, 0]])).sum().backward()
    torch.testing.assert_close(items.grad, torch.stack([users[2], 2 * users[0], torch.zeros(2), users[2]]))


def random_pattern(rows=6, cols=4, seed=0):
    """A pattern and where its entries are; the last row and the last column have none."""
    generator = torch.Generator().manual_seed(seed)
    where = (torch.rand(rows - 1, cols - 1, generator=generator) < 0.6).nonzero()
    shuffled = where[torch.randperm(len(where), generator=generator)]
    return Pattern(*shuffled.T, (rows, cols)), where


def test_a_pattern_keeps_its_entries_by_row():
    pattern, where = random_pattern()
    assert pattern.row.tolist() == where[:, 0].tolist()
    assert sorted(zip(pattern.row.tolist(), pattern.col.tolist(), strict=True)) == [
        tuple(pair) for pair in where.tolist()
    ]


def test_the_product_of_a_pattern_and_both_gradients_are_those_of_the_dense_matrix():
    pattern, _ = random_pattern()
    values = torch.randn(len(pattern.col), dtype=torch.float64, requires_grad=True)
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    matrix = torch.zeros(6, 4).double().index_put((pattern.row.long(), pattern.col.long()), values)
    torch.testing.assert_close(pattern.product(values, x), matrix @ x)
    weight = torch.randn(6, 3, dtype=torch.float64)
    ours = torch.autograd.grad((weight * pattern.product(values, x)).sum(), (values, x))
    torch.testing.assert_close(ours, torch.autograd.grad((weight * (matrix @ x)).sum(), (values, x)))


def test_the_scores_of_a_pattern_and_both_gradients_are_those_of_the_inner_products():
    pattern, _ = random_pattern()
    left = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    right = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    plain = (left @ right.T)[pattern.row.long(), pattern.col.long()]
    torch.testing.assert_close(pattern.scores(left, right), plain)
    weight = torch.randn(len(plain), dtype=torch.float64)
    ours = torch.autograd.grad((weight * pattern.scores(left, right)).sum(), (left, right))
    torch.testing.assert_close(ours, torch.autograd.grad((weight * plain).sum(), (left, right)))


def test_the_softmax_of_a_pattern_is_that_of_each_row_and_its_gradient_too():
    pattern, _ = random_pattern()
    values = torch.randn(len(pattern.col), dtype=torch.float64, requires_grad=True)
    plain = torch.cat([part.softmax(0) for part in values.split(pattern.row.bincount().tolist())])
    torch.testing.assert_close(pattern.softmax(values), plain)
    weight = torch.randn(len(plain), dtype=torch.float64)
    (ours,) = torch.autograd.grad((weight * pattern.softmax(values)).sum(), values)
    torch.testing.assert_close(ours, torch.autograd.grad((weight * plain).sum(), values)[0])


def test_segment_softmax_takes_large_numbers_and_empty_segments():
    out = segment_softmax(torch.tensor([1e4, 1e4 - 1, -1e4]), torch.tensor([0, 0, 2, 2, 3]), torch.tensor([1, 1, 3]))
    torch.testing.assert_close(out, torch.tensor([0.7310586, 0.2689414, 1.0]))


def test_a_pattern_stays_out_of_the_state_dict():
    assert random_pattern()[0].state_dict() == {}


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
