"""Approximate lists: faiss' inverted file beside exact ranking, which it becomes where it reads all groups."""

import re
import sys

import pyarrow.parquet as pq
import pytest
import torch
from command_line import call
from hypothesis import given, settings
from hypothesis import strategies as st
from shop import recorded

from mmkd_core import Dataset, Embeddings, rank
from mmkd_core.evaluation import Ranking, ScoreError

pytest.importorskip("faiss")
from mmkd_core import approximate
from mmkd_core.approximate import Approximate, share_found

pytestmark = pytest.mark.usefixtures("unchecked")
NONE = torch.empty(0, 2, dtype=torch.int64)


def made(users=60, items=2000, dim=8, most=40, seed=0):
    """Tables around a few centres, as trained ones are, and histories of very unlike lengths."""
    generator = torch.Generator().manual_seed(seed)
    centres = 2 * torch.randn(9, dim, generator=generator)
    near = [
        centres[torch.randint(9, (n,), generator=generator)] + torch.randn(n, dim, generator=generator)
        for n in (users, items)
    ]
    lengths = 1 + (torch.rand(users, generator=generator) ** 4 * (min(most, items) - 1)).long()
    pairs = [
        torch.stack([torch.full((n,), user), torch.randperm(items, generator=generator)[:n]], 1)
        for user, n in enumerate(lengths.tolist())
    ]
    return Embeddings(*near), Dataset("made", users, items, torch.cat(pairs), NONE, NONE)


def equal(found, exact):
    torch.testing.assert_close(found.scores, exact.scores, rtol=1e-5, atol=1e-5)
    assert (found.items == exact.items).float().mean() > 0.999  # but where two scores are equal to the last digits


@settings(max_examples=25, deadline=None)
@given(items=st.sampled_from([1, 3, 60, 500, 3000]), k=st.integers(1, 30), seed=st.integers(0, 9), some=st.booleans())
def test_from_all_groups_the_lists_are_the_exact_ones(items, k, seed, some):
    tables, data = made(items=items, seed=seed)
    left_out = (torch.rand(items) < 0.3) & (torch.arange(items) > 0) if some else None
    users, k = torch.randperm(data.num_users)[:20], min(k, items)
    index = Approximate(tables, left_out=left_out)
    equal(index.rank(users, data, k), rank(tables, users, data, k, left_out=left_out))


def test_from_a_few_groups_no_list_has_what_was_seen_or_left_out():
    tables, data = made(most=1000)
    left_out = torch.arange(data.num_items) % 3 == 0
    index = Approximate(tables, left_out=left_out)
    assert index.groups > 10
    index.index.nprobe = 1
    users = torch.arange(data.num_users)
    found = index.rank(users, data, 20)
    for user, (items, scores) in enumerate(zip(found.items, found.scores, strict=True)):
        there = items[items >= 0]
        assert not torch.isin(there, data.train[data.train[:, 0] == user, 1]).any()
        assert not left_out[there].any()
        assert len(there.unique()) == len(there)
        torch.testing.assert_close(scores[: len(there)], tables.items[there] @ tables.users[user], rtol=1e-5, atol=1e-5)
        assert (scores.diff()[: len(there) - 1] <= 0).all()
        assert (items[len(there) :] == -1).all()
        assert scores[len(there) :].isneginf().all()


def test_it_reads_as_few_groups_as_the_recall_needs(monkeypatch):
    monkeypatch.setattr(approximate, "DRAWN", 30)
    tables, data = made(users=100, items=20000)
    index = Approximate(tables)
    users, read = torch.arange(100), []
    for recall in (0.3, 0.9, 0.999, 1.0):
        measured = index.tune(users, data, 20, recall)
        read.append(measured.read)
        assert (measured.users, measured.groups) == (30, 500)
        assert measured.recall > recall - 0.1
    assert read == sorted(read)
    assert read[0] < read[-1] <= 500


def test_the_share_is_a_mean_over_users_with_a_list():
    exact = torch.tensor([[1, 2, 3, 4], [5, 6, -1, -1], [-1, -1, -1, -1]])
    found = torch.tensor([[4, 9, 2, -1], [6, 5, -1, -1], [-1, -1, -1, -1]])
    scores = torch.zeros(3, 4)
    assert share_found(Ranking(found, scores), Ranking(exact, scores)) == (2 / 4 + 2 / 2) / 2
    assert share_found(Ranking(found[2:], scores), Ranking(exact[2:], scores)) == 1


@pytest.mark.parametrize(("table", "row"), [("users", 7), ("items", 5)])
def test_tables_that_are_not_finite(table, row):
    tables, _ = made(items=50)
    getattr(tables, table)[row, 1] = torch.nan
    with pytest.raises(ScoreError, match=f"row {row} of the {table}' table: got numbers that are not finite"):
        Approximate(tables)


# --- the command ---


def rows(path):
    return [tuple(row.values())[:3] for row in pq.read_table(path).to_pylist()]


def test_the_command_says_what_was_measured(shop, tmp_path, capsys):
    exact, near = tmp_path / "exact.parquet", tmp_path / "near.parquet"
    assert call(capsys, "recommend", shop[1], "--all", "--out", exact)[0] == 0
    status, said, err = call(capsys, "recommend", shop[1], "--all", "--approximate", "1", "--out", near)
    assert (status, err) == (0, "")
    measured = r"approximate lists: 1\.0000 of the exact lists' items for 9 users, by 1 of 1 groups of items"
    assert re.match(measured, said)
    assert rows(near) == rows(exact)
    folder = tmp_path / "parts"
    assert call(capsys, "recommend", shop[1], "--all", "--approximate", ".5", "--out", f"{folder}/")[0] == 0
    assert rows(folder) == rows(exact)


def test_of_another_recall_the_files_do_not_mix(shop, tmp_path, capsys, refused):
    asked = ("recommend", shop[1], "--all", "--out", f"{tmp_path}/parts/", "--approximate")
    assert call(capsys, *asked, ".5")[0] == 0
    refused(*asked, ".6", says=r"asked otherwise \(recall differ\)")


def test_itemknn_has_no_tables_to_index(shop, tmp_path, refused):
    record = recorded(shop[0], tmp_path / "store", "itemknn")
    says = "approximate lists of Neighbourhood on cpu; expected two tables on the CPU"
    refused("recommend", record, "--all", "--approximate", ".9", "--out", tmp_path / "out", says=says)


def test_without_faiss(shop, tmp_path, refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    says = "approximate lists need faiss; pip install 'mmkd-book.faiss.'"
    refused("recommend", shop[1], "--all", "--approximate", ".9", "--out", tmp_path / "out", says=says)
    assert not (tmp_path / "out").exists()
