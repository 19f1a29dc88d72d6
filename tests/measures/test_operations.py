"""The counter of operations against counts by hand, and models against their equations."""

import pytest
import torch
from torch import nn

from mmkd_core.evidence.meters import counted
from mmkd_core.evidence.questions.complexity import BATCH, DIM, LAYERS, PHASES, SIZES, operations
from mmkd_core.models.lattice import Entries
from mmkd_core.sparse import Graph, Pattern

ROWS, COLS = torch.tensor([0, 0, 1, 3]), torch.tensor([1, 2, 0, 2])  # 4 non-zeros in a 5 x 3 matrix


def backward(output):
    """Operations of the backward pass from a tensor."""
    with counted() as counts:
        output.sum().backward()
    return counts


def test_a_linear_layer_is_a_product_of_two_operations_a_term_and_its_backward_twice_that():
    layer, x = nn.Linear(7, 3), torch.randn(11, 7, requires_grad=True)
    with counted() as forward:
        y = layer(x)
    assert forward == {"sparse": 0, "dense": 2 * 11 * 7 * 3}
    assert backward(y) == {"sparse": 0, "dense": 2 * forward["dense"]}


def test_features_are_constant_so_that_their_layer_costs_as_much_backward_as_forward():
    assert backward(nn.Linear(7, 3)(torch.randn(11, 7)))["dense"] == 2 * 11 * 7 * 3


def test_a_sparse_product_is_two_operations_a_non_zero_and_column_in_either_direction():
    x = torch.randn(3, 6, requires_grad=True)
    with counted() as forward:
        y = Graph(ROWS, COLS, torch.ones(4), (5, 3)) @ x
    assert forward == backward(y) == {"sparse": 2 * 4 * 6, "dense": 0}


def test_values_with_gradients_cost_a_product_more_on_the_way_back():
    pattern = Pattern(ROWS, COLS, (5, 3))
    values, x = torch.randn(4, requires_grad=True), torch.randn(3, 6, requires_grad=True)
    with counted() as forward:
        y = pattern.product(values, x)
    assert forward["sparse"] == 2 * 4 * 6
    assert backward(y)["sparse"] == 2 * forward["sparse"]
    with counted() as forward:
        scores = pattern.scores(torch.randn(5, 6, requires_grad=True), x)
    assert forward["sparse"] == 2 * 4 * 6
    assert backward(scores)["sparse"] == 2 * forward["sparse"]


def test_a_matrix_of_lists_counts_its_entries_whether_autograd_or_our_own_function_goes_back():
    values, x = torch.randn(5, 2, requires_grad=True), torch.randn(3, 6, requires_grad=True)
    with counted() as forward:
        y = Entries(torch.randint(3, (5, 2)), values)(x)
    assert forward["sparse"] == 2 * 10 * 6
    assert backward(y)["sparse"] == 2 * forward["sparse"]


def test_single_elements_are_not_counted():
    with counted() as counts:
        torch.randn(9, 9).relu().mul(2).softmax(1).sum()
    assert counts == {"sparse": 0, "dense": 0}


def first(tmp_path, model, **sizes):
    """The counts at the smallest size."""
    return operations(tmp_path, model=model, size="raw", doublings=(1,), **sizes)


USERS, ITEMS, EDGES, RAW = 128, 96, 512, 64  # of the shape "demo"


def test_the_students_tables_are_its_layers_products_and_nothing_else(tmp_path):
    found = first(tmp_path, "mmkd")
    assert found["serve"] == {"features": [0], "edges": [LAYERS * 2 * 2 * EDGES * DIM], "dense": [0]}
    assert found["step"]["features"] == [0]
    assert found["build"]["features"] == [2 * ITEMS * RAW * DIM]


def test_the_teachers_tables(tmp_path):
    serve = first(tmp_path, "teacher")["serve"]
    assert serve["features"] == [2 * ITEMS * RAW * DIM]
    content = 2 * 2 * EDGES * 2 * DIM  # to the users and back, two modalities side by side
    assert serve["edges"] == [LAYERS * 2 * 2 * EDGES * DIM + content]
    prompt = 2 * ITEMS * DIM * DIM + 2 * (2 * ITEMS * DIM * 2 * DIM)  # its linear layer; P^T (XW) and P (...)
    assert serve["dense"] == [prompt]


def test_lattice_compares_all_items_with_all_once_by_raw_features_then_by_projected_ones(tmp_path):
    found = first(tmp_path, "lattice")
    assert found["build"] == {"features": [2 * ITEMS**2 * RAW], "edges": [0], "dense": [0]}
    similarities, again = 2 * (2 * ITEMS**2 * DIM), 2 * (2 * ITEMS * 10 * DIM)  # again: of the 10 neighbours
    assert found["serve"]["dense"] == [similarities + again]


def test_bm3_and_slmrec_project_the_rows_of_the_batch(tmp_path):
    forward_and_backward = 2
    assert first(tmp_path, "bm3")["step"]["features"] == [forward_and_backward * 2 * BATCH * RAW * DIM]
    users_and_items = 2
    assert first(tmp_path, "slmrec")["step"]["features"] == [
        users_and_items * forward_and_backward * 2 * BATCH * RAW * DIM
    ]


def test_grcn_has_no_dense_product_but_its_projections(tmp_path):
    found = first(tmp_path, "grcn")
    assert found["step"]["dense"] == found["serve"]["dense"] == [0]
    routed = 3 * (2 + 2) + (2 + 2 * 2)  # three times scores and product; then scores once, the product both ways
    assert found["serve"]["edges"] == [2 * routed * EDGES * DIM + LAYERS * 2 * 2 * EDGES * DIM]


@pytest.mark.parametrize("model", ["mmgcn", "teacher", "bm3"])
def test_counts_are_linear_in_the_raw_width_so_that_a_difference_is_the_part_of_the_features(model, tmp_path):
    found = operations(tmp_path, model=model, size="raw", doublings=(1, 2, 3))
    one, two, three = found["step"]["features"]
    assert (two, three) == (2 * one, 3 * one)
    assert len(set(found["step"]["edges"])) == len(set(found["step"]["dense"])) == 1


@pytest.mark.parametrize("size", SIZES)
def test_only_the_size_that_is_named_grows(size, tmp_path):
    found = operations(tmp_path, model="mmgcn", size=size, doublings=(1, 2))
    start = {"users": USERS, "items": ITEMS, "edges": EDGES, "raw": RAW, "dim": DIM, "layers": LAYERS}[size]
    assert found["sizes"] == [start, 2 * start]
    assert all(len(counts) == 2 for phase in PHASES for counts in found[phase].values())


def test_the_same_counts_again(tmp_path):
    assert first(tmp_path, "lattice") == first(tmp_path, "lattice")


def test_a_batch_names_each_of_its_users_and_items_once(monkeypatch, tmp_path):
    seen = []
    from mmkd_core.models.bm3 import BM3

    loss = BM3.loss
    monkeypatch.setattr(BM3, "loss", lambda self, batch: seen.append(batch) or loss(self, batch))
    first(tmp_path, "bm3")
    batch = seen[0]
    assert len(batch.users.unique()) == len(batch.pos.unique()) == BATCH
    assert not set(batch.pos.tolist()) & set(batch.neg.flatten().tolist())


def test_unknown_sizes_and_shapes(tmp_path):
    with pytest.raises(ValueError, match=r"unknown size 'depth'; one of \['users', 'items', 'edges', 'raw', "):
        operations(tmp_path, model="bm3", size="depth")
    with pytest.raises(ValueError, match="unknown shape 'tiktok'"):
        operations(tmp_path, model="bm3", size="users", shape="tiktok")
