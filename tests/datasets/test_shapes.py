"""Generated data have exactly the shape that was asked for."""

import pytest
import torch

from mmkd_core.evidence.shapes import SHAPES, Shape, random_data, shape_of


@pytest.mark.parametrize("shape", [SHAPES["demo"], Shape(5, 4, 20, ()), Shape(40, 30, 700, (3, 1, 2))])
def test_the_shape_is_exact_and_no_pair_comes_twice(shape):
    data = random_data(shape)
    edges = torch.cat([data.train, data.val, data.test])
    assert (data.num_users, data.num_items) == (shape.users, shape.items)
    assert len(edges) == len(edges.unique(dim=0)) == shape.edges
    assert [x.shape for x in data.features.values()] == [(shape.items, width) for width in shape.widths]


def test_a_fifth_is_held_back_half_of_it_for_either_split():
    data = random_data(Shape(40, 30, 100, ()))
    assert [len(part) for part in (data.train, data.val, data.test)] == [80, 10, 10]
    assert len(random_data(Shape(40, 30, 100, ()), held_back=0.0).train) == 100


def test_the_same_shape_gives_the_same_data_whatever_the_global_seed():
    torch.manual_seed(1)
    first = random_data(SHAPES["demo"])
    torch.manual_seed(2)
    assert random_data(SHAPES["demo"]).fingerprint == first.fingerprint


def test_the_papers_shapes_are_those_of_its_table_3():
    assert SHAPES["netflix"] == Shape(43_739, 17_239, 609_341, (512, 768))
    assert SHAPES["electronics"] == Shape(41_691, 21_479, 359_165, (4096, 1024))


def test_more_interactions_than_pairs_and_an_unknown_shape():
    with pytest.raises(ValueError, match="21 interactions for 20 pairs of a user and an item"):
        random_data(Shape(5, 4, 21, ()))
    with pytest.raises(ValueError, match=r"unknown shape 'tiktok'; one of \['netflix', 'electronics', 'demo'\]"):
        shape_of("tiktok")
