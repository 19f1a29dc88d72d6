"""`mmkd refresh`: what is new is folded in, as a version that is whole or not there, and can be taken back."""

import os
import random
import shutil
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from command_line import call
from dying import killed
from made_up_folder import ITEMS, USERS
from refreshing import work, write_log
from shop import item_id, made, user_id

from mmkd_core.export import export
from mmkd_core.exported import current, read_export, read_files
from mmkd_core.fold_in import Choices, grown, learned, learned_apart, starts
from mmkd_core.refresh import refresh
from mmkd_core.served import of_export
from mmkd_core.versions import alone, roll_back

pytestmark = pytest.mark.usefixtures("unchecked")  # a user has no run-time type checks either
NAMED: Any = {"user": "who", "item": "what"}
KILLS = 15
NEW = [(user_id(3), "B998"), ("anna", item_id(5)), ("anna", "B999"), ("bert", item_id(7)), ("anna", item_id(7))]


@pytest.fixture
def out(exported, tmp_path):
    """A copy of the export."""
    return Path(shutil.copytree(exported, tmp_path / "out"))


@pytest.fixture
def log(tmp_path):
    return write_log(tmp_path / "new.csv", NEW)


def arrays(folder):
    return dict(zip(("users", "items", "indptr", "seen"), read_export(folder)[:4], strict=True))


def same(one, other):
    return all(np.array_equal(one[name], other[name]) for name in one)


def ids(folder):
    """The ids of the version that serves, by kind, in the order of the numbers."""
    rows = sorted(pq.read_table(current(folder) / "ids.parquet").to_pylist(), key=lambda row: row["number"])
    return {kind: [row["id"] for row in rows if row["kind"] == kind] for kind in ("user", "item")}


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_dir() or ".tmp" in path.name)


# --- the command ---


def test_the_command_says_what_is_new_and_the_new_version_serves(out, tmp_path, capsys):
    log = write_log(tmp_path / "new.csv", [*NEW, NEW[0], ("", "x"), ("anna", "")])
    before = arrays(out)
    status, said, err = call(capsys, "refresh", out, log, "--user", "who", "--item", "what")
    assert (status, err) == (0, "")
    assert said == (
        "new.csv: 8 rows\n"
        "left out: 1 with no user (row 7)\n"
        "left out: 1 with no item (row 8)\n"
        "5 new choices, 2 new users, 2 new items; 0 were known, 1 rows stood twice\n"
        f"{out}: version 1 serves; --roll-back returns to what was trained\n"
    )
    after = arrays(out)
    assert [len(after[name]) for name in after] == [USERS + 2, ITEMS + 2, USERS + 3, len(before["seen"]) + 5]
    assert ids(out) == {
        "user": [*map(user_id, range(USERS)), "anna", "bert"],
        "item": [*map(item_id, range(ITEMS)), "B998", "B999"],
    }
    assert sorted(after["seen"][after["indptr"][USERS] : after["indptr"][USERS + 1]]) == [5, 7, ITEMS + 1]
    assert same(arrays_of(out), before)  # the trained one is as it was
    told = read_export(out).card["refreshed"][-1]
    assert {name: told[name] for name in ("version", "of", "rows", "choices", "users", "items")} == {
        "version": 1, "of": 0, "rows": 8, "users": 2, "items": 2,
        "choices": {"rows": 6, "repeated": 1, "known": 0, "new": 5},
    }  # fmt: skip
    assert call(capsys, "recommend", out, "--user", "anna")[1].startswith(f"user {USERS} (anna) of shop, 3 training")
    status, said, _ = call(capsys, "refresh", out, log, "--user", "who", "--item", "what")
    assert (status, said.splitlines()[-1]) == (0, f"{out}: nothing is new, so version 1 goes on")
    assert names(out) == ["versions", "versions/1"]


def arrays_of(folder):
    return dict(zip(("users", "items", "indptr", "seen"), read_files(folder)[:4], strict=True))


def test_ratings_below_are_no_choices(out, tmp_path, capsys):
    log = write_log(tmp_path / "new.csv", [("anna", item_id(1), 5), ("bert", item_id(1), 2)], "who,what,stars")
    options = ["--user", "who", "--item", "what", "--rating", "stars", "--min-rating", "4"]
    assert "1 new choices, 1 new users, 0 new items" in call(capsys, "refresh", out, log, *options)[1]


