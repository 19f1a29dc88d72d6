"""Rows for who was not trained: the normal equations written out, and what may not change them."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmkd_core import fold_in as module
from mmkd_core.fold_in import by_item, distinct, fold_in, learned, starts

USERS, ITEMS, DIM = 40, 30, 5


def choices(draw, users=USERS, items=ITEMS, at_most=12):
    """Some items of each user, ascending; user 3 has none."""
    lists = [
        np.sort(draw.choice(items, draw.integers(0 if u == 3 else 1, at_most), replace=False)) for u in range(users)
    ]
    lists[3] = lists[3][:0]
    return starts(np.repeat(np.arange(users), [*map(len, lists)]), users), np.concatenate(lists)


@pytest.fixture
def tables():
    draw = np.random.default_rng(0)
    users, items = (draw.normal(size=(n, DIM)).astype(np.float32) for n in (USERS, ITEMS))
    return users, items, *choices(draw)


def slowly(tables, folded, l2):
    """Both steps from the equations, one user at a time; `folded` are the lists that get a row."""
    users, items, indptr, chosen = tables
    items = items.astype(np.float64)
    unit = np.sqrt((items**2).mean())
    lists = [sorted({*chosen[a:b].tolist()}) for a, b in pairwise(indptr.tolist())]
    sizes = [len(own) for own in lists if own]

    def features(own):
        mean = np.stack([items[item] for item in own]).sum(0) / len(own)
        count = np.log(1 + min(max(len(own), min(sizes)), max(sizes)))
        return np.array([*mean, unit, *(count * mean), count * unit])

    width = len(features([0]))
    gram, target = np.zeros((width, width)), np.zeros((width, DIM))
    for row, own in zip(users, lists, strict=True):
        if own:
            gram = gram + np.outer(features(own), features(own))
            target = target + np.outer(features(own), row)
    weights = np.linalg.inv(gram + l2 * np.trace(gram) / width * np.eye(width)) @ target
    return np.stack([features(sorted({*own})) @ weights if own else np.zeros(DIM) for own in folded])


@pytest.mark.parametrize("edges", [1, 20, 2**18])
def test_rows_are_those_of_the_normal_equations(edges, tables, monkeypatch):
    monkeypatch.setattr(module, "EDGES", edges)  # a block of one user, of a few, of all
    items = tables[1]
    lists = [[], [4], [7, 1, 2], list(range(ITEMS))]  # the last more than anybody had
    own = starts(np.repeat(np.arange(4), [*map(len, lists)]), 4)
    for l2 in (0.01, 1.0):
        expected = slowly(tables, lists, l2)
        found = fold_in(items, own, np.concatenate(lists).astype(int), learned(*tables, l2=l2))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_order_repetition_and_the_numbers_of_items_change_nothing(seed):
    draw = np.random.default_rng(seed)
    users, items = draw.normal(size=(USERS, DIM)), draw.normal(size=(ITEMS, DIM))
    indptr, chosen = choices(draw)
    expected = fold_in(items, indptr, chosen, learned(users, items, indptr, chosen))
    place = draw.permutation(ITEMS)
    owners = np.repeat(np.arange(USERS), np.diff(indptr))
    more = np.concatenate([np.arange(len(chosen)), draw.integers(0, len(chosen), 20)])
    more = draw.permutation(more)
    more = more[np.argsort(owners[more], kind="stable")]
    moved, many, again = np.empty_like(items), starts(owners[more], USERS), place[chosen[more]]
    moved[place] = items
    found = fold_in(moved, many, again, learned(users, moved, many, again))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert not found[3].any()


def test_turned_and_scaled_tables_give_turned_and_scaled_rows(tables):
    users, items, indptr, chosen = (array.astype(np.float64) if array.ndim == 2 else array for array in tables)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(DIM, DIM)))[0]
    folded = fold_in(items, indptr, chosen, learned(users, items, indptr, chosen))
    others = 7 * items @ turn
    again = fold_in(others, indptr, chosen, learned(3 * users @ turn, others, indptr, chosen))
    np.testing.assert_allclose(again, 3 * folded @ turn, rtol=1e-4, atol=1e-5)


def test_rows_that_are_such_a_function_of_what_was_chosen_come_back():
    draw = np.random.default_rng(2)
    items = draw.normal(size=(ITEMS, DIM))
    indptr, chosen = choices(draw, users=400)
    own = np.flatnonzero(np.diff(indptr))
    means = np.stack([items[chosen[indptr[u] : indptr[u + 1]]].mean(0) for u in own])
    users = np.zeros((400, DIM))
    users[own] = 2 + means @ draw.normal(size=(DIM, DIM)) - np.log1p(np.diff(indptr)[own])[:, None]
    folded = fold_in(items, indptr, chosen, learned(users, items, indptr, chosen, l2=1e-9))
    np.testing.assert_allclose(folded, users, atol=1e-4)


def test_half_precision_tables_and_tables_of_zeros(tables):
    users, items, indptr, chosen = tables
    half = fold_in(items.astype(np.float16), indptr, chosen, learned(users.astype(np.float16), items, indptr, chosen))
    np.testing.assert_allclose(half, fold_in(items, indptr, chosen, learned(*tables)), atol=5e-3)
    nothing = np.zeros_like(items)
    assert not fold_in(nothing, indptr, chosen, learned(users, nothing, indptr, chosen)).any()


def test_by_item_is_the_transpose_and_its_own_inverse(tables):
    _, _, indptr, chosen = tables
    back, users = by_item(indptr, chosen, ITEMS)
    dense = np.zeros((USERS, ITEMS), bool)
    dense[np.repeat(np.arange(USERS), np.diff(indptr)), chosen] = True
    for item in range(ITEMS):
        assert users[back[item] : back[item + 1]].tolist() == np.flatnonzero(dense[:, item]).tolist()
    again, items = by_item(back, users, USERS)
    assert (again.tolist(), items.tolist()) == (indptr.tolist(), chosen.tolist())
    once, same = distinct(indptr, chosen, ITEMS)
    assert (once.tolist(), same.tolist()) == (indptr.tolist(), chosen.tolist())


def test_nobody_who_chose_is_an_error(tables):
    users, items, _, chosen = tables
    with pytest.raises(ValueError, match="nobody has chosen anything"):
        learned(users, items, np.zeros(USERS + 1, np.int64), chosen[:0])


def test_it_needs_numpy_alone():
    program = "import sys, mmkd_core.fold_in\nprint({'torch', 'pandas', 'pyarrow', 'scipy'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
