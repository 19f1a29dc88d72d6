"""A raw log becomes a data folder: the same from every format, every row accounted for, ids as the log has them."""

import gzip
import hashlib
import json
from collections import Counter
from inspect import signature

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmkd_core.data import DataError
from mmkd_core.datasets import load, splitting
from mmkd_core.datasets.importing import Card, import_log, logs, texts

DAY = 86_400
NAMES = {"user": "who", "item": "what"}


def rows_of(out):
    """(user, item, label) with the ids of the log, as pandas reads the folder."""
    table = pd.read_csv(out / f"{out.name}.inter", sep="\t")
    ids = pd.read_parquet(out / "ids.parquet")
    users, items = (ids[ids.kind == kind].set_index("number").id for kind in ("user", "item"))
    return {(users[u], items[i], label) for u, i, label in table.itertuples(index=False)}


def frame(rows, columns=("who", "what", "when", "stars")):
    return pd.DataFrame(rows, columns=[*columns])


@pytest.fixture
def write(tmp_path):
    """Writes a log's text, or a table in the format of the suffix; gives its path."""

    def written(name, content):
        path = tmp_path / name
        if ".parquet" in name:
            content.to_parquet(path)
            return path
        if not isinstance(content, str):
            in_json, separator = "json" in name, "\t" if name.endswith(("tsv", "inter")) else ","
            lines = content.to_json if in_json else content.to_csv
            content = lines(**{"orient": "records", "lines": True} if in_json else {"index": False, "sep": separator})
        path.write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
        return path

    return written


def everyday(users=30, items=20, each=8, seed=0):
    """Each user chose some items, at some time, and said how good they are; ids are texts that look like numbers."""
    rng = np.random.default_rng(seed)
    rows = [
        (f"00{user}", f"i {item}", 1_600_000_000 + int(rng.integers(100 * DAY)), int(rng.integers(1, 6)))
        for user in range(users)
        for item in rng.choice(items, each, replace=False)
    ]
    return frame(rows)


@pytest.mark.parametrize(
    "name", ["log.tsv", "log.inter", "log.parquet", "log.jsonl", "log.ndjson", "log.csv.gz", "log.json.gz"]
)
@pytest.mark.parametrize("bytes_of_a_block", [2**25, 1000])
def test_each_format_gives_the_same_folder(name, bytes_of_a_block, write, tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "BYTES", bytes_of_a_block)
    monkeypatch.setattr(logs, "ROWS", 50 if bytes_of_a_block == 1000 else 2**20)
    options = {**NAMES, "time": "when", "rating": "stars", "min_rating": 2, "k_core": 3, "split": "latest"}
    cards = [
        import_log(write(file, everyday()), tmp_path / place / "shop", **options)
        for file, place in (("log.csv", "a"), (name, "b"))
    ]
    assert rows_of(tmp_path / "a" / "shop") == rows_of(tmp_path / "b" / "shop")
    assert (tmp_path / "a/shop/shop.inter").read_bytes() == (tmp_path / "b/shop/shop.inter").read_bytes()
    assert cards[0].left_out == cards[1].left_out
    assert (cards[0].steps, cards[0].split, cards[0].rows) == (cards[1].steps, cards[1].split, 240)
    assert load(tmp_path / "a/shop").fingerprint == load(tmp_path / "b/shop").fingerprint


def without_header(separator, quote=""):
    rows = everyday().astype(str).itertuples(index=False)
    return "".join(separator.join(f"{quote}{field}{quote}" for field in row) + "\n" for row in rows)


