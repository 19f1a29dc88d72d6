"""Rows of items that nobody chose: the normal equations written out, and what may not change them."""

import numpy as np
import pytest

from mmkd_core.cold import rows_by_content

ITEMS, DIM = 50, 3


@pytest.fixture
def shop():
    """A table, counts of which the first ten are 0, and two modalities, one of which some items lack."""
    draw = np.random.default_rng(0)
    features = {"text": draw.normal(2, 3, (ITEMS, 4)), "image": draw.normal(size=(ITEMS, 2))}
    features["image"][[0, 7, 20, 21]] = 0
    counts = draw.integers(1, 30, ITEMS)
    counts[:10] = 0
    return draw.normal(size=(ITEMS, DIM)).astype(np.float32), counts, features


def test_rows_are_those_of_the_normal_equations(shop):
    items, counts, features = shop
    rows = []
    for i in range(ITEMS):
        row = []
        for modality in ("image", "text"):
            x = features[modality]
            there = [x[j] for j in range(ITEMS) if counts[j] and x[j].any()]
            has = x[i].any()
            z = (x[i] - np.mean(there, axis=0)) / np.std(there, axis=0) if has else np.zeros(x.shape[1])
            row += [*(z / np.sqrt(x.shape[1])), *([float(has)] if modality == "image" else [])]
        rows.append(row)
    z, weights = np.array(rows), [np.log(1 + n) for n in counts]
    mean = sum(w * row for w, row in zip(weights, items, strict=True)) / sum(weights)
    middle = sum(w * row for w, row in zip(weights, z, strict=True)) / sum(weights)
    gram = sum(w * np.outer(row - middle, row - middle) for w, row in zip(weights, z, strict=True))
    target = sum(w * np.outer(row - middle, own - mean) for w, row, own in zip(weights, z, items, strict=True))
    learned = np.linalg.inv(gram + 0.3 * np.trace(gram) / z.shape[1] * np.eye(z.shape[1])) @ target
    found = rows_by_content(items, counts, features)
    np.testing.assert_allclose(found[:10], mean + (z[:10] - middle) @ learned, rtol=1e-4, atol=1e-5)
    assert np.array_equal(found[10:], items[10:])


def test_units_order_and_names_of_modalities_change_nothing(shop):
    items, counts, features = shop
    expected = rows_by_content(items, counts, features)
    shift = np.where(features["text"].any(axis=1, keepdims=True), 5.0, 0)
    other = {"b": features["image"], "a": 100 * features["text"] + shift}
    np.testing.assert_allclose(rows_by_content(items, counts, other), expected, rtol=1e-4, atol=1e-5)
    order = np.random.default_rng(1).permutation(ITEMS)
    moved = rows_by_content(items[order], counts[order], {name: x[order] for name, x in features.items()})
    np.testing.assert_allclose(moved, expected[order], rtol=1e-4, atol=1e-5)


def test_content_that_says_all_is_found_and_an_item_without_any_keeps_its_row(shop):
    items, counts, features = shop
    told = {"all": items[:, ::-1] * 3 + 1}
    told["all"][4] = 0
    wrong = items.copy()
    wrong[:10] = 99
    found = rows_by_content(wrong, counts, told, l2=1e-9)
    np.testing.assert_allclose(np.delete(found, 4, 0), np.delete(items, 4, 0), atol=1e-4)
    assert (found[4] == 99).all()
    assert np.array_equal(rows_by_content(items, counts, {}), items)
    assert np.array_equal(rows_by_content(items, counts, {name: 0 * x for name, x in features.items()}), items)
    assert np.array_equal(rows_by_content(items, counts + 1, features), items)


def test_a_column_that_is_the_same_for_all_trained_items_says_nothing(shop):
    items, counts, features = shop
    text = np.concatenate([features["text"], np.ones((ITEMS, 1))], axis=1)
    text[2, -1] = 1e6
    found = rows_by_content(items, counts, {"text": text})
    assert np.abs(found).max() < 10


def test_where_nobody_chose_anything_there_is_nothing_to_learn_from(shop):
    items, counts, features = shop
    with pytest.raises(ValueError, match="no item was chosen by anybody"):
        rows_by_content(items, 0 * counts, features)
