"""`mmkd recommend` for many users and for one who has an id: the lists of `recommend` by the caller's ids."""

import re
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from command_line import call
from made_up_folder import ITEMS, USERS, write_folder
from shop import WITHOUT_HISTORY, ids_of, item_id, made, put_ids, recorded, user_id, write_ids_beside

from mmkd_core import Dataset, Embeddings, lists, load, rank, recommend, restore
from mmkd_core.export import export
from mmkd_core.served import Served, of_record

pytestmark = pytest.mark.usefixtures("unchecked")  # a user has no run-time type checks either
LISTED = [user for user in range(USERS) if user != WITHOUT_HISTORY]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The same without ids."""
    return made(tmp_path_factory.mktemp("plain"), ids=False)


def ranking_of(made, users, k):
    data = load(made[0])
    return recommend(restore(made[1], data), users, data, k)


def rows_of(ranking, users, user_id=int, item_id=int):
    """The rows that a file of these lists must have."""
    return [
        (user_id(user), place, item_id(item), score)
        for user, items, scores in zip(users, ranking.items.tolist(), ranking.scores.tolist(), strict=True)
        for place, (item, score) in enumerate(zip(items, scores, strict=True), 1)
        if item >= 0
    ]


def read(path):
    table = pq.read_table(path)
    assert table.column_names == ["user", "rank", "item", "score"]
    return [tuple(row.values()) for row in table.to_pylist()]


def words(path, *lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


# --- many users ---


@pytest.mark.parametrize("rows", [1, 64, 2**16])
def test_all_users_get_the_lists_of_recommend_by_their_ids(rows, shop, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(lists, "ROWS", rows)  # a block of one user, of a few, of all
    out = tmp_path / "lists.parquet"
    status, said, err = call(capsys, "recommend", shop[1], "--all", "--top", 7, "--out", out)
    assert (status, err) == (0, "")
    assert said == f"{out}: lists of up to 7 items for 19 users of shop; 1 without training history have none\n"
    for found, expected in zip(read(out), rows_of(ranking_of(shop, LISTED, 7), LISTED, user_id, item_id), strict=True):
        assert found[:3] == expected[:3]
        assert found[3] == pytest.approx(expected[3], abs=1e-6)  # another size of the block, another order of the sum
    assert pq.read_schema(out).types == [pa.string(), pa.int32(), pa.string(), pa.float32()]
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_without_ids_the_lists_have_numbers(plain, tmp_path, capsys):
    assert call(capsys, "recommend", plain[1], "--all", "--out", tmp_path / "lists.parquet")[0] == 0
    assert read(tmp_path / "lists.parquet") == rows_of(ranking_of(plain, LISTED, 10), LISTED)
    assert pq.read_schema(tmp_path / "lists.parquet").types == [pa.int64(), pa.int32(), pa.int64(), pa.float32()]


def test_an_export_gives_what_its_record_gives(shop, exported, tmp_path, capsys):
    for name, source in (("a", shop[1]), ("b", exported)):
        assert call(capsys, "recommend", source, "--all", "--out", tmp_path / name)[0] == 0
    assert read(tmp_path / "a") == read(tmp_path / "b")
    shown = [call(capsys, "recommend", source, "--user", user_id(3)) for source in (shop[1], exported)]
    assert shown[0] == shown[1]
    assert shown[0][0] == 0


def test_float16_moves_scores_by_its_precision_alone(shop, exported, tmp_path, capsys):
    export(shop[1], tmp_path / "half", float16=True)
    for name, source in (("a", exported), ("b", tmp_path / "half")):
        assert call(capsys, "recommend", source, "--all", "--top", ITEMS, "--out", tmp_path / name)[0] == 0
    whole, half = ({(user, item): score for user, _, item, score in read(tmp_path / name)} for name in ("a", "b"))
    assert whole.keys() == half.keys()
    assert max(abs(whole[pair] - half[pair]) for pair in whole) < 2**-9 * max(map(abs, whole.values()))


@pytest.mark.parametrize("ids", [True, False])
def test_a_file_names_the_users_and_their_order(ids, shop, plain, tmp_path, capsys):
    made, spelt, called = (shop, user_id, item_id) if ids else (plain, int, int)
    users = [7, 0, 12, 3]
    file = tmp_path / "users.txt"
    file.write_bytes("\r\n".join(["\ufeff" + str(spelt(7)), "", *(str(spelt(user)) for user in users[1:])]).encode())
    out = tmp_path / "lists.parquet"
    status, said, _ = call(capsys, "recommend", made[1], "--users", file, "--top", 3, "--out", out)
    assert (status, said) == (0, f"{out}: lists of up to 3 items for 4 users of shop\n")
    assert read(out) == rows_of(ranking_of(made, users, 3), users, spelt, called)


def test_renumbered_users_and_items_go_by_their_numbers_in_the_files(tmp_path, capsys):
    folder = write_folder(tmp_path / "far")
    table = folder / "far.inter"
    lines = [line.split("\t") for line in table.read_text().splitlines()]
    moved = ("\t".join([str(100 + int(u)), str(1000 + int(i)), x]) for u, i, x in lines[1:])
    table.write_text("\n".join(["\t".join(lines[0]), *moved]) + "\n")
    for file in folder.glob("*.npy"):
        file.unlink()
    record, out = recorded(folder, tmp_path / "store", compact=True), tmp_path / "lists.parquet"
    file = words(tmp_path / "users", 105, 100)
    assert call(capsys, "recommend", record, "--users", file, "--out", out)[0] == 0
    ranking = recommend(restore(record), [5, 0], load(folder, compact=True), 10)
    expected = rows_of(ranking, [5, 0], lambda user: 100 + user, lambda item: 1000 + item)
    assert read(out) == expected
    write_ids_beside(folder)  # ids of the numbers in the files
    ids = pq.read_table(ids_of(folder))
    step = np.where(np.array(ids["kind"]) == "user", 100, 1000)
    put_ids(folder, ids.set_column(1, "number", pa.array(np.array(ids["number"]) + step)))
    words(file, user_id(5), user_id(0))
    assert call(capsys, "recommend", record, "--users", file, "--out", out)[0] == 0
    assert read(out) == rows_of(ranking, [5, 0], user_id, item_id)


def test_itemknn_has_lists_too(shop, tmp_path, capsys):
    record = recorded(shop[0], tmp_path / "store", "itemknn")
    assert call(capsys, "recommend", record, "--all", "--out", tmp_path / "lists.parquet")[0] == 0
    assert read(tmp_path / "lists.parquet") == rows_of(
        ranking_of((shop[0], record), LISTED, 10), LISTED, user_id, item_id
    )


def test_a_file_of_lists_is_replaced_whole_or_stays(shop, tmp_path, monkeypatch):
    served, out = of_record(shop[1]), tmp_path / "lists.parquet"
    lists.write_lists(out, served, torch.arange(3), 5)
    before = out.read_bytes()
    monkeypatch.setattr(lists, "ROWS", 1)
    blocks = iter([rank])

    def fails(*arguments, **keywords):
        return next(blocks)(*arguments, **keywords)  # the second block

    monkeypatch.setattr(lists, "rank", fails)
    with pytest.raises(StopIteration):
        lists.write_lists(out, served, torch.arange(3), 4)
    assert ([path.name for path in tmp_path.iterdir()], out.read_bytes()) == ([out.name], before)


# --- which items ---


@pytest.mark.parametrize("items", [3, ITEMS, 1000])  # few and many, and so many that groups of items compete
def test_lists_without_some_items_are_the_lists_of_all_with_these_taken_out(items):
    generator = torch.Generator().manual_seed(items)
    none = torch.empty(0, 2, dtype=torch.int64)
    data = Dataset("toy", 50, items, torch.tensor([[user, user % items] for user in range(50)]), none, none)
    tables = Embeddings(torch.randn(50, 4, generator=generator), torch.randn(items, 4, generator=generator))
    left_out = torch.rand(items, generator=generator) < 0.4
    users, k = torch.arange(50), min(items, 20)
    found, everything = rank(tables, users, data, k, left_out=left_out), rank(tables, users, data, items)
    for user in range(50):
        kept = [item for item in everything.items[user].tolist() if item >= 0 and not left_out[item]][:k]
        assert found.items[user].tolist() == kept + [-1] * (k - len(kept))


def test_allowed_and_denied_items(shop, tmp_path, capsys):
    allow = words(tmp_path / "allow", *(item_id(item) for item in range(0, ITEMS, 2)))
    deny = words(tmp_path / "deny", *(item_id(item) for item in range(0, ITEMS, 3)))
    everything = rows_of(ranking_of(shop, LISTED, ITEMS), LISTED, int, int)
    for options, kept in (
        (["--allow", allow], lambda item: item % 2 == 0),
        (["--deny", deny], lambda item: item % 3),
        (["--allow", allow, "--deny", deny], lambda item: item % 2 == 0 and item % 3),
    ):
        assert call(capsys, "recommend", shop[1], "--all", "--top", 30, *options, "--out", tmp_path / "lists")[:1] == (
            0,
        )
        expected = {user: [item for owner, _, item, _ in everything if owner == user and kept(item)] for user in LISTED}
        found = {
            user: [item for owner, _, item, _ in read(tmp_path / "lists") if owner == user_id(user)] for user in LISTED
        }
        assert found == {user: [item_id(item) for item in items][:30] for user, items in expected.items()}
        _, shown, _ = call(capsys, "recommend", shop[1], "--user", user_id(3), "--top", 4, *options)
        assert re.findall(r"^ +\d\. item \d+ \((B\d+)\)", shown, re.MULTILINE) == found[3][:4]


@pytest.mark.filterwarnings("default")
def test_items_that_are_none_are_counted_in_a_note(shop, tmp_path, capsys):
    allow = words(tmp_path / "stock", item_id(4), "B900", item_id(5), "B901")
    status, _, err = call(capsys, "recommend", shop[1], "--all", "--allow", allow, "--out", tmp_path / "lists.parquet")
    assert status == 0
    assert err == f"mmkd: note: {allow}, line 2: 'B900': no item of shop (2 of 4 are none and change nothing)\n"
    assert {item for _, _, item, _ in read(tmp_path / "lists.parquet")} == {item_id(4), item_id(5)}


# --- one user ---


def test_one_user_by_id_or_by_number(shop, capsys):
    status, by_id, err = call(capsys, "recommend", shop[1], "--user", user_id(3), "--top", 2)
    assert (status, err) == (0, "")
    items = ranking_of(shop, [3], 2).items[0].tolist()
    first, *places = by_id.splitlines()
    assert first.startswith(f"user 3 ({user_id(3)}) of shop, 8 training items: item ")
    assert [line.rpartition("  ")[0] for line in places] == [
        f"  {place}. item {item} ({item_id(item)})" for place, item in enumerate(items, 1)
    ]
    assert call(capsys, "recommend", shop[1], "--user", "3", "--top", "2")[1] == by_id


def test_where_ids_are_numbers_a_number_is_an_id(tmp_path, capsys, refused):
    folder = write_ids_beside(write_folder(tmp_path / "shop"), lambda user: user + 2, lambda item: item + 500)
    record = recorded(folder, tmp_path / "store")
    assert call(capsys, "recommend", record, "--user", "3")[1].startswith("user 1 (3) of shop, ")
    refused(
        "recommend", record, "--user", "0", says=r"user '0' of shop: no such id in ids\.parquet; expected one of it"
    )
    assert call(capsys, "recommend", record, "--users", words(tmp_path / "u", 3), "--out", tmp_path / "out")[0] == 0
    assert {(user, item >= 500) for user, _, item, _ in read(tmp_path / "out")} == {(3, True)}


# --- what is refused ---

BAD_LINES = {  # lines of a file, and what is said of it
    ("3", "u04é"): r"line 1: '3': no user of shop \(1 of 2 are none\); expected ids as its data have them",
    ("u03é", "u04é", "u03é"): "line 3: 'u03é': stands in an earlier line as well; expected each once",
    ("u03é ",): "line 1: 'u03é ': no user of shop",
    (): "empty; expected ids of users, one per line",
    ("", ""): "empty; expected ids of users",
    ("u19é",): "none of the users has a training history",
}


@pytest.mark.parametrize("lines", BAD_LINES)
def test_a_file_of_users_that_cannot_be_used(lines, shop, tmp_path, refused):
    file = words(tmp_path / "users.txt", *lines)
    refused("recommend", shop[1], "--users", file, "--out", tmp_path / "out", says=BAD_LINES[lines])
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize("text", ["20", "-1", "1.0", "one", "١", "9" * 40])
def test_what_is_no_number_of_a_user(text, plain, tmp_path, refused):
    file = words(tmp_path / "users.txt", "3", text)
    says = r"users\.txt, line 2: .*: no user of shop \(1 of 2 are none\); expected numbers from 0 to 19 \(users\)"
    refused("recommend", plain[1], "--users", file, "--out", tmp_path / "out", says=says)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--all"], r"--out is missing: the lists of many users go to a file; expected --out LISTS\.parquet"),
        (["--users", "{tmp}"], "--out is missing"),
        (["--user", "u03é", "--out", "{tmp}/out"], "--user u03é with --out .*: one user's list is printed"),
        (["--all", "--users", "{tmp}", "--out", "{tmp}/out"], "argument --users: not allowed with argument --all"),
        (["--out", "{tmp}/out"], "one of the arguments --user --users --all is required"),
        (["--users", "{tmp}/none", "--out", "{tmp}/out"], "none: cannot be read .No such file or directory."),
        (["--users", "{tmp}", "--out", "{tmp}/out"], "cannot be read .Is a directory.; expected ids of users, one per"),
        (["--users", "{binary}", "--out", "{tmp}/out"], "cannot be read .it is not UTF-8.; expected ids of users"),
        (["--all", "--out", "{inputs}"], r"inputs.*: has files, and no _request.json; expected a new folder"),
        (["--all", "--share", "1/2", "--out", "{tmp}/out"], "--share with --out .*: expected a folder that is shared"),
        (["--all", "--share", "3/2", "--out", "{tmp}/out/"], "--share: '3/2' is no share; expected such as 2/5"),
        (["--all", "--share", "0/2", "--out", "{tmp}/out/"], "'0/2' is no share"),
        (["--all", "--share", "2", "--out", "{tmp}/out/"], "'2' is no share"),
        (["--all", "--top", "61", "--out", "{tmp}/out/"], "k=61 for a catalogue of 60 items; expected 1 to 60"),
        (["--all", "--approximate", "0", "--out", "{tmp}/out"], "--approximate: '0' is no share of a list; expected"),
        (["--all", "--approximate", "99", "--out", "{tmp}/out"], "'99' is no share of a list"),
        (["--all", "--approximate", "nan", "--out", "{tmp}/out"], "'nan' is no share of a list"),
        (["--user", "u03é", "--approximate", ".9"], "--approximate with --user: one user's list is exact"),
        (["--all", "--out", "{record}/out"], "out: cannot be written"),
        (["--all", "--top", "0", "--out", "{tmp}/out"], "k=0 for a catalogue of 60 items; expected 1 to 60"),
        (["--all", "--top", "61", "--out", "{tmp}/out"], "k=61 for a catalogue of 60 items; expected 1 to 60"),
        (["--all", "--deny", "{items}", "--out", "{tmp}/out"], "items: no item of shop is left; expected one at least"),
        (["--all", "--allow", "{items}", "--deny", "{items}", "--out", "{tmp}/out"], "items and .*: no item of shop"),
        (["--all", "--allow", "{users}", "--out", "{tmp}/out"], "users, line 1: 'u00é': no item of shop, and no other"),
        (["--all", "--allow", "{binary}", "--out", "{tmp}/out"], "cannot be read .it is not UTF-8.; expected ids"),
        (["--user", "u99é"], r"user 'u99é' of shop: no such id in ids\.parquet; expected one of it"),
        (["--user", "20"], "user 20 of shop; expected 0 to 19"),
        (["--user", "9" * 29], r"users=\[9+\] of shop; expected whole numbers from"),
        (["--user", "u19é"], "user 19 of shop has no training history"),
        (["--user", "u03é", "--deny", "{items}"], "no item of shop is left"),
    ],
)  # fmt: skip
def test_it_is_refused(arguments, says, shop, tmp_path, tmp_path_factory, refused):
    inputs = tmp_path_factory.mktemp("inputs")
    (inputs / "binary").write_bytes(b"\xff\xfe\x00")
    places = {"tmp": tmp_path, "record": shop[1], "inputs": inputs, "binary": inputs / "binary"}
    places["items"] = words(inputs / "items", *map(item_id, range(ITEMS)))
    places["users"] = words(inputs / "users", *map(user_id, range(USERS)))
    refused("recommend", shop[1], *(argument.format(**places) for argument in arguments), says=says)
    assert not list(tmp_path.iterdir())


def test_an_export_needs_no_data(exported, refused):
    refused("recommend", exported, "--user", "u03é", "--data", "demo", says="out is an export, which needs no data")


def test_a_damaged_export_is_named(exported, tmp_path, refused):
    for file in exported.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes()[: None if file.suffix == ".json" else -9])
    refused("recommend", tmp_path, "--user", "u03é", says=r"ids\.parquet: damaged: got sha256")


def test_without_pyarrow(plain, tmp_path, capsys, refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    says = "out: writing Parquet needs pyarrow; pip install 'mmkd-book.parquet.'"
    refused("recommend", plain[1], "--all", "--out", tmp_path / "out", says=says)
    assert call(capsys, "recommend", plain[1], "--user", 3)[0] == 0


# --- ids.parquet ---


def table_of(**columns):
    rows = {"kind": ["user"] * USERS + ["item"] * ITEMS, "number": [*range(USERS), *range(ITEMS)]}
    rows["id"] = [*map(user_id, range(USERS)), *map(item_id, range(ITEMS))]
    return pa.table({name: column for name, column in (rows | columns).items() if column is not None})


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"kind": None}, r"got columns \['number', 'id'\]; expected \['kind', 'number', 'id'\]"),
        ({"other": [0] * 80}, r"got columns .*; expected \['kind', 'number', 'id'\], in any order"),
        ({"kind": [0] * 80}, "the column 'kind' is of type 'int64'; expected texts"),
        ({"number": [0.5] * 80}, "the column 'number' is of type 'double'; expected whole numbers"),
        ({"id": [0.5] * 80}, "the column 'id' is of type 'double'; expected texts or whole numbers"),
        ({"id": ["a", None, *map(str, range(78))]}, "row 1: the column 'id' has no value there"),
        ({"number": [0, 0, *range(2, USERS), *range(ITEMS)]}, "user 0 has two ids; expected one each"),
        ({"number": [*range(USERS), *range(1, ITEMS + 1)]}, "no id of item 0; expected one for each of the 60 items"),
        ({"kind": ["user"] * USERS + ["Item"] * ITEMS}, "no id of item 0"),
        ({"id": [*map(str, range(USERS)), *map(str, range(ITEMS - 1)), "7"]}, "the id '7' stands for two items"),
    ],
)
def test_ids_that_do_not_fit_are_named(columns, says, shop, tmp_path, refused):
    folder = write_folder(tmp_path / "shop")
    put_ids(folder, table_of(**columns))
    refused("recommend", shop[1], "--data", folder, "--user", "u03é", says=rf"shop/ids\.parquet.*{says}")


def test_a_file_of_ids_that_is_none(shop, tmp_path, refused):
    folder = write_folder(tmp_path / "shop")
    put_ids(folder, table_of())
    ids_of(folder).write_text("kind,number,id\n")
    says = r"ids\.parquet: no whole Parquet file .*; expected ids"
    refused("recommend", shop[1], "--data", folder, "--user", "u03é", says=says)


def test_ids_are_no_interactions(shop, plain):
    """Beside any layout, they change neither which it is nor what it holds."""
    assert load(shop[0]).fingerprint == load(plain[0]).fingerprint


def test_ids_of_more_users_than_there_are_do_no_harm(tmp_path):
    folder = write_folder(tmp_path / "shop")
    put_ids(folder, pa.concat_tables([table_of(), pa.table({"kind": ["user"], "number": [99], "id": ["new"]})]))
    served = of_record(recorded(folder, tmp_path / "store"))
    assert isinstance(served, Served)
    assert served.ids is not None
    assert served.ids.users.to_pylist() == [*map(user_id, range(USERS))]