@pytest.mark.parametrize("bytes_of_a_block", [2**25, 1000])
@pytest.mark.parametrize(
    ("name", "separator", "told"),
    [("u.data", "\t", "tab"), ("ratings.dat", "::", "::"), ("log.csv", ",", None), ("log.tsv", "\t", None),
     ("log.txt", "|", "|"), ("log.csv", ";", ";"), ("log", "\t", "\\t")],
)  # fmt: skip
def test_a_log_without_a_header(name, separator, told, bytes_of_a_block, write, tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "BYTES", bytes_of_a_block)
    options = {**NAMES, "time": "when", "rating": "stars", "min_rating": 2, "split": "latest"}
    whole = import_log(write("whole.csv", everyday()), tmp_path / "a" / "shop", **options)
    quote = '"' if separator == ";" else ""
    log = write(name, without_header(separator, quote) + f"short{separator}\n")
    card = import_log(log, tmp_path / "b" / "shop", **options, columns="who, what,when,stars", separator=told)
    assert load(tmp_path / "b/shop").fingerprint == load(tmp_path / "a/shop").fingerprint
    assert (card.rows, card.steps) == (241, whole.steps)
    assert card.left_out["more or fewer fields than the header"] == {"rows": 1, "first": ["row 241"]}


@given(words=st.lists(st.text("ab:", max_size=4), min_size=2, max_size=40), block=st.integers(2, 9))
def test_two_colons_part_fields_and_one_does_not(words, block, tmp_path_factory):
    """Whatever the pieces in which the text is read."""
    path = tmp_path_factory.mktemp("text") / "x"
    path.write_text("::".join(words))
    raw, read = texts._Text(path, parted=True), b""
    while part := raw.read(block):
        read += part
    assert read == path.read_bytes().replace(b"::", b"\x1f")


def test_a_header_between_two_colons(write, tmp_path):
    log = write("log.dat", "who::what\na::x:1\nb::y\n")
    import_log(log, tmp_path / "shop", **NAMES, k_core=0, separator="::")
    assert {(user, item) for user, item, _ in rows_of(tmp_path / "shop")} == {("a", "x:1"), ("b", "y")}


HAND_MADE = """who,what,when,stars,more
ann,x,2024-01-05,5,
ann,x,2024-01-02,4,the same pair at an earlier time
ann,x,2024-01-02,5,at that time again
,x,2024-01-01,5,
bob,,2024-01-01,5,
bob,x,,5,
bob,x,2024-01-01,,

bob,x,soon,5,
bob,x,2024-01-01,many,
bob,x,2024-01-01,NaN,
bob,x
bob,x,2024-01-01,1,
bob,x,1704067200,4,that is 2024-01-01
bob,y,1704153600000,4,in thousandths
ann,y,2024-01-01T02:00:00+02:00,4,
"c,d",y,2024-01-03,5,
"""


def test_every_row_is_counted_and_named(write, tmp_path):
    log = write("log.csv", HAND_MADE)
    options = {**NAMES, "time": "when", "rating": "stars", "min_rating": 4, "k_core": 2, "split": "latest"}
    card = import_log(log, tmp_path / "shop", **options)
    assert card.rows == 16
    assert {fault: told["rows"] for fault, told in card.left_out.items()} == {
        "no user": 1, "no item": 1, "no time": 1, "no rating": 1, "an unreadable time": 1, "an unreadable rating": 2,
        "a rating below 4": 1, "more or fewer fields than the header": 1,
    }  # fmt: skip
    assert card.left_out["no user"]["first"] == ["row 4"]
    assert card.left_out["an unreadable time"]["first"] == ["row 8: 'soon'"]
    assert card.left_out["an unreadable rating"]["first"] == ["row 9: 'many'", "row 10: 'NaN'"]
    assert card.left_out["more or fewer fields than the header"]["first"] == ["row 11"]
    assert card.left_out["a rating below 4"]["first"] == ["row 12"]  # that of a short row is counted
    assert card.steps == [
        {"after": "reading", "interactions": 7, "users": 3, "items": 2},
        {"after": "duplicates", "interactions": 5, "users": 3, "items": 2},
        {"after": "2-core", "interactions": 4, "users": 2, "items": 2},
    ]
    assert card.times == ["2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"]  # of ann's three rows the earliest
    assert {part: card.split[part] for part in ("train", "val", "test")} == {"train": 4, "val": 0, "test": 0}
    assert card.log == {
        "file": "log.csv", "bytes": log.stat().st_size, "sha256": hashlib.sha256(log.read_bytes()).hexdigest(),
    }  # fmt: skip
    assert Card.read(tmp_path / "shop") == card
    assert card.options["k_core"] == 2
    assert "left out: 2 with an unreadable rating (row 9: 'many', row 10: 'NaN')" in str(card)


