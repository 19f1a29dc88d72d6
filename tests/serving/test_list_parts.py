"""`mmkd recommend --out FOLDER/`: lists in files that a second call does not make again, nor another machine."""

import json

import listing
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from command_line import call
from dying import killed
from made_up_folder import ITEMS
from shop import item_id, user_id

from mmkd_core import lists
from mmkd_core.served import of_record

pytestmark = pytest.mark.usefixtures("unchecked")  # a user has no run-time type checks either


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(lists, "PART", 40)  # of four users with ten items each, so that nineteen make five files


@pytest.fixture
def whole(shop, tmp_path, capsys):
    out = tmp_path / "whole.parquet"
    assert call(capsys, "recommend", shop[1], "--all", "--out", out)[0] == 0
    return pq.read_table(out)


def same(folder, whole):
    """The same lists; a block of another size adds up in another order, so the last digits of a score may differ."""
    parts, whole = pd.read_parquet(folder), whole.to_pandas()  # the request beside them is none of the table
    pd.testing.assert_frame_equal(parts, whole, check_exact=False, atol=1e-6, rtol=1e-5)
    return True


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def names(*numbers):
    return [*sorted(["_request.json"]), *(f"part-0000{number}.parquet" for number in numbers)]


def test_the_files_of_a_folder_are_the_one_file_cut(shop, whole, tmp_path, capsys):
    out = tmp_path / "lists"
    status, said, err = call(capsys, "recommend", shop[1], "--all", "--out", f"{out}/")
    assert (status, err) == (0, "")
    assert said == (
        f"{out}/: lists of up to 10 items for 19 users of shop in 5 of 5 files; 1 without training history have none\n"
    )
    assert files(out) == names(0, 1, 2, 3, 4)
    assert same(out, whole)
    assert pq.read_table(out).schema == whole.schema
    assert pq.read_table(out / "part-00001.parquet")["user"].unique().to_pylist() == [user_id(n) for n in range(4, 8)]


def test_a_second_call_makes_what_is_missing_and_leaves_the_rest(shop, whole, tmp_path, capsys):
    out = tmp_path / "lists"
    call(capsys, "recommend", shop[1], "--all", "--out", f"{out}/")
    (out / "part-00003.parquet").unlink()
    kept = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    status, said, _ = call(capsys, "recommend", shop[1], "--all", "--out", out)  # a folder that is there needs no slash
    assert (status, "in 5 of 5 files, 4 of them from before" in said) == (0, True)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert same(out, whole)


def test_shares_fill_one_folder(shop, whole, tmp_path, capsys):
    out = tmp_path / "lists"
    for share, there in (("2/2", (1, 3)), ("1/2", (0, 1, 2, 3, 4))):
        status, said, _ = call(capsys, "recommend", shop[1], "--all", "--share", share, "--out", f"{out}/")
        assert (status, files(out)) == (0, names(*there))
        assert f"in {len(there)} of 5 files" in said
    assert same(out, whole)


@pytest.mark.parametrize(
    ("options", "differs"),
    [
        (["--all", "--top", "9"], "top"),
        (["--users", "{users}"], "users, parts"),
        (["--all", "--deny", "{items}"], "left out"),
    ],
)
def test_other_lists_do_not_mix_with_them(options, differs, shop, tmp_path, refused):
    out, places = tmp_path / "lists", {name: tmp_path / name for name in ("users", "items")}
    places["users"].write_text(user_id(3), encoding="utf-8")
    places["items"].write_text(item_id(3), encoding="utf-8")
    lists.write_parts(out, of_record(shop[1]), torch.arange(20), 10)
    before = {path: path.read_bytes() for path in out.iterdir()}
    says = rf"lists: its lists were asked otherwise \({differs}.* differ\); expected the same request"
    refused("recommend", shop[1], *(o.format(**places) for o in options), "--out", f"{out}/", says=says)
    assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_nor_do_those_of_another_record(shop, exported, tmp_path, refused):
    lists.write_parts(tmp_path / "lists", of_record(shop[1]), torch.arange(20), 10)
    refused("recommend", exported, "--all", "--out", f"{tmp_path}/lists/", says=r"asked otherwise \(source differ\)")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"top"', json.dumps({"top": 10})])
def test_a_request_that_is_none(text, shop, tmp_path, refused):
    (tmp_path / "_request.json").write_text(text)
    says = "_request.json: not a request|asked otherwise"
    refused("recommend", shop[1], "--all", "--out", f"{tmp_path}/", says=says)
    assert files(tmp_path) == ["_request.json"]


def test_a_list_of_all_items_has_a_file_per_user(shop, tmp_path, capsys):
    out = tmp_path / "lists"
    assert call(capsys, "recommend", shop[1], "--all", "--top", ITEMS, "--out", f"{out}/")[0] == 0
    assert len(files(out)) == 1 + 19


def test_killed_before_any_write_it_goes_on(processes, shop, whole, tmp_path):
    folder, before = tmp_path / "killed", 0
    folder.mkdir()
    for before in range(1, 100):  # each call is killed one write later than the one before, in a folder of its own
        out = folder / str(before)
        changes = killed(processes, folder, listing.work, shop[1], out, before=before)
        for part in out.glob("part-*.parquet"):
            pq.read_table(part)  # what is there is whole
        if changes is not None:
            break
        listing.work(shop[1], out)
        assert (same(out, whole), files(out)) == (True, names(0, 1))
    assert before > 5