def test_a_log_without_a_header_is_read_as_import_reads_it(out, tmp_path, capsys):
    log = tmp_path / "new.dat"
    log.write_text(f"anna::{item_id(1)}::5\nbert::{item_id(1)}::2\n", "utf-8")
    options = ["--columns", "a,b,c", "--separator", "::", "--user", "a", "--item", "b", "--rating", "c"]
    said = call(capsys, "refresh", out, log, *options, "--min-rating", "4")[1]
    assert "1 new choices, 1 new users, 0 new items" in said


def test_what_is_listed_is_new_to_the_user(out, log, tmp_path, capsys):
    refresh(out, log, **NAMED)
    assert call(capsys, "recommend", out, "--all", "--top", ITEMS + 2, "--out", tmp_path / "lists")[0] == 0
    listed = {(row["user"], row["item"]) for row in pq.read_table(tmp_path / "lists").to_pylist()}
    assert not listed & set(NEW)
    assert {(user, item) for user in ("anna", "bert") for item in ("B998", item_id(9))} <= listed


def test_neither_torch_nor_scipy_is_needed(out, log):
    program = f"""
import sys
sys.modules["torch"] = sys.modules["scipy"] = None
from mmkd_core.__main__ import main
sys.exit(main(["refresh", {str(out)!r}, {str(log)!r}, "--user", "who", "--item", "what"]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(read_export(out).users) == USERS + 2


# --- the rows ---


def test_the_rows_are_grown_from_the_trained_ones(out, log):
    old = read_export(out)
    refresh(out, log, **NAMED)
    new = read_export(out)
    before = Choices(old.seen_indptr, old.seen_items, ITEMS)
    users, items = grown(old.users, old.items, before, Choices(new.seen_indptr, new.seen_items, ITEMS + 2))
    assert same({"users": users, "items": items}, arrays(out))


def test_in_how_many_portions_choices_come_does_not_matter(exported, tmp_path):
    rows = [*NEW, ("carl", "B999"), ("carl", "B997"), (user_id(3), item_id(0))]
    for parts in ([rows], [rows[:2], rows[2:6], rows[6:]], [[row] for row in rows]):
        folder = Path(shutil.copytree(exported, tmp_path / f"out-{len(parts)}"))
        for number, part in enumerate(parts):
            refresh(folder, write_log(tmp_path / f"{number}.csv", part), **NAMED)
    once, thrice, each = (tmp_path / f"out-{number}" for number in (1, 3, len(rows)))
    assert same(arrays(once), arrays(thrice))
    assert same(arrays(once), arrays(each))
    assert ids(once) == ids(thrice) == ids(each)


def test_repeated_rows_change_nothing(exported, tmp_path):
    for name, rows in (("once", NEW), ("twice", NEW + NEW[::-1])):
        folder = Path(shutil.copytree(exported, tmp_path / name))
        refresh(folder, write_log(tmp_path / "new.csv", rows), **NAMED)
    assert same(arrays(tmp_path / "once"), arrays(tmp_path / "twice"))


def test_precision_ids_and_onnx_are_kept(shop, log, tmp_path):
    pytest.importorskip("onnx")
    export(shop[1], tmp_path / "half", float16=True, onnx=7)
    refresh(tmp_path / "half", log, **NAMED)
    new = read_export(tmp_path / "half")
    assert (new.users.dtype, new.items.dtype, new.card["onnx"]) == (np.float16, np.float16, {"k": 7})
    assert new.card["arrays"]["users"] == {"shape": [USERS + 2, 64], "dtype": "float16"}
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(current(tmp_path / "half") / "recommend.onnx")
    seen = np.zeros((USERS + 2, ITEMS + 2), bool)
    found = session.run(["scores"], {"user": new.users.astype(np.float32), "seen": seen})[0]
    scores = np.sort(new.users.astype(np.float32) @ new.items.astype(np.float32).T)[:, ::-1]
    np.testing.assert_allclose(found, scores[:, :7], rtol=1e-3, atol=1e-6)


def test_without_ids_numbers_are_ids_and_new_ones_may_be_any(tmp_path, capsys):
    record = made(tmp_path, ids=False)[1]
    export(record, tmp_path / "out")
    refresh(tmp_path / "out", write_log(tmp_path / "a.csv", [(0, 59), (0, 58), (0, 57)]), **NAMED)
    assert not (current(tmp_path / "out") / "ids.parquet").exists()
    refresh(tmp_path / "out", write_log(tmp_path / "b.csv", [(700, 3), (USERS, 4)]), **NAMED)
    assert ids(tmp_path / "out")["user"] == [*range(USERS), 700, USERS]
    assert call(capsys, "recommend", tmp_path / "out", "--user", 700)[1].startswith(f"user {USERS} (700) of shop, 1 tr")
    refresh(tmp_path / "out", write_log(tmp_path / "c.csv", [("anna", 3)]), **NAMED)
    assert ids(tmp_path / "out")["user"] == [*map(str, range(USERS)), "700", str(USERS), "anna"]


def tables(draw, users=30, items=20, dim=4):
    lists = [draw.choice(items, draw.integers(1, 9), replace=False) for _ in range(users)]
    before = Choices(starts(np.repeat(np.arange(users), [*map(len, lists)]), users), np.concatenate(lists), items)
    return draw.normal(size=(users, dim)), draw.normal(size=(items, dim)), before


def joined(before, users, items, *pairs):
    """`before` and some more pairs."""
    owners = np.repeat(np.arange(len(before.indptr) - 1), np.diff(before.indptr))
    rows = sorted([*zip(owners.tolist(), before.chosen.tolist(), strict=True), *pairs])
    return Choices(starts(np.array([user for user, _ in rows]), users), np.array([item for _, item in rows]), items)


def test_nothing_new_moves_nothing_and_one_choice_moves_its_user_and_item_alone():
    users, items, before = tables(np.random.default_rng(0))
    same_users, same_items = grown(users, items, before, joined(before, 30, 20))
    np.testing.assert_allclose(same_users, users, atol=1e-6)
    np.testing.assert_allclose(same_items, items, atol=1e-6)
    item = next(i for i in range(20) if i not in before.chosen[before.indptr[4] : before.indptr[5]])
    new_users, new_items = grown(users, items, before, joined(before, 30, 20, (4, item)))
    assert np.flatnonzero(np.abs(new_users - users).max(axis=1) > 1e-6).tolist() == [4]
    assert np.flatnonzero(np.abs(new_items - items).max(axis=1) > 1e-6).tolist() == [item]


def test_new_items_are_placed_as_if_users_had_been_trained_without_them():
    users, items, before = tables(np.random.default_rng(3))
    of_users = learned(users, items, before.indptr, before.chosen)
    of_items = learned(items, users, *before.turned()[:2])
    lists = [sorted(before.chosen[a:b].tolist()) for a, b in pairwise(before.indptr)]

    def features(rows, chosen, folding):
        count = np.log(1 + np.clip(len(chosen), folding.fewest, folding.most))
        own = np.array([*np.mean([rows[c] for c in chosen], axis=0), folding.unit])
        return np.concatenate([own, count * own])

    gram, target = np.zeros((10, 10)), np.zeros((10, 4))
    for item in range(20):
        others = [[other for other in own if other % 10 != item % 10] for own in lists]
        choosers = [user for user in range(30) if item in lists[user] and others[user]]
        apart = {
            user: users[user]
            + (features(items, others[user], of_users) - features(items, lists[user], of_users)) @ of_users.weights
            for user in choosers
        }
        if choosers:
            own = features(apart, choosers, of_items)
            gram, target = gram + np.outer(own, own), target + np.outer(own, items[item])
    weights = np.linalg.inv(gram + 0.01 * np.trace(gram) / 10 * np.eye(10)) @ target
    found = learned_apart(users, items, before, of_users, of_items)
    np.testing.assert_allclose(found.weights, weights, rtol=1e-3, atol=1e-5)


def test_users_of_one_item_each_cannot_be_trained_without_it():
    users, items, _ = tables(np.random.default_rng(4))
    before = Choices(np.arange(31), np.arange(30) % 20, 20)
    new_users, new_items = grown(users, items, before, joined(before, 31, 21, (30, 20), (0, 20)))
    assert np.isfinite(new_users).all()
    assert np.isfinite(new_items).all()


def test_new_rows_that_nothing_links_are_the_mean_and_others_are_not():
    users, items, before = tables(np.random.default_rng(1))
    pairs = (30, 2), (4, 20), (31, 20), (32, 21)  # nothing links 32 and item 21, item 20 links 31
    new_users, new_items = grown(users, items, before, joined(before, 33, 22, *pairs))
    np.testing.assert_allclose(new_users[32], users.mean(0), rtol=1e-5)
    np.testing.assert_allclose(new_items[21], items.mean(0), rtol=1e-5)
    for row, table in ((new_users[30], users), (new_users[31], users), (new_items[20], items)):
        assert np.abs(row - table.mean(0)).max() > 1e-3


def test_other_numbers_of_users_and_items_give_the_same_rows():
    draw = np.random.default_rng(2)
    users, items, before = tables(draw)
    pairs = [(30, 2), (30, 20), (31, 20), (3, 20), (31, 5)]
    expected = grown(users, items, before, joined(before, 32, 21, *pairs))
    place = draw.permutation(30)
    where = (np.arange(20) + 10 * np.tile(draw.integers(0, 2, 10), 2)) % 20  # within the parts of `learned_apart`
    moved_users, moved_items = np.empty_like(users), np.empty_like(items)
    moved_users[place], moved_items[where] = users, items
    place, where = [*place, 31, 30], [*where, 20]  # the new users change places as well
    owners = np.repeat(np.arange(30), np.diff(before.indptr))
    empty = Choices(np.zeros(31, np.int64), before.chosen[:0], 20)
    old = joined(empty, 30, 20, *((int(place[u]), int(where[i])) for u, i in zip(owners, before.chosen, strict=True)))
    now = joined(old, 32, 21, *((int(place[u]), int(where[i])) for u, i in pairs))
    found = grown(moved_users, moved_items, old, now)
    np.testing.assert_allclose(found[0][place], expected[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[1][where], expected[1], rtol=1e-4, atol=1e-5)


# --- versions ---


def test_roll_back_returns_to_the_version_before_and_once_alone(out, tmp_path, capsys):
    for number in range(3):
        refresh(out, write_log(tmp_path / "new.csv", [(f"new {number}", item_id(4))]), **NAMED)
    assert names(out) == ["versions", "versions/2", "versions/3"]
    status, said, _ = call(capsys, "refresh", out, "--roll-back")
    assert (status, said) == (0, f"{out}: version 2 serves again\n")
    assert ids(out)["user"][USERS:] == ["new 0", "new 1"]
    with pytest.raises(ValueError, match="version 2 was made of version 1, which is kept no more"):
        roll_back(out)
    told = refresh(out, write_log(tmp_path / "new.csv", [("other", item_id(4))]), **NAMED)
    assert (told["version"], told["of"]) == (4, 2)
    assert ids(out)["user"][USERS:] == ["new 0", "new 1", "other"]
    assert [entry["version"] for entry in read_export(out).card["refreshed"]] == [1, 2, 4]
    assert names(out) == ["versions", "versions/2", "versions/4"]


def test_the_trained_export_serves_again(out, log, exported, capsys):
    refresh(out, log, **NAMED)
    assert call(capsys, "refresh", out, "--roll-back")[1] == f"{out}: what was trained serves again\n"
    assert same(arrays(out), arrays(exported))
    assert len(of_export(out).data.train) == len(of_export(exported).data.train)
    refresh(out, log, **NAMED)
    assert read_export(out).card["refreshed"][-1]["version"] == 2


def test_force_replaces_versions_with_what_was_trained_anew(shop, out, log):
    refresh(out, log, **NAMED)
    export(shop[1], out, force=True)
    assert len(read_export(out).users) == USERS
    assert not (out / "versions").exists()


@pytest.mark.skipif(os.name != "posix", reason="a lock of POSIX")
def test_two_at_a_time_are_refused(out, log, refused):
    with alone(out):
        refused("refresh", out, log, "--user", "who", "--item", "what", says="another refresh is at work there")
        refused("refresh", out, "--roll-back", says="another refresh is at work there")
    refresh(out, log, **NAMED)


def test_what_fails_half_way_changes_nothing(out, log, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    for name in ("safetensors.numpy.save_file", "mmkd_core.versions.write_whole"):
        with monkeypatch.context() as patch:
            patch.setattr(name, full)
            with pytest.raises(OSError, match="No space left on device"):
                refresh(out, log, **NAMED)
        assert len(read_export(out).users) == USERS
    refresh(out, log, **NAMED)
    assert len(read_export(out).users) == USERS + 2
    assert names(out) == ["versions", "versions/2"]  # version 1 was whole, and never served


def test_readers_meet_whole_versions_alone(out, tmp_path):
    found, ended = set(), threading.Event()

    def look():
        while not ended.is_set():
            export_of = of_export(out)
            found.add((export_of.data.num_users, len(export_of.ids.users), len(export_of.tables.users)))

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(6):
        refresh(out, write_log(tmp_path / "new.csv", [(f"new {number}", item_id(4))]), **NAMED)
    ended.set()
    reader.join()
    assert found <= {(USERS + n,) * 3 for n in range(7)}
    assert len(found) > 1


def test_a_killed_refresh_leaves_the_old_or_the_new_and_goes_through_when_it_is_run_again(processes, out, tmp_path):
    draw, log, ends = random.Random(0), tmp_path / "new.csv", set()
    refresh(out, write_log(log, [("first", item_id(0)), ("first", "more")]), **NAMED)
    served, changes = arrays(out), 0
    for number in range(KILLS):
        write_log(log, [(f"new {number}", item_id(number % ITEMS)), (f"new {number}", f"more {number}")])
        left = killed(processes, out, work, out, log, before=draw.randint(1, changes) if number else 0)
        changes = left or changes  # the first is let through, and counted
        found = arrays(out)
        assert len(of_export(out).ids.users) == len(found["users"])
        is_new = len(found["users"]) > len(served["users"])
        assert is_new or same(found, served)
        ends.add((left is None, is_new))
        told = refresh(out, log, **NAMED)
        assert bool(told["choices"]["new"]) != is_new
        served = arrays(out)
        assert len(served["users"]) == USERS + number + 2
        assert [name for name in names(out) if ".tmp" in name] == []
    assert ends == {(False, True), (True, False), (True, True)}  # let through; killed before, and after, the switch
    refresh(out, write_log(log, [("last", item_id(0))]), **NAMED)  # what a kill left behind goes with the next version
    assert len(list((out / "versions").iterdir())) == 2


# --- what is refused ---


@pytest.mark.parametrize("text", ["", "versions/0", "versions/../..", "/etc", "versions/9\n\nx", "x" * 5000, "\0"])
def test_a_pointer_that_names_no_version(text, out, log, refused):
    (out / "current").write_text(text)
    for arguments in (["recommend", out, "--user", user_id(3)], ["refresh", out, "--roll-back"],
                      ["refresh", out, log, "--user", "who", "--item", "what"]):  # fmt: skip
        refused(*arguments, says=r"current: got .*; expected versions/1 or another version that is there, or a dot")


def test_a_version_that_is_not_there(out, refused):
    (out / "current").write_text("versions/7\n")
    refused("recommend", out, "--user", user_id(3), says=r"versions/7/card\.json: no such card of an export")


def test_numbers_beyond_half_precision(shop, log, tmp_path, monkeypatch):
    export(shop[1], tmp_path / "out", float16=True)
    monkeypatch.setattr("mmkd_core.refresh.grown", lambda users, items, *_: (users * np.float32(1e9), items))
    with pytest.raises(ValueError, match="row 0 of the users' table would hold more than float16 can"):
        refresh(tmp_path / "out", log, **NAMED)
    assert not (tmp_path / "out" / "versions").exists()


def test_help_imports_nothing_heavy():
    program = """
import sys
from mmkd_core.__main__ import main
try:
    main(["refresh", "--help"])
finally:
    print("|", *{"torch", "numpy", "pyarrow"} & sys.modules.keys())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.rpartition("|")[2].split() == []