def test_only_the_first_rows_of_a_fault_are_named(write, tmp_path):
    log = write("log.csv", "who,what\n" + ",x\n" * 9 + "a,x\n")
    card = import_log(log, tmp_path / "shop", **NAMES, k_core=0)
    assert card.left_out == {"no user": {"rows": 9, "first": [f"row {row}" for row in range(1, 6)]}}


@pytest.mark.parametrize("name", ["log.csv", "log.parquet", "log.jsonl"])
def test_ids_are_kept_to_the_letter(name, write, tmp_path):
    users = ["007", "7", "a\nb", "a\tb", 'say "no"', "NA", "null", "nan", "é", " x", "2020-01-01", "1e3", "x" * 300]
    log = write(name, frame([(user, item) for user in users for item in ("true", "0")], ("who", "what")))
    import_log(log, tmp_path / "shop", **NAMES, k_core=0)
    ids = pd.read_parquet(tmp_path / "shop" / "ids.parquet")
    assert ids[ids.kind == "user"].id.tolist() == users  # in the order of the log
    assert ids[ids.kind == "item"].id.tolist() == ["true", "0"]
    assert {user for user, _, _ in rows_of(tmp_path / "shop")} == {*users}
    assert load(tmp_path / "shop").num_users == len(users)


@pytest.mark.parametrize(
    "column",
    [pd.Series([2**62, 5]), pd.Series([2**62, 5], dtype="uint64"), pd.Series([b"4611686018427387904", b"5"]),
     pd.Series(["4611686018427387904", "5"], dtype="category")],
)  # fmt: skip
def test_whole_numbers_and_categories_are_ids(column, write, tmp_path):
    log = write("log.parquet", pd.DataFrame({"who": column, "what": ["x", "x"]}))
    import_log(log, tmp_path / "shop", **NAMES, k_core=0)
    assert {user for user, _, _ in rows_of(tmp_path / "shop")} == {"4611686018427387904", "5"}


def test_whole_numbers_that_pandas_made_floats_of_are_whole_again(write, tmp_path):
    log = write("log.parquet", pd.DataFrame({"who": [1.0, np.nan, 3.0, 2.5], "what": ["x"] * 4}))
    card = import_log(log, tmp_path / "shop", **NAMES, k_core=0)
    assert {user for user, _, _ in rows_of(tmp_path / "shop")} == {"1", "3"}
    assert card.left_out == {
        "no user": {"rows": 1, "first": ["row 2"]}, "an unreadable user": {"rows": 1, "first": ["row 4: 2.5"]},
    }  # fmt: skip


@pytest.mark.parametrize(
    "times",
    [["2024-03-01", "2024-03-01T00:00:00Z", "2024-03-01 01:00+01:00"], ["1709251200", "1709251200000", "1.7092512e9"],
     [1709251200] * 3, [1709251200.0] * 3, [1709251200 * 10**6, 1709251200 * 10**9, 1709251200],
     pd.to_datetime(["2024-03-01"] * 3), pd.to_datetime(["2024-03-01"] * 3).tz_localize("UTC"),
     pd.to_datetime(["2024-03-01"] * 3).date],
)  # fmt: skip
def test_times_in_every_spelling(times, write, tmp_path):
    log = write("log.parquet", pd.DataFrame({"who": ["a", "b", "c"], "what": ["x"] * 3, "when": times}))
    card = import_log(log, tmp_path / "shop", **NAMES, time="when", k_core=0)
    assert card.times == ["2024-03-01T00:00:00Z"] * 2


