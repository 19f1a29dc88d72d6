import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmkd_core.graph import propagate, propagate_at
from mmkd_core.kernels import listed_scores, rows, segment_softmax
from mmkd_core.sparse import Graph, Pairs, Pattern


def random_graph(rows=6, cols=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    where = (torch.rand(rows, cols, generator=generator) < 0.4).nonzero()
    values = torch.randn(len(where), generator=generator)
    shuffled = torch.randperm(len(where), generator=generator)
    matrix = torch.zeros(rows, cols).double()
    matrix[where[:, 0], where[:, 1]] = values.double()
    return Graph(*where[shuffled].T, values[shuffled], (rows, cols)), matrix


@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 20))
def test_product_is_that_of_the_dense_matrix(rows, cols, seed):
    graph, matrix = random_graph(rows, cols, seed)
    x = torch.randn(cols, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(graph @ x, matrix @ x)


def test_gradient_of_the_product():
    graph, _ = random_graph()
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True, generator=torch.Generator().manual_seed(1))
    assert torch.autograd.gradcheck(lambda x: graph @ x, x)


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


@pytest.mark.parametrize("cpu", [True, False])
def test_which_pairs_are_held_whatever_is_named_twice(cpu, monkeypatch):
    monkeypatch.setattr(rows, "on_cpu", lambda x: cpu)
    graph, matrix = random_graph()
    row = torch.repeat_interleave(torch.arange(6), graph.crow.diff())
    shuffled = torch.randperm(len(row), generator=torch.Generator().manual_seed(2))
    pairs = Pairs(row[shuffled], graph.col[shuffled].long(), (6, 4))
    named, cols = torch.tensor([5, 0, 3, 0]), torch.tensor([3, 0, 2, 0, 0])
    assert torch.equal(pairs.holds(named, cols), (matrix != 0)[named][:, cols])
    assert pairs.state_dict() == {}


def test_a_graph_stays_out_of_the_state_dict():
    assert random_graph()[0].state_dict() == {}


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


@pytest.mark.parametrize("cpu", [True, False])
def test_the_scores_of_a_pattern_and_both_gradients_are_those_of_the_inner_products(cpu, monkeypatch):
    monkeypatch.setattr(rows, "on_cpu", lambda x: cpu)
    pattern, _ = random_pattern()
    left = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    right = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    plain = (left @ right.T)[pattern.row.long(), pattern.col.long()]
    torch.testing.assert_close(pattern.scores(left, right), plain)
    weight = torch.randn(len(plain), dtype=torch.float64)
    ours = torch.autograd.grad((weight * pattern.scores(left, right)).sum(), (left, right))
    torch.testing.assert_close(ours, torch.autograd.grad((weight * plain).sum(), (left, right)))


def test_rows_of_the_entries_columns_and_values_by_column_with_their_gradients():
    pattern, _ = random_pattern()
    x = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    values = torch.randn(len(pattern.col), dtype=torch.float64, requires_grad=True)
    pairs = (
        (pattern.of_columns(x), x[pattern.col.long()]),
        (
            pattern.by_column(values),
            values[pattern.transposed_order.long()],
        ),
    )
    for (ours, plain), start in zip(pairs, (x, values), strict=True):
        assert torch.equal(ours, plain)
        weight = torch.randn(plain.shape, dtype=torch.float64)
        gradients = [torch.autograd.grad((weight * y).sum(), start)[0] for y in (ours, plain)]
        torch.testing.assert_close(*gradients)


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


@pytest.mark.parametrize("cpu", [True, False])
def test_rows_of_a_product_and_their_gradient_are_those_of_the_whole_product(cpu, monkeypatch):
    monkeypatch.setattr(rows, "on_cpu", lambda x: cpu)
    graph, matrix = random_graph(rows=9)
    chosen = torch.tensor([7, 0, 3, 0, 0])
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(graph(x, chosen), (matrix @ x)[chosen])
    weight = torch.randn(5, 3, dtype=torch.float64)
    (ours,) = torch.autograd.grad((weight * graph(x, chosen)).sum(), x)
    torch.testing.assert_close(ours, torch.autograd.grad((weight * (matrix @ x)[chosen]).sum(), x)[0])


@pytest.mark.parametrize("cpu", [True, False])
def test_rows_of_the_product_of_a_pattern_and_both_gradients_are_those_of_the_dense_matrix(cpu, monkeypatch):
    monkeypatch.setattr(rows, "on_cpu", lambda x: cpu)
    pattern, _ = random_pattern()
    chosen = torch.tensor([5, 0, 3, 0, 1])  # row 5 is empty
    values = torch.randn(len(pattern.col), dtype=torch.float64, requires_grad=True)
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    matrix = torch.zeros(6, 4).double().index_put((pattern.row.long(), pattern.col.long()), values)
    torch.testing.assert_close(pattern.product(values, x, chosen), (matrix @ x)[chosen])
    weight = torch.randn(5, 3, dtype=torch.float64)
    ours = torch.autograd.grad((weight * pattern.product(values, x, chosen)).sum(), (values, x))
    torch.testing.assert_close(ours, torch.autograd.grad((weight * (matrix @ x)[chosen]).sum(), (values, x)))


@pytest.mark.parametrize("layers", [0, 1, 3])
@pytest.mark.parametrize("cpu", [True, False])
def test_rows_of_what_is_propagated_and_their_gradient_are_those_of_the_whole(cpu, layers, monkeypatch):
    monkeypatch.setattr(rows, "on_cpu", lambda x: cpu)
    graph, _ = random_graph(rows=7, cols=7)  # not symmetric
    chosen = torch.tensor([6, 0, 3, 0, 0])
    x = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    plain = [propagate(graph, x, layers)[chosen], x[chosen]]
    ours = propagate_at(graph, x, layers, chosen)
    torch.testing.assert_close([*ours], plain)
    weights = torch.randn(2, 5, 3, dtype=torch.float64)
    found, expected = (
        torch.autograd.grad(sum((w * y).sum() for w, y in zip(weights, parts, strict=True)), x)[0]
        for parts in (ours, plain)
    )
    torch.testing.assert_close(found, expected)