def naive_core(pairs, k):
    """Leaves out one user or item at a time."""
    pairs = {*pairs}
    while True:
        few = [(axis, name) for axis in (0, 1) for name, n in Counter(pair[axis] for pair in pairs).items() if n < k]
        if not few:
            return pairs
        axis, name = few[0]
        pairs = {pair for pair in pairs if pair[axis] != name}


@given(st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1), st.integers(0, 5))
def test_the_core_is_that_of_leaving_out_one_after_the_other(pairs, k):
    users, items = np.array(sorted(pairs)).T
    kept = splitting.core(users, items, k)
    assert {*zip(users[kept].tolist(), items[kept].tolist(), strict=True)} == naive_core(pairs, k)


SHARES = st.sampled_from([0.0, 0.05, 0.1, 0.3, 0.49])
CHOICES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), min_size=1, max_size=60).map(sorted)


@given(CHOICES, SHARES, SHARES)
def test_a_split_within_users_leaves_none_without_training_and_tests_on_the_last(choices, val, test):
    users, times = np.array(choices).T
    labels = splitting.by_user(users, times, val, test)
    for user in {*users.tolist()}:
        own = users == user
        in_order = labels[own][np.argsort(times[own], kind="stable")]
        assert (np.diff(in_order) >= 0).all()  # first train, then validation, then test
        assert in_order[0] == splitting.TRAIN
        for label, share in ((splitting.VAL, val), (splitting.TEST, test)):
            number = int((in_order == label).sum())
            assert number == 0 if len(in_order) < 3 or not share else 1 <= number <= max(1, share * len(in_order))


@given(st.integers(3, 1000), st.floats(0.001, 0.99), st.floats(0.001, 0.99))
def test_what_is_held_out_is_never_all(count, val, test):
    if val + test < 1:
        vals, tests = (int(held[0]) for held in splitting.held_out(np.array([count]), val, test))
        assert vals >= 1
        assert tests >= 1
        assert vals + tests < count


@pytest.mark.parametrize(
    ("split", "options"),
    [("random", {}), ("latest", {"time": "when"}), ("random", {"seed": 1}), ("random", {"val": 0, "test": 0.5}),
     ("date", {"time": "when", "val_from": "2020-11-10", "test_from": "2020-12-01"})],
)  # fmt: skip
def test_nothing_is_lost_and_nothing_stands_twice(split, options, write, tmp_path):
    table = everyday()
    card = import_log(write("log.csv", table), tmp_path / "shop", **NAMES, split=split, k_core=0, **options)
    rows = rows_of(tmp_path / "shop")
    assert len(rows) == len({row[:2] for row in rows}) == 240
    assert {row[:2] for row in rows} == {*table[["who", "what"]].itertuples(index=False, name=None)}
    counts = Counter(label for *_, label in rows)
    assert [counts[label] for label in range(3)] == [card.split[part] for part in ("train", "val", "test")]
    trained = {user for user, _, label in rows if label == 0}
    assert trained == {user for user, *_ in rows}
    data = load(tmp_path / "shop")
    assert (len(data.train), len(data.val), len(data.test)) == (counts[0], counts[1], counts[2])
    assert data.notes == () or "no features" in " ".join(data.notes)


def test_a_draw_is_the_seeds(write, tmp_path):
    log = write("log.csv", everyday())
    drawn = []
    for place, seed in (("a", 0), ("b", 0), ("c", 1)):
        import_log(log, tmp_path / place / "shop", **NAMES, seed=seed, k_core=0)
        drawn.append(rows_of(tmp_path / place / "shop"))
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_split_by_date_leaves_out_who_came_later_and_counts_cold_items(write, tmp_path):
    rows = [("a", "x", 1), ("a", "y", 5), ("b", "x", 2), ("b", "z", 9), ("late", "x", 8), ("late", "only", 9)]
    table = frame([(who, what, f"2024-01-0{day}") for who, what, day in rows], ("who", "what", "when"))
    card = import_log(
        write("log.csv", table), tmp_path / "shop", **NAMES, time="when", split="date", k_core=0,
        val_from="2024-01-04", test_from="2024-01-07T00:00:00Z",
    )  # fmt: skip
    assert rows_of(tmp_path / "shop") == {("a", "x", 0), ("b", "x", 0), ("a", "y", 1), ("b", "z", 2)}
    assert card.steps[-1] == {"after": "users without training", "interactions": 4, "users": 2, "items": 3}
    assert card.cold_items == 2


def test_parquet_out_is_the_same_data(write, tmp_path):
    log = write("log.csv", everyday())
    for layout in ("mmrec", "parquet"):
        import_log(log, tmp_path / layout / "ids", **NAMES, layout=layout)  # the name that the ids have
    assert load(tmp_path / "mmrec/ids").fingerprint == load(tmp_path / "parquet/ids").fingerprint


# --- features ---


@pytest.fixture
def shop(write, tmp_path):
    """A log of the items a, b, c and an empty folder of features."""
    log = write("log.csv", frame([("u", item) for item in "abc"], ("who", "what")))
    (tmp_path / "features").mkdir()
    return log, tmp_path / "features", tmp_path / "shop"


def test_features_follow_the_items(shop):
    log, folder, out = shop
    np.save(folder / "image_feat.npy", np.arange(6, dtype=np.float16).reshape(3, 2))
    (folder / "image_feat.ids.txt").write_text("c\nunknown\na\n")
    np.save(folder / "audio.npy", np.asfortranarray(np.arange(6).reshape(3, 2)))
    (folder / "ids.txt").write_bytes(b"a\r\nb\r\nc\r\n")
    pd.DataFrame({"one": [1, 2], "what": ["b", "a"], "two": [0.5, 1.5]}).to_csv(folder / "text.csv", index=False)
    pd.DataFrame({"what": ["a", "b"], "v": [[1.0, 2.0], [3.0, 4.0]], "w": [7, 8]}).to_parquet(folder / "clip.parquet")
    (folder / "README").write_text("by hand")
    card = import_log(log, out, **NAMES, k_core=0, features=folder)
    assert {name: x.tolist() for name, x in load(out).features.items()} == {
        "audio": [[0, 1], [2, 3], [4, 5]],
        "clip": [[1, 2, 7], [3, 4, 8], [0, 0, 0]],
        "image": [[4, 5], [0, 0], [0, 1]],
        "text": [[2, 1.5], [1, 0.5], [0, 0]],
    }
    assert card.features["image"] == {"file": "image_feat.npy", "width": 2, "none": 1, "unknown": 1}
    assert card.features["clip"] == {"file": "clip.parquet", "width": 3, "none": 1, "unknown": 0}
    assert card.not_read == ["features: seen and not read: ['README']"]
    assert card.files == ["shop.inter", "audio_feat.npy", "clip_feat.npy", "image_feat.npy", "text_feat.npy",
                          "ids.parquet", "card.json"]  # fmt: skip
    assert sorted(path.name for path in out.iterdir()) == sorted(card.files)


def npy(folder, rows=3, ids="a\nb\nc\n", value=1.0):
    np.save(folder / "image.npy", np.full((rows, 2), value))
    (folder / "ids.txt").write_text(ids)


def table(folder, **columns):
    pd.DataFrame(columns).to_parquet(folder / "text.parquet")


@pytest.mark.parametrize(
    ("fill", "says"),
    [
        (lambda folder: None, "features: got no features; expected <modality>.npy"),
        (lambda folder: folder.rmdir(), "features: no such folder"),
        (lambda folder: npy(folder, rows=4), "image.npy: got 4 rows and 3 ids"),
        (lambda folder: npy(folder, ids="a\nb\na\n"), "image.npy, row 3: the id 'a' stands twice"),
        (lambda folder: npy(folder, ids="a\n\nc\n"), "ids.txt, line 2: is empty"),
        (lambda folder: npy(folder, ids="1\n2\n3\n"), r"none of its ids, \['1', '2', '3'\] and so on, is one"),
        (lambda folder: npy(folder, value=np.nan), r"image.npy, row 1 \(item 'a'\): holds NaN or infinity"),
        (lambda folder: npy(folder, value=1e300), r"image.npy, row 1 \(item 'a'\): holds NaN or infinity"),
        (lambda folder: np.save(folder / "image.npy", np.ones((3, 2))), "got no ids; expected image.ids.txt"),
        (lambda folder: (npy(folder), np.save(folder / "image.npy", np.ones(3))), "image.npy: got shape"),
        (lambda folder: (npy(folder), np.save(folder / "image.npy", np.array([[{}]] * 3))), "npy: Python objects"),
        (lambda folder: (npy(folder), (folder / "image.npy").write_bytes(b"\x93NUMPY")), "image.npy: 6 bytes"),
        (lambda folder: (npy(folder), np.save(folder / "image_feat.npy", np.ones((3, 2)))), "second file of 'image'"),
        (lambda folder: table(folder, id=["a"], x=[1]), r"text.parquet: got the columns \['id', 'x'\] and 1 rows"),
        (lambda folder: table(folder, what=["a"]), "text.parquet: got the columns"),
        (lambda folder: table(folder, what=["a"], x=[{"y": 1}]), "text.parquet: the column 'x' is of type"),
        (lambda folder: table(folder, what=["a", "b"], x=[[1], [1, 2]]), "'x' has lists of different lengths"),
        (lambda folder: table(folder, what=["a"], x=["red"]), r"text.parquet, row 1 \(item 'a'\): holds NaN"),
        (lambda folder: table(folder, what=["a", None], x=[1, 2]), "text.parquet, row 2: got no id in 'what'"),
        (lambda folder: (folder / "text.parquet").write_text("no"), "text.parquet: no whole Parquet file"),
        (lambda folder: (folder / "text.csv").write_bytes(b"what,\xe9\na,1\n"), r"text.csv: no UTF-8 text \(byte 5\)"),
        (lambda folder: (folder / "text.csv").write_text("what,x\na,1,2\n"), "text.csv: .*Expected 2 columns, got 3"),
        (lambda folder: (folder / "text.csv").write_text(""), "text.csv: cannot be read as its suffix says"),
    ],
)  # fmt: skip
def test_features_that_cannot_be(fill, says, shop):
    log, folder, out = shop
    fill(folder)
    with pytest.raises(DataError, match=says):
        import_log(log, out, **NAMES, k_core=0, features=folder)
    assert not out.exists()


# --- what stands at OUT ---


def test_a_folder_is_replaced_when_told_to_and_only_if_an_import_wrote_it_all(shop):
    log, _, out = shop
    out.mkdir()
    first = import_log(log, out, **NAMES, k_core=0)
    with pytest.raises(DataError, match=r"is not empty; .*`--force`"):
        import_log(log, out, **NAMES, k_core=0)
    assert Card.read(out) == first
    second = import_log(log, out, **NAMES, k_core=1, force=True)
    assert Card.read(out) == second != first
    (out / "mine.txt").write_text("not to be lost")
    with pytest.raises(DataError, match=r"holds \['mine.txt'\], which no import wrote"):
        import_log(log, out, **NAMES, k_core=0, force=True)
    assert Card.read(out) == second
    (out / "card.json").unlink()
    with pytest.raises(DataError, match=r"is not empty; .*choose another"):
        import_log(log, out, **NAMES, k_core=0, force=True)
    with pytest.raises(DataError, match=r"log.csv is it, or lies in it"):
        import_log(log, log.parent, **NAMES, force=True)
    with pytest.raises(DataError, match="is it, or lies in it"):
        import_log(log, log, **NAMES)
    assert sorted(path.name for path in log.parent.iterdir()) == ["features", "log.csv", "shop"]


def test_what_fails_while_writing_leaves_what_was_there(shop, monkeypatch):
    log, _, out = shop
    first = import_log(log, out, **NAMES, k_core=0)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OSError, match=r"shop: cannot be written \(No space left"):
        import_log(log, out, **NAMES, k_core=0, force=True)
    assert Card.read(out) == first
    assert [path.name for path in out.parent.iterdir() if path.name.startswith(".")] == []


def test_without_pyarrow_the_message_says_how_to_have_it(write, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"needs pyarrow; pip install 'mmkd-book\[parquet\]'"):
        import_log(write("log.csv", "who,what\na,b\n"), tmp_path / "shop", **NAMES)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"who": [1.5, 2.0], "what": [[1], [2]]}, "after row 0: the column 'what' is of type 'list"),
        ({"who": [True, False], "what": ["x", "y"]}, "the column 'who' is of type 'bool'"),
        ({"who": [b"\xff", b"a"], "what": ["x", "y"]}, "after row 0: .*UTF8"),
        ({"who": ["a", None], "what": [None, "x"]}, "no row is left of 2 .1 with no user; 1 with no item"),
        (
            {"who": pd.Series([], dtype=str), "what": pd.Series([], dtype=str)},
            "no row is left of 0 .the table is empty",
        ),
    ],
)
def test_columns_of_parquet_that_are_no_ids(table, says, write, tmp_path):
    log = write("log.parquet", pd.DataFrame(table))
    with pytest.raises(DataError, match=says):
        import_log(log, tmp_path / "shop", **NAMES, k_core=0)
    assert [path.name for path in tmp_path.iterdir()] == ["log.parquet"]


SPOILT = {
    "log.csv": everyday().to_csv(index=False).encode(),
    "log.tsv": everyday().to_csv(index=False, sep="\t").encode(),
    "log.jsonl": everyday().to_json(orient="records", lines=True).encode(),
    "log.csv.gz": gzip.compress(everyday().to_csv(index=False).encode(), mtime=0),
}
PARTS = st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=6) | st.sampled_from([b'"', b"\n", b"\0", b"\\ud800"])))


@pytest.mark.parametrize("name", SPOILT)
@given(parts=PARTS, ends=st.floats(0.1, 1))
def test_whatever_the_bytes_it_is_a_folder_or_one_error(name, parts, ends, tmp_path_factory):
    whole = bytearray(SPOILT[name])
    for place, part in parts:
        start = int(place * len(whole))
        whole[start : start + len(part)] = part
    folder = tmp_path_factory.mktemp("spoilt")
    (folder / name).write_bytes(whole[: int(ends * len(whole))])
    card, said = None, ""
    try:
        card = import_log(folder / name, folder / "shop", **NAMES, time="when", k_core=0, split="latest")
    except DataError as error:
        said = str(error)
    if card is None:
        assert name in said
        assert [path.name for path in folder.iterdir()] == [name]
    else:
        assert card.rows == card.steps[0]["interactions"] + sum(told["rows"] for told in card.left_out.values())
        data = load(folder / "shop")
        assert (data.num_users, data.num_items) == (card.steps[-1]["users"], card.steps[-1]["items"])


def test_the_card_is_plain_json_and_says_what_was_done(write, tmp_path):
    import_log(write("log.csv", everyday()), tmp_path / "shop", **NAMES)
    told = json.loads((tmp_path / "shop/card.json").read_text())
    assert told["split"]["rule"] == splitting.RULES["random"]
    assert {*told["options"]} == {*signature(import_log).parameters} - {"log", "out", "on_rows"}
    assert pa.parquet.read_table(tmp_path / "shop/ids.parquet").column_names == ["kind", "number", "id"]
